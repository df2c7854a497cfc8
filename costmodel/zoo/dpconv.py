"""Dynamic partial convolution (DPConv): how many channels to convolve is learnt.

Source: "Partial Channel Network: Compute Fewer, Perform Better", section on learnable dynamic
partial convolution; `dynamic_split` explains its equations. Gates are real numbers while
training; their sign, passed straight through to the gradient, chooses 2 x 2 blocks whose Kronecker
product masks the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from costmodel.zoo.dynamic_split import DynamicSplit, gate_count, kappa
from costmodel.zoo.pconv import PConv


class StraightThroughSign(torch.autograd.Function):
    """1 where x > 0, else 0; the gradient passes where |x| <= 1 (as in binarised networks)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        passed: Tensor = grads[0] * (x.abs() <= 1).to(x.dtype)
        return passed


def binary_gates(gates: Tensor) -> Tensor:
    """Eq. 3's g = Sign(g~), as zeros and ones that gradients pass through."""
    binary: Tensor = StraightThroughSign.apply(gates)
    return binary


def relation(binary: Tensor) -> Tensor:
    """Eq. 2 and 3: the (2^K, 2^K) Kronecker product of ones (g = 1) and identities (g = 0)."""
    ones = torch.ones(2, 2, dtype=binary.dtype, device=binary.device)
    identity = torch.eye(2, dtype=binary.dtype, device=binary.device)
    product = torch.ones(1, 1, dtype=binary.dtype, device=binary.device)
    for gate in binary:
        product = torch.kron(product, gate * ones + (1 - gate) * identity)
    return product


def first_block(binary: Tensor) -> Tensor:
    """Eq. 5's mask m, (2^K,): one for the first c_p = 2^(sum g) channels."""
    channels = 2 ** binary.numel()
    active = torch.exp2(binary.detach().sum())
    return (torch.arange(channels, device=binary.device) < active).to(binary.dtype)


class DPConv(nn.Module):
    """k x k convolution over a learnt first part of c = 2^K channels; the rest is untouched.

    Input and output (n, c, h, w). As it trains it costs a dense convolution, and `to_pconv` gives
    the partial one that is deployed. The gates start at r_p = `ratio`. The mask covers inputs
    only, as in the paper: it cuts no value off while the gates are ordered, and it leaves closed
    gates the gradient that can open them.
    """

    def __init__(self, channels: int, ratio: float = 1 / 4, kernel_size: int = 3) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        start = DynamicSplit.of_ratio(channels, ratio).gates
        self.gates = nn.Parameter(torch.tensor([0.5 if gate else -0.5 for gate in start]))
        self.weight = nn.Parameter(torch.empty(channels, channels, kernel_size, kernel_size))
        nn.init.kaiming_normal_(self.weight)
        assert self.gates.numel() == gate_count(channels)

    @property
    def split(self) -> DynamicSplit:
        """The present gates as numbers: channels convolved, split ratio, complexity."""
        return DynamicSplit(tuple(int(gate > 0) for gate in self.gates.tolist()))

    def forward(self, x: Tensor) -> Tensor:
        binary = binary_gates(self.gates)
        kept = first_block(binary)
        connected = relation(binary) * kept  # (outputs, inputs): Eq. 4's U, masked by input
        weight = self.weight * connected[:, :, None, None]
        convolved = nn.functional.conv2d(x, weight, padding=self.kernel_size // 2)
        return convolved + x * (1 - kept)[:, None, None]

    def zeta(self) -> Tensor:
        """Eq. 7, 2^(2 sum g), differentiable towards the gates."""
        return torch.exp2(2 * binary_gates(self.gates).sum())

    def zeta_unmasked(self) -> Tensor:
        """Eq. 6, the ones of U before the mask, c 2^(sum g), differentiable towards the gates."""
        return self.weight.shape[0] * torch.exp2(binary_gates(self.gates).sum())

    def psi(self) -> Tensor:
        """Eq. 8: |g~| of every gate that is one while its successor is zero, summed.

        The equation's summand has an index that its condition lacks; this reading penalises the
        gates that break the order, and is zero when none does.
        """
        binary = binary_gates(self.gates.detach())
        breaks = binary[:-1] * (1 - binary[1:])
        return (self.gates[:-1].abs() * breaks).sum()

    def to_pconv(self) -> PConv:
        """The partial convolution that these gates stand for; equal outputs if they are ordered."""
        split = self.split
        pconv = PConv(split.channels, float(split.split_ratio), self.kernel_size)
        pconv = pconv.to(self.weight.device, self.weight.dtype)
        with torch.no_grad():
            pconv.conv.weight.copy_(self.weight[: split.active, : split.active])
        return pconv


def constrained_loss(
    loss: Tensor,
    layers: Iterable[DPConv],
    theta: float,
    alpha: float = -0.01,
    beta: float = 0.9,
) -> Tensor:
    """Eq. 9: loss * (kappa / zeta)^alpha + beta * psi, with alpha = 0 while zeta <= kappa."""
    layers = list(layers)
    budget = kappa([layer.weight.shape[0] for layer in layers], theta)
    zeta = torch.stack([layer.zeta() for layer in layers]).sum()
    psi = torch.stack([layer.psi() for layer in layers]).sum()
    exponent = torch.where(zeta > budget, alpha, 0.0)
    return loss * (budget / zeta) ** exponent + beta * psi
