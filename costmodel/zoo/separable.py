"""Depthwise separable convolution: filter each channel in space, then mix channels.

Source: "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications".
It takes (k^2 c_in + c_in c_out) h w multiply-accumulates, 1 / (1 / c_out + 1 / k^2) times fewer
than a dense convolution.
"""

from __future__ import annotations

from torch import nn

from costmodel.zoo.activation import Activation, activation


class SeparableConv(nn.Sequential):
    """Depthwise k x k, then 1x1, (n, c_in, h, w) to (n, c_out, h / stride, w / stride).

    With `act`, each convolution is followed by batch norm and that activation; without it the two
    stand alone and have k^2 c_in + c_in c_out weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        act: Activation | None = None,
    ) -> None:
        depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            stride,
            kernel_size // 2,
            groups=in_channels,
            bias=False,
        )
        pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        if act is None:
            super().__init__(depthwise, pointwise)
        else:
            super().__init__(
                depthwise,
                nn.BatchNorm2d(in_channels),
                activation(act),
                pointwise,
                nn.BatchNorm2d(out_channels),
                activation(act),
            )
