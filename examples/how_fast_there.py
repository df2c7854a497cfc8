"""How fast is my network there? A module of your own, on three devices you need not own."""

import torch
from torch import nn

import costmodel as cm


class Tiny(nn.Module):
    """Stands for your network; any module will do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        self.body = nn.Sequential(*(nn.Conv2d(32, 32, 3, padding=1) for _ in range(4)))
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.body(torch.relu(self.stem(x))))
        return self.head(features.mean((2, 3)))


graph = cm.trace(Tiny(), (2, 3, 224, 224), name="tiny")
print(graph)

for device in ("v100-sxm2", "jetson-orin-nano", "epyc-73f3@1"):
    found = cm.estimate(graph, device, batch=16)
    low, high = found.interval.low * 1e3, found.interval.high * 1e3
    print(
        f"{device:18} {found.latency * 1e3:8.2f} ms, 90 % between {low:.2f} and {high:.2f} ms, "
        f"{found.throughput:,.0f} images/s, {found.bound} bound"
    )
