"""PAT_sp: spatial attention on some channels, a 1x1 convolution on the rest.

Source: PATNet and PartialNet, section on PATConv. It stands behind the second 1x1 convolution of
a block's MLP, so at inference its own batch norm and 1x1 convolution disappear into that one:
no activation lies between them, and a product of matrices is a matrix.

The papers' table of configurations writes the ratio 1/4, but only half and half reproduces the
published parameters of all six networks: PartialNet-T2 would have 12.37, 12.65 or 13.11 M for a
convolved part of 1/4, 1/2 or 3/4, and PartialNet-L 101.6, 104.5 or 109.2 M; 12.6 and 104.4 are
published. The batch norms on both sides are those of public ports of the authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from costmodel.zoo.pat_channel import Attended
from costmodel.zoo.split import partial_channels


class SpatialGate(nn.Module):
    """The attending side: x * hard_sigmoid(conv1x1(x)) with a map of one channel, batch norm.

    Works on the first `attended` of (n, c, h, w) channels and leaves the rest bit-equal.
    """

    def __init__(self, channels: int, attended: int) -> None:
        super().__init__()
        self.attended = attended
        self.rest = channels - attended
        self.squeeze = nn.Conv2d(attended, 1, 1, bias=False)
        self.gate = nn.Hardsigmoid()
        self.norm = nn.BatchNorm2d(attended)

    def attend(self, x: Tensor) -> Tensor:
        """Gate and normalise a tensor that holds the attended channels only."""
        y: Tensor = self.norm(x * self.gate(self.squeeze(x)))
        return y

    def forward(self, x: Tensor) -> Tensor:
        if not self.rest:
            return self.attend(x)
        attended, rest = torch.split(x, [self.attended, self.rest], dim=1)
        return torch.cat([self.attend(attended), rest], dim=1)


class PATsp(nn.Module):
    """Gate the first channels by position, mix the last c_p = r_p * c by a 1x1 convolution.

    Shape (n, c, h, w) unchanged. `attended="all"` is the full-attention ablation: the 1x1
    convolution stays partial and the gate covers all channels.
    """

    def __init__(self, channels: int, ratio: float = 1 / 2, attended: Attended = "rest") -> None:
        super().__init__()
        self.part = partial_channels(channels, ratio)
        self.rest = channels - self.part
        self.attended = attended
        self.norm = nn.BatchNorm2d(self.part)
        self.conv = nn.Conv2d(self.part, self.part, 1, bias=False)
        self.spatial = SpatialGate(channels, channels if attended == "all" else self.rest)

    def forward(self, x: Tensor) -> Tensor:
        rest, mixed = torch.split(x, [self.rest, self.part], dim=1)
        mixed = self.conv(self.norm(mixed))
        if self.attended == "all":
            return self.spatial.attend(torch.cat([rest, mixed], dim=1))
        return torch.cat([self.spatial.attend(rest), mixed], dim=1)


def merge_into(before: nn.Conv2d, pat: PATsp) -> tuple[nn.Conv2d, SpatialGate]:
    """`before`, a 1x1 convolution, with `pat`'s batch norm and convolution inside, and the rest.

    Exact: with W, b of the convolution's last c_p rows, V of the partial convolution and
    y -> s y + t of the batch norm in evaluation mode, the merged rows are V diag(s) W and
    V (s b + t). Works on meta tensors.
    """
    scale, shift = batch_norm_affine(pat.norm)
    mix = pat.conv.weight.flatten(1)  # (c_p, c_p)
    rows = before.weight.flatten(1)  # (c, hidden)
    bias = before.bias if before.bias is not None else rows.new_zeros(rows.shape[0])
    kept, replaced = torch.split(rows, [pat.rest, pat.part])
    kept_bias, replaced_bias = torch.split(bias, [pat.rest, pat.part])
    merged = nn.Conv2d(
        before.in_channels, before.out_channels, 1, device=rows.device, dtype=rows.dtype
    )
    with torch.no_grad():
        weight = torch.cat([kept, mix @ (scale[:, None] * replaced)])
        merged.weight.copy_(weight[:, :, None, None])
        assert merged.bias is not None
        merged.bias.copy_(torch.cat([kept_bias, mix @ (scale * replaced_bias + shift)]))
    return merged, pat.spatial


def batch_norm_affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """(scale, shift) of a batch norm in evaluation mode: y = scale * x + shift, per channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
