"""A model becomes a `Graph`. Only this room and `zoo` know about torch and onnx."""
