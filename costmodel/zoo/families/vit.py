"""Vision transformers: depth, width, heads, patch.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021): patches by a convolution,
a class token, learnt positions, pre-norm blocks, layer norm and a linear layer on the class token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from costmodel.errors import UsageError
from costmodel.zoo.families.family import Cell, Family, Parameter, Slot, register


class PatchEmbedding(nn.Module):
    """(n, 3, h, w) to (n, 1 + h w / patch^2, width): patches, class token, positions."""

    def __init__(self, width: int, patch: int, resolution: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, 1 + (resolution // patch) ** 2, width))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        first = self.token.expand(x.shape[0], -1, -1)
        return torch.cat([first, tokens], dim=1) + self.position


class Attention(nn.Module):
    """Multi-head self-attention, (n, tokens, width) unchanged."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        y: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))
        return y


class TransformerBlock(nn.Module):
    """Attention and MLP, each behind a layer norm and inside a shortcut."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class TokenHead(nn.Module):
    """Layer norm and a linear layer on the class token: (n, tokens, width) to (n, classes)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.norm(x)[:, 0])
        return logits


def _tokens(patch: int, resolution: int) -> int:
    if resolution % patch:
        raise UsageError(f"vit: resolution {resolution} is no multiple of patch {patch}")
    return 1 + (resolution // patch) ** 2


def _embedding(width: int, patch: int, resolution: int) -> tuple[Cell, int]:
    _tokens(patch, resolution)
    return Cell(PatchEmbedding, (width, patch, resolution), (3, resolution, resolution)), 1


def _block(
    depth: int, width: int, heads: int, mlp_ratio: float, patch: int, resolution: int
) -> tuple[Cell, int]:
    if width % heads:
        raise UsageError(f"vit: width {width} is no multiple of heads {heads}")
    shape = (_tokens(patch, resolution), width)
    return Cell(TransformerBlock, (width, heads, round(width * mlp_ratio)), shape), depth


def _head(width: int, patch: int, resolution: int, classes: int) -> tuple[Cell, int]:
    return Cell(TokenHead, (width, classes), (_tokens(patch, resolution), width)), 1


VIT = register(
    Family(
        "vit",
        "Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021)",
        {
            "depth": Parameter(12, "blocks", low=1, high=256),
            "width": Parameter(768, "channels of a token", low=8, high=16384),
            "heads": Parameter(12, "of the attention; must divide the width", low=1, high=256),
            "patch": Parameter(16, "height and width of a patch", low=1, high=128),
            "mlp_ratio": Parameter(4.0, "how much the MLP widens", low=0.25, high=16.0),
            "resolution": Parameter(
                224, "height and width of the image, a multiple of the patch", low=8, high=4096
            ),
            "classes": Parameter(1000, "that the classifier tells apart", low=1, high=10**6),
        },
        (
            Slot("embedding", ("width", "patch", "resolution"), _embedding),
            Slot("blocks", ("depth", "width", "heads", "mlp_ratio", "patch", "resolution"), _block),
            Slot("head", ("width", "patch", "resolution", "classes"), _head),
        ),
        {
            "timm:vit_tiny_patch16_224": {"width": 192, "heads": 3},
            "timm:vit_small_patch16_224": {"width": 384, "heads": 6},
            "timm:vit_base_patch16_224": {},
        },
    )
)
