"""Partial convolution (PConv): convolve some channels, pass the others on untouched.

Source: "Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks" (FasterNet).
With c_p of c channels it takes h * w * k^2 * c_p^2 multiply-accumulates and, to first order,
moves h * w * 2 * c_p activations: 1/16 and 1/4 of a dense convolution when c_p = c / 4.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from costmodel.errors import UsageError
from costmodel.zoo.split import partial_channels

PConvForm = Literal["split_cat", "slicing"]


class PConv(nn.Module):
    """Convolution over the first c_p channels; the rest is bit-equal in the output.

    Input and output: (n, channels, h, w). `form` decides how the parts are joined:
    "split_cat" splits, convolves and concatenates, which autograd can follow; "slicing" writes
    the convolved part into a clone of the input and is meant for inference.
    """

    def __init__(
        self,
        channels: int,
        ratio: float = 1 / 4,
        kernel_size: int = 3,
        form: PConvForm = "split_cat",
    ) -> None:
        super().__init__()
        if form not in ("split_cat", "slicing"):
            raise UsageError(f"PConv form {form!r}: expected 'split_cat' or 'slicing'")
        self.part = partial_channels(channels, ratio)
        self.rest = channels - self.part
        self.form = form
        self.conv = nn.Conv2d(
            self.part, self.part, kernel_size, padding=kernel_size // 2, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.form == "slicing":
            y = x.clone()
            y[:, : self.part] = self.conv(x[:, : self.part])
            return y
        active, untouched = torch.split(x, [self.part, self.rest], dim=1)
        return torch.cat([self.conv(active), untouched], dim=1)

    def extra_repr(self) -> str:
        return f"part={self.part}, rest={self.rest}, form={self.form}"
