"""FasterNet and the catalogue, against the published figures and torch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from costmodel import zoo
from costmodel.errors import UnknownNameError, UsageError

PUBLISHED = {  # parameters (M) and multiply-accumulates (G), FasterNet's ImageNet table
    "t0": (3.9, 0.34),
    "t1": (7.6, 0.85),
    "t2": (15.0, 1.91),
    "s": (31.1, 4.56),
    "m": (53.5, 8.74),
    "l": (93.5, 15.52),
}


def params_and_macs(name: str, **options: object) -> tuple[int, int]:
    """Parameters, and multiply-accumulates as torch's counter sees them, of one image."""
    with torch.device("meta"):
        model = zoo.create(name, **options)
        x = torch.empty(1, *zoo.input_shape(name))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2


@pytest.mark.parametrize("form", ["split_cat", "slicing"])
@pytest.mark.parametrize("variant", PUBLISHED)
def test_matches_published_figures(variant: str, form: str) -> None:
    params, macs = params_and_macs(f"fasternet_{variant}", form=form)
    published_params, published_macs = PUBLISHED[variant]
    assert params / 1e6 == pytest.approx(published_params, rel=0.005)
    # T0 has 0.3354 G, which the paper prints as 0.34: half a unit of its last digit is allowed.
    assert macs / 1e9 == pytest.approx(published_macs, rel=0.01, abs=0.005)
    if variant != "s":  # S has 31.18 M; the paper's 31.1 is cut off, not rounded
        assert round(params / 1e6, 1) == published_params


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="fasternet_t0"):
        zoo.create("fasternet-t0")
    with pytest.raises(UnknownNameError):
        zoo.input_shape("nothing_like_it")


def test_registering_twice_raises() -> None:
    with pytest.raises(UsageError, match="already"):
        zoo.register("fasternet_t0", lambda: nn.Identity())


@pytest.mark.parametrize("ratio", [1 / 8, 1 / 4, 1 / 2, 1.0])
@pytest.mark.parametrize("form", ["split_cat", "slicing"])
def test_pconv_convolves_one_part_and_leaves_the_rest(ratio: float, form: str) -> None:
    torch.manual_seed(0)
    pconv = zoo.PConv(16, ratio, form=form)  # type: ignore[arg-type]
    x = torch.randn(2, 16, 5, 7)
    before = x.clone()
    with torch.no_grad():
        y = pconv(x)
    part = int(16 * ratio)
    expected = nn.functional.conv2d(x[:, :part], pconv.conv.weight, padding=1)
    torch.testing.assert_close(y[:, :part], expected)
    assert torch.equal(y[:, part:], x[:, part:])
    assert torch.equal(x, before), "the input must not be written to"


def test_pconv_over_all_channels_is_a_convolution() -> None:
    pconv = zoo.PConv(8, 1.0)
    x = torch.randn(1, 8, 6, 6)
    torch.testing.assert_close(pconv(x), pconv.conv(x))


@pytest.mark.parametrize("ratio", [0, -0.5, 1.5])
def test_pconv_rejects_impossible_ratios(ratio: float) -> None:
    with pytest.raises(UsageError, match="split ratio"):
        zoo.PConv(8, ratio)
