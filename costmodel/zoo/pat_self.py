"""PAT_sf: convolve some channels, let the rest attend to each other over all positions.

Source: PATNet and PartialNet, section on PATConv, for the last stage only, because scores grow
with the square of h * w. What the papers leave open follows public ports of the authors' code and
agrees with the published parameters, which do not decide all of it: layer norm over channels
before the attention, query, key and value from one bias-free projection as wide as the part, an
output projection with bias, four heads in T0 and six in all others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from costmodel.zoo.pat_channel import Attended
from costmodel.zoo.relative_position import RelativePositionBias
from costmodel.zoo.split import partial_channels


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of (n, c, h, w), position by position."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the h * w positions, with relative position bias.

    Shape (n, c, h, w) unchanged; 4 c^2 + c weights and one bias per head and distance. Scores are
    materialised, (n, heads, h w, h w), because the bias is added to them. Where `heads` does not
    divide the channels, the next smaller number that does is taken.
    """

    def __init__(self, channels: int, heads: int, grid: tuple[int, int] = (7, 7)) -> None:
        super().__init__()
        if channels % heads:
            heads = next(h for h in range(heads, 0, -1) if channels % h == 0)
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)
        self.position = RelativePositionBias(heads, grid)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        qkv = self.qkv(tokens).reshape(n, h * w, 3, self.heads, c // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (query * self.scale) @ key.transpose(-2, -1) + self.position(h, w)
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(n, h * w, c)
        y: Tensor = self.proj(mixed)
        return y.transpose(1, 2).reshape(n, c, h, w)


class PATsf(nn.Module):
    """Conv 3x3 on the first c_p channels beside self-attention on the other c - c_p.

    Shape (n, c, h, w) unchanged. `attended="all"` is the full-attention ablation: the convolution
    stays partial and attention runs over all channels of its output.
    """

    def __init__(
        self,
        channels: int,
        ratio: float = 1 / 4,
        heads: int = 6,
        grid: tuple[int, int] = (7, 7),
        attended: Attended = "rest",
    ) -> None:
        super().__init__()
        self.part = partial_channels(channels, ratio)
        self.rest = channels - self.part
        self.attended = attended
        self.conv = nn.Conv2d(self.part, self.part, 3, padding=1, bias=False)
        width = channels if attended == "all" else self.rest
        self.norm = ChannelLayerNorm(width, eps=1e-6)
        self.attention = SelfAttention(width, heads, grid)

    def forward(self, x: Tensor) -> Tensor:
        convolved, rest = torch.split(x, [self.part, self.rest], dim=1)
        convolved = self.conv(convolved)
        if self.attended == "all":
            y: Tensor = self.attention(self.norm(torch.cat([convolved, rest], dim=1)))
            return y
        return torch.cat([convolved, self.attention(self.norm(rest))], dim=1)
