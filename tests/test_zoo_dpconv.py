"""DPConv against brute-force Kronecker products, for every gate setting up to 2^8 channels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import pytest
import torch

from costmodel import zoo
from costmodel.errors import UsageError
from costmodel.zoo.dpconv import constrained_loss, first_block, relation
from costmodel.zoo.dynamic_split import DynamicSplit, kappa


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Many tiny operators: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


ALL_GATES = [gates for k in range(1, 9) for gates in itertools.product((0, 1), repeat=k)]


def brute_force_relation(gates: tuple[int, ...]) -> torch.Tensor:
    """u_ij is one where i and j agree in every binary digit whose gate is zero."""
    k = len(gates)
    closed = sum(1 << (k - 1 - digit) for digit, gate in enumerate(gates) if not gate)
    i = torch.arange(2**k)
    return (((i[:, None] ^ i[None, :]) & closed) == 0).double()


@pytest.mark.parametrize("k", range(1, 9))
def test_relation_ratio_and_complexity_for_all_gates(k: int) -> None:
    for gates in itertools.product((0, 1), repeat=k):
        split = DynamicSplit(gates)
        binary = torch.tensor(gates, dtype=torch.float64)
        u = brute_force_relation(gates)
        assert torch.equal(relation(binary), u)

        c = 2**k
        assert split.printed_split_ratio == Fraction(2 ** sum(1 - g for g in gates), c)  # Eq. 5
        kept = [1 if i < 1 / split.printed_split_ratio else 0 for i in range(c)]
        assert first_block(binary).tolist() == kept
        assert split.active == sum(kept)
        assert split.split_ratio == Fraction(sum(kept), c)

        assert split.zeta_unmasked == u.sum()  # Eq. 6
        assert (u.sum(0) == split.active).all()  # the product of 1 + g_k, text before Eq. 7
        assert split.zeta == 2 ** (2 * sum(gates))  # Eq. 7
        masked = u * torch.tensor(kept, dtype=torch.float64)
        assert split.zeta == masked.sum()
        if split.ordered:  # then the mask leaves one dense block: a partial convolution
            assert masked[: split.active, : split.active].all()


def layer(gates: tuple[int, ...]) -> zoo.DPConv:
    dpconv = zoo.DPConv(2 ** len(gates), ratio=1)
    with torch.no_grad():
        dpconv.gates.copy_(torch.tensor([0.3 if g else -0.2 for g in gates]))
    return dpconv


@pytest.mark.parametrize("gates", [g for g in ALL_GATES if len(g) <= 5], ids=str)
def test_layer_agrees_with_its_numbers_and_leaves_the_rest(gates: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    dpconv = layer(gates)
    split = dpconv.split
    assert split.gates == gates
    assert dpconv.zeta().item() == split.zeta
    assert dpconv.zeta_unmasked().item() == split.zeta_unmasked
    breaks = [i for i in range(len(gates) - 1) if gates[i] and not gates[i + 1]]
    assert dpconv.psi().item() == pytest.approx(0.3 * len(breaks))
    assert split.ordered is (not breaks)
    x = torch.randn(1, split.channels, 4, 4)
    with torch.no_grad():
        y = dpconv(x)
        if split.ordered:
            assert torch.equal(y[:, split.active :], x[:, split.active :])
            torch.testing.assert_close(y, dpconv.to_pconv()(x), rtol=1e-5, atol=1e-5)


def test_gradients_reach_the_gates_from_loss_complexity_and_order() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 5)
    dpconv = layer((0, 1, 1))
    dpconv(x).square().sum().backward()
    assert dpconv.gates.grad is not None
    assert (dpconv.gates.grad != 0).all()

    for scalar in (dpconv.zeta(), dpconv.zeta_unmasked(), layer((1, 0, 1)).psi()):
        assert scalar.requires_grad
    (gradient,) = torch.autograd.grad(dpconv.zeta(), dpconv.gates)
    assert (gradient > 0).all(), "less of every gate makes it cheaper"

    unordered = layer((1, 0, 1))
    unordered.psi().backward()
    assert unordered.gates.grad is not None
    assert unordered.gates.grad.tolist() == [1, 0, 0]


def test_complexity_beyond_the_budget_is_penalised() -> None:
    cheap, dear = layer((0, 0, 1)), layer((1, 1, 1))
    loss = torch.tensor(2.0)
    assert kappa([8], theta=4) == 16
    assert constrained_loss(loss, [cheap], theta=4).item() == 2.0
    assert constrained_loss(loss, [dear], theta=4).item() == pytest.approx(2 * 4**0.01)
    unordered = layer((1, 0, 0))
    assert constrained_loss(loss, [unordered], theta=1).item() == pytest.approx(2 + 0.9 * 0.3)


def test_training_lowers_the_complexity_towards_the_budget() -> None:
    torch.manual_seed(0)
    dpconv = layer((0, 1, 1, 1))
    optimiser = torch.optim.SGD([dpconv.gates], lr=0.05)
    before = dpconv.split.zeta
    for _ in range(60):
        optimiser.zero_grad()
        constrained_loss(torch.tensor(1.0), [dpconv], theta=16, alpha=-1.0).backward()
        optimiser.step()
    assert dpconv.split.zeta < before
    assert dpconv.split.zeta <= kappa([16], theta=16)


@pytest.mark.parametrize("channels", [8, 32, 256])
@pytest.mark.parametrize("ratio", [1, 1 / 2, 1 / 4, 1 / 8])
def test_split_of_ratio(channels: int, ratio: float) -> None:
    split = DynamicSplit.of_ratio(channels, ratio)
    assert split.ordered
    assert split.channels == channels
    assert float(split.split_ratio) == ratio
    assert split.macs(7, 7) == 49 * 9 * int(channels * ratio) ** 2


@pytest.mark.parametrize(
    ("channels", "ratio"), [(48, 1 / 4), (8, 1 / 16), (8, 3 / 8), (8, 2), (1, 1)]
)
def test_impossible_splits_are_refused(channels: int, ratio: float) -> None:
    with pytest.raises(UsageError):
        DynamicSplit.of_ratio(channels, ratio)


def test_gates_are_zeros_and_ones() -> None:
    with pytest.raises(UsageError, match="gates"):
        DynamicSplit((0, 2))
