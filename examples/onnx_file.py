"""What about an ONNX file? It is read without running it; here torch writes a small one first."""

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

import costmodel as cm

model = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 32 * 32, 10)
).eval()

with TemporaryDirectory() as folder:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "model.onnx"
    if len(sys.argv) == 1:
        with redirect_stdout(io.StringIO()):
            torch.onnx.export(model, (torch.zeros(1, 3, 32, 32),), path, dynamo=True)
    graph = cm.load_graph(str(path))

print(graph, "from", graph.rung)
found = cm.estimate(graph, "snapdragon-855-cpu@1")
print(found)
for op in found.operators:
    print(f"  {op.time * 1e6:8.1f} us {op.bound:8} {op.op:20} {op.name}")
