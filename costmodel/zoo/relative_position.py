"""Relative position bias by Euclidean distance.

Source: "Rethinking and Improving Relative Position Encoding for Vision Transformer" (iRPE), the
encoding that PAT_sf cites: distances are put in buckets, one by one up to alpha, logarithmically
beyond it, all alike from gamma on; each head learns one number per bucket, added to its scores.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def bucket(distance: float, alpha: float, beta: float, gamma: float) -> int:
    """Piecewise index: round(d) up to alpha, then log-spaced, never above beta."""
    if distance <= alpha:
        return round(distance)
    fraction = math.log(distance / alpha) / math.log(gamma / alpha)
    return min(round(alpha + fraction * (beta - alpha)), int(beta))


def distance_buckets(height: int, width: int, ratio: float = 20.0) -> Tensor:
    """Bucket of each (query, key) pair of a height x width grid, (n, n) on the CPU."""
    alpha, beta, gamma = ratio, 2 * ratio, 8 * ratio
    by_offset = torch.tensor(
        [
            [bucket(math.hypot(dy, dx), alpha, beta, gamma) for dx in range(width)]
            for dy in range(height)
        ],
        device="cpu",
    )
    y = torch.arange(height, device="cpu").repeat_interleave(width)
    x = torch.arange(width, device="cpu").repeat(height)
    return by_offset[(y[:, None] - y).abs(), (x[:, None] - x).abs()]


class RelativePositionBias(nn.Module):
    """One learned bias per head and distance bucket: `forward(h, w)` is (1, heads, h w, h w).

    The bucket table of `grid` is kept; another grid's is computed when it is asked for.
    """

    index: Tensor

    def __init__(self, heads: int, grid: tuple[int, int] = (7, 7), ratio: float = 20.0) -> None:
        super().__init__()
        self.grid = grid
        self.ratio = ratio
        self.table = nn.Parameter(torch.zeros(heads, 2 * int(2 * ratio) + 1))
        index = distance_buckets(*grid, ratio).to(self.table.device)
        self.register_buffer("index", index, persistent=False)

    def forward(self, height: int, width: int) -> Tensor:
        if (height, width) == self.grid:
            index = self.index
        else:
            index = distance_buckets(height, width, self.ratio).to(self.table.device)
        return self.table[:, index].unsqueeze(0)
