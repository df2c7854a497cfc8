"""Each block against an independent statement of what it computes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from costmodel import zoo
from costmodel.zoo.partialnet import PartialNetBlock
from costmodel.zoo.pat_spatial import SpatialGate
from costmodel.zoo.relative_position import distance_buckets


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def lived_in(module: nn.Module) -> nn.Module:
    """The module in evaluation mode with batch norms that have seen data."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return module.eval()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    "block",
    [
        zoo.PATch(16),
        zoo.PATch(16, attended="all"),
        zoo.PATch(16, attention=zoo.SRM),
        zoo.PATch(16, attention=zoo.SqueezeExcitation),
        zoo.PATsp(16),
        zoo.PATsp(16, attended="all"),
        zoo.PATsf(16, heads=4, grid=(6, 5)),
        zoo.PATsf(16, heads=4, attended="all"),
        zoo.DPConv(16),
        zoo.SeparableConv(16, 16),
        zoo.SeparableConv(16, 16, act="relu"),
        zoo.InvertedResidual(16, 16),
    ],
    ids=lambda block: type(block).__name__,
)
def test_shape_is_kept_and_gradients_flow(block: nn.Module) -> None:
    x = torch.randn(2, 16, 6, 5, requires_grad=True)
    y = block(x)
    assert y.shape == x.shape
    y.square().sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name


def test_pat_ch_convolves_one_part_and_attends_to_the_other() -> None:
    block = lived_in(zoo.PATch(16, 1 / 4))
    x = torch.randn(3, 16, 5, 6)
    with torch.no_grad():
        y = block(x)
        torch.testing.assert_close(
            y[:, :4], functional.conv2d(x[:, :4], block.conv.weight, padding=1)
        )
        # The attention, spelled out: dense weights over means and standard deviations.
        rest = x[:, 4:]
        attention = block.attention
        w = attention.mix.weight  # (12, 12, 1, 2)
        mean = rest.mean((2, 3))
        std = ((rest - mean[:, :, None, None]) ** 2).mean((2, 3)).sqrt()
        z = mean @ w[:, :, 0, 0].T + std @ w[:, :, 0, 1].T
        norm = attention.norm
        z = (z - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        gate = ((z + 3) / 6).clamp(0, 1)
        torch.testing.assert_close(y[:, 4:], block.norm(rest * gate[:, :, None, None]))


def test_pat_parts_do_not_see_each_other() -> None:
    for block, part in ((zoo.PATch(16), 4), (zoo.PATsf(16, heads=4), 4)):
        lived_in(block)
        x = torch.randn(1, 16, 7, 7)
        other = torch.cat([x[:, :part], torch.randn(1, 16 - part, 7, 7)], dim=1)
        with torch.no_grad():
            assert torch.equal(block(x)[:, :part], block(other)[:, :part])


def test_srm_weighs_each_channel_by_itself_and_gaussian_se_by_all() -> None:
    x = torch.randn(1, 4, 5, 5)
    changed = x.clone()
    changed[:, 0] *= 3
    with torch.no_grad():
        for attention, alone in ((zoo.SRM(4), True), (zoo.GaussianSE(4), False)):
            attention.eval()
            same = torch.equal(attention(x)[:, 1:], attention(changed)[:, 1:])
            assert same is alone
    assert parameters(zoo.SRM(8)) == 2 * 8 + 2 * 8
    assert parameters(zoo.GaussianSE(8)) == 2 * 8 * 8 + 2 * 8


def test_style_attention_has_no_gradient_or_value_trouble_on_one_pixel() -> None:
    assert zoo.GaussianSE(4).eval()(torch.randn(2, 4, 1, 1)).isfinite().all()


def test_squeeze_excitation_by_hand() -> None:
    block = zoo.SqueezeExcitation(8, reduction=4)
    x = torch.randn(2, 8, 3, 3)
    reduce, expand = block.reduce, block.expand
    squeezed = functional.relu(x.mean((2, 3)) @ reduce.weight.flatten(1).T + reduce.bias)
    weight = torch.sigmoid(squeezed @ expand.weight.flatten(1).T + expand.bias)
    torch.testing.assert_close(block(x), x * weight[:, :, None, None])


@pytest.mark.parametrize("ratio", [1 / 4, 1 / 2])
@pytest.mark.parametrize("attended", ["rest", "all"])
def test_pat_sp_merges_exactly(attended: str, ratio: float) -> None:
    spatial = zoo.PATsp(16, ratio, attended=attended)  # type: ignore[arg-type]
    block = PartialNetBlock(16, nn.Identity(), spatial, "gelu", split_shortcut=False)
    lived_in(block).double()
    x = torch.randn(2, 16, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        before = block(x)
        weights = parameters(block)
        block.merge_spatial()
        torch.testing.assert_close(block(x), before, rtol=1e-12, atol=1e-12)
    part = int(16 * ratio)
    assert isinstance(block.spatial, SpatialGate)
    # the partial convolution and its batch norm are gone, the MLP gains a bias
    assert weights - parameters(block) == part * part + 2 * part - 16


def test_merged_spatial_gate_leaves_the_mixed_part_bit_equal() -> None:
    gate = lived_in(SpatialGate(16, 8))
    x = torch.randn(1, 16, 4, 4)
    with torch.no_grad():
        y = gate(x)
        weight = ((functional.conv2d(x[:, :8], gate.squeeze.weight) + 3) / 6).clamp(0, 1)
        torch.testing.assert_close(y[:, :8], gate.norm(x[:, :8] * weight))
    assert torch.equal(y[:, 8:], x[:, 8:])


def test_self_attention_against_the_fused_operator() -> None:
    block = zoo.PATsf(16, heads=4, grid=(3, 5)).eval()
    nn.init.normal_(block.attention.position.table)
    x = torch.randn(2, 16, 3, 5)
    with torch.no_grad():
        y = block(x)
        rest = x[:, 4:]
        mean, var = rest.mean(1, keepdim=True), rest.var(1, correction=0, keepdim=True)
        tokens = ((rest - mean) / (var + 1e-6).sqrt()).flatten(2).transpose(1, 2)
        query, key, value = (
            (tokens @ w.T).reshape(2, 15, 4, 3).transpose(1, 2)
            for w in block.attention.qkv.weight.chunk(3)
        )
        bias = torch.empty(4, 15, 15)
        for i in range(15):
            for j in range(15):
                distance = math.dist(divmod(i, 5), divmod(j, 5))
                bias[:, i, j] = block.attention.position.table[:, round(distance)]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
        expected = block.attention.proj(mixed.transpose(1, 2).reshape(2, 15, 12))
        torch.testing.assert_close(
            y[:, 4:], expected.transpose(1, 2).reshape(2, 12, 3, 5), rtol=1e-4, atol=1e-5
        )


def test_distance_buckets_saturate() -> None:
    table = distance_buckets(1, 400, ratio=20).tolist()
    assert table[0][:21] == list(range(21))
    assert table[0] == sorted(table[0])
    assert max(table[0]) == 40
    assert table[5][0] == table[0][5]


def test_position_bias_of_another_grid_than_the_kept_one() -> None:
    block = zoo.PATsf(16, heads=4, grid=(7, 7))
    assert block(torch.randn(1, 16, 4, 9)).shape == (1, 16, 4, 9)


def test_separable_convolution_by_hand() -> None:
    """Worked example of the lesson on efficient architectures: 256 channels on 56 x 56."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        separable = zoo.SeparableConv(256, 256)
        x = torch.empty(1, 256, 56, 56)
    with FlopCounterMode(display=False) as counter:
        separable(x)
    assert counter.get_total_flops() == 2 * 212_746_240
    assert parameters(separable) == 67_840


def test_inverted_residual_by_hand() -> None:
    """Worked example of the lesson: 24 channels on 56 x 56, expansion 6."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        block = zoo.InvertedResidual(24, 24)
        x = torch.empty(1, 24, 56, 56)
    with FlopCounterMode(display=False) as counter:
        block(x)
    assert counter.get_total_flops() == 2 * 25_740_288


def test_inverted_residual_skips_only_between_equal_shapes() -> None:
    block = zoo.InvertedResidual(8, 8).eval()
    nn.init.zeros_(block.layers[-2].weight)
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(block(x), x)
    strided: Tensor = zoo.InvertedResidual(8, 12, stride=2)(x)
    assert strided.shape == (1, 12, 3, 3)
