"""How far predictions are from measurements: validation, fits, published tables."""
