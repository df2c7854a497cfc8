"""Pyramid Vision Transformer, first version, Small to Large, as a detector's backbone.

Source: "Pyramid Vision Transformer: A Versatile Backbone for Dense Prediction without
Convolutions". Keys and values are taken from a map that is shrunk 8, 4, 2 and 1 times. The class
token, which only a classifier reads, is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (64, 128, 320, 512)
HEADS = (1, 2, 5, 8)
MLP_RATIOS = (8, 8, 4, 4)
SHRINK = (8, 4, 2, 1)
DEPTHS = {"small": (3, 4, 6, 3), "medium": (3, 4, 18, 3), "large": (3, 8, 27, 3)}


class ReducedAttention(nn.Module):
    """Self-attention of (n, h w, c) tokens to a map shrunk `shrink` times in height and width."""

    def __init__(self, channels: int, heads: int, shrink: int) -> None:
        super().__init__()
        self.heads = heads
        self.shrink = shrink
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        if shrink > 1:
            self.reduce = nn.Conv2d(channels, channels, shrink, shrink)
            self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        n, _, c = x.shape
        source = x
        if self.shrink > 1:
            source = self.reduce(x.transpose(1, 2).reshape(n, c, height, width))
            source = self.norm(source.flatten(2).transpose(1, 2))
        query = self._split(self.query(x))
        key, value = (self._split(part) for part in self.key_value(source).chunk(2, dim=-1))
        scores = query @ key.transpose(-2, -1) * (c // self.heads) ** -0.5
        y: Tensor = self.proj((scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(n, -1, c))
        return y

    def _split(self, tokens: Tensor) -> Tensor:
        n, length, c = tokens.shape
        return tokens.reshape(n, length, self.heads, c // self.heads).transpose(1, 2)


class PVTBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), on (n, h w, c) tokens."""

    def __init__(self, channels: int, heads: int, ratio: int, shrink: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = ReducedAttention(channels, heads, shrink)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels)
        )

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x + self.attention(self.norm1(x), height, width)
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class PVTStage(nn.Module):
    """Patches, learnt positions of a `grid` x `grid` map (resized to others), blocks."""

    def __init__(self, index: int, depth: int, grid: int) -> None:
        super().__init__()
        channels = CHANNELS[index]
        self.grid = grid
        patch = 2 if index else 4
        self.patches = nn.Conv2d(CHANNELS[index - 1] if index else 3, channels, patch, patch)
        self.norm = nn.LayerNorm(channels)
        self.position = nn.Parameter(torch.zeros(1, channels, grid, grid))
        self.blocks = nn.ModuleList(
            PVTBlock(channels, HEADS[index], MLP_RATIOS[index], SHRINK[index]) for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        n, c, height, width = x.shape
        position: Tensor = self.position
        if (height, width) != (self.grid, self.grid):
            position = functional.interpolate(position, (height, width), mode="bilinear")
        x = self.norm(x.flatten(2).transpose(1, 2)) + position.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x, height, width)
        return x.transpose(1, 2).reshape(n, c, height, width)


class PVTBackbone(nn.Module):
    """Four stages at strides 4, 8, 16 and 32: (n, 3, h, w) to the last stage's map."""

    channels = CHANNELS

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            PVTStage(index, depth, 56 // 2**index) for index, depth in enumerate(depths)
        )

    def features(self, x: Tensor) -> list[Tensor]:
        """Output of each stage, the pyramid that a detector reads."""
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[-1]
