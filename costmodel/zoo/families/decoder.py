"""One step of a language model that decodes: a new token per sequence, all before it in a cache.

Sources: Touvron et al., "LLaMA" (2023), whose network this is: an untied embedding, blocks of
attention and MLP behind RMS norms, no biases. Rotary positions: Su et al., "RoFormer" (2021).
SwiGLU: Shazeer, "GLU variants improve transformer" (2020). Query heads that share a key and value
head: Ainslie et al., "GQA" (2023), and Shazeer, "Fast transformer decoding" (2019), for one alone.

Each block keeps the keys and values of `context` tokens in memory that was laid out before. A step
writes those of its own token, the last, into it and reads all of it once; nothing is moved.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from costmodel.errors import UsageError
from costmodel.zoo.families.family import Cell, Family, Parameter, Slot, register

MULTIPLE = 256
"""What the channels inside an MLP are rounded up to a multiple of, as LLaMA's are."""
BASE = 10_000.0
"""Of the wavelengths of rotary positions, RoFormer's; it changes no cost."""


class TokenEmbedding(nn.Embedding):
    """Token ids, (n, 1), to (n, 1, width)."""


class RMSNorm(nn.Module):
    """x over its root mean square along the last dimension, scaled by a weight per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class CachedAttention(nn.Module):
    """Attention of the last of `context` tokens to all of them, (n, 1, width) unchanged.

    `groups` query heads share a key and value head; they are the rows of one attention, so that
    each key and value is read once and never repeated in memory.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, width: int, head: int, groups: int, context: int) -> None:
        super().__init__()
        self.head, self.groups = head, groups
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width // groups, bias=False)
        self.value = nn.Linear(width, width // groups, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        angle = (context - 1) * BASE ** -(torch.arange(0, head, 2) / head)
        both = torch.cat([angle, angle])
        self.register_buffer("cosine", both.cos(), persistent=False)
        self.register_buffer("sine", both.sin(), persistent=False)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Write the token's key and value into the cache, (n, heads, context, head) each."""
        n, _, width = x.shape
        heads = width // self.head // self.groups
        query = self.rotated(self.query(x).view(n, heads, self.groups, self.head))
        keys[:, :, -1:] = self.rotated(self.key(x).view(n, heads, 1, self.head))
        values[:, :, -1:] = self.value(x).view(n, heads, 1, self.head)
        mixed = functional.scaled_dot_product_attention(query, keys, values)
        y: Tensor = self.out(mixed.reshape(n, 1, width))
        return y

    def rotated(self, x: Tensor) -> Tensor:
        """Channels i and i + head / 2 turned by the angle of the position."""
        left, right = x.chunk(2, -1)
        return x * self.cosine + torch.cat([-right, left], -1) * self.sine


class DecoderBlock(nn.Module):
    """Attention and a gated MLP, each behind an RMS norm and inside a shortcut."""

    def __init__(self, width: int, head: int, groups: int, hidden: int, context: int) -> None:
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.attention = CachedAttention(width, head, groups, context)
        self.norm2 = RMSNorm(width)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), keys, values)
        y = self.norm2(x)
        z: Tensor = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return z


class VocabularyHead(nn.Module):
    """RMS norm and a score for every token of the vocabulary: (n, 1, width) to (n, 1, tokens)."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.fc = nn.Linear(width, vocabulary, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.norm(x))
        return scores


def _embedding(width: int, vocabulary: int) -> tuple[Cell, int]:
    return Cell(TokenEmbedding, (vocabulary, width), (1,), "int64"), 1


def _block(
    depth: int, width: int, head: int, groups: int, mlp_ratio: float, context: int
) -> tuple[Cell, int]:
    if width % (head * groups):
        raise UsageError(f"decoder: width {width} is no multiple of head {head} x groups {groups}")
    hidden = -(-round(width * mlp_ratio) // MULTIPLE) * MULTIPLE
    cache = (width // head // groups, context, head)
    arguments = (width, head, groups, hidden, context)
    return Cell(DecoderBlock, arguments, (1, width), kept=(cache, cache)), depth


def _head(width: int, vocabulary: int) -> tuple[Cell, int]:
    return Cell(VocabularyHead, (width, vocabulary), (1, width)), 1


_LLAMA_3: dict[str, int | float | str | bool] = {
    "groups": 4, "mlp_ratio": 3.5, "vocabulary": 128256,
}  # fmt: skip

DECODER = register(
    Family(
        "decoder",
        "Touvron et al., LLaMA: open and efficient foundation language models (2023)",
        {
            "depth": Parameter(32, "blocks", low=1, high=256),
            "width": Parameter(4096, "channels of a token", low=8, high=32768),
            "head": Parameter(
                128, "channels of a head of attention", low=2, high=1024, multiple=2
            ),
            "groups": Parameter(1, "query heads for each key and value head", low=1, high=256),
            "mlp_ratio": Parameter(
                8 / 3, f"how much the MLP widens, up to a multiple of {MULTIPLE}",
                low=0.25, high=16.0,
            ),
            "vocabulary": Parameter(32000, "tokens it knows", low=1, high=10**6),
            "context": Parameter(
                4096, "tokens of a sequence, the new one among them", low=1, high=2**24
            ),
        },
        (
            Slot("embedding", ("width", "vocabulary"), _embedding),
            Slot("blocks", ("depth", "width", "head", "groups", "mlp_ratio", "context"), _block),
            Slot("head", ("width", "vocabulary"), _head),
        ),
        {
            "hf:llama-2-7b": {},
            "hf:llama-3.1-8b": _LLAMA_3,
            "hf:llama-3.1-70b": {**_LLAMA_3, "depth": 80, "width": 8192, "groups": 8},
            "hf:mistral-7b": {**_LLAMA_3, "vocabulary": 32000},
        },
    )
)  # fmt: skip
