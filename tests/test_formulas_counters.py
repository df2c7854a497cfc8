"""Traced totals against the framework's own counter, on models where that counter is right.

It counts convolutions, matrix products and attention; it is told apart from ours only where it is
known to be wrong: causal attention (never halved) and gradients of grouped convolutions.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm", reason="the models come from the zoo extra")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from costmodel.formulas.columns import columns_of  # noqa: E402
from costmodel.tracing.eager import trace  # noqa: E402

MODELS = [
    "resnet18",  # dense convolution
    "resnext50_32x4d",  # grouped convolution
    "mobilenetv3_small_100",  # depthwise, squeeze-excitation
    "efficientnet_b0",
    "densenet121",  # concatenation
    "vit_tiny_patch16_224",  # attention
    "swin_tiny_patch4_window7_224",  # windowed attention with a bias
    "convnext_atto",  # depthwise 7x7, channels last
    "mixer_s32_224",  # matrix products along positions
    "poolformer_s12",  # pooling, group norm
]


@pytest.mark.parametrize("name", MODELS)
def test_multiply_accumulates_are_half_the_counted_flops(name):
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False).eval()
    image = torch.empty(2, *model.default_cfg["input_size"], device="meta")
    graph = trace(model, image)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    columns = columns_of(graph)
    columns.require_coverage()
    macs = columns.evaluate().cost.macs @ columns.counts
    assert macs == counter.get_total_flops() / 2
    assert graph.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("groups", [1, 4])
def test_gradients_as_the_framework_records_them(groups):
    """The counter ignores groups in gradients of weights; twice the forward is right for any."""
    from costmodel.tracing.recorder import Recorder
    from costmodel.tracing.tape import Tape

    layer = torch.nn.Conv2d(8, 16, 3, padding=1, groups=groups, device="meta")
    image = torch.empty(2, 8, 6, 6, device="meta", requires_grad=True)
    tape = Tape(layer)
    with Recorder(tape):
        layer(image).sum().backward()
    events = {event.target: event for event in tape.events}
    assert events["aten::convolution_backward"].attrs["groups"] == groups
    graph = tape.to_graph("conv", [image], [], batch=2)
    columns = columns_of(graph)
    macs = columns.evaluate().cost.macs
    by_target = {row.target: float(value) for row, value in zip(columns.table, macs, strict=True)}
    assert by_target["aten::convolution_backward"] == 2 * by_target["aten::convolution"]
    assert by_target["aten::convolution"] == 2 * 36 * 9 * 8 * 16 / groups


BLOCKS = [
    # zoo module, formula, its symbols: MACs and parameters of both
    ("PATch", {"channels": 16}, "pat_ch", {"c_p": 4, "k": 3}),
    ("PATsp", {"channels": 16}, "pat_sp", {"c_p": 8}),
    (
        "PATsf", {"channels": 16, "heads": 3}, "pat_sf",
        {"c_p": 4, "k": 3, "heads": 3, "buckets": 81, "b_i": 8},
    ),
    ("PConv", {"channels": 16}, "pconv", {"c_p": 4, "k": 3}),
    ("SqueezeExcitation", {"channels": 16}, "squeeze_excitation", {"c_mid": 4}),
    ("SRM", {"channels": 16}, "srm", {}),
    ("GaussianSE", {"channels": 16}, "gaussian_channel_attention", {}),
    ("SeparableConv", {"in_channels": 16, "out_channels": 24}, "separable",
     {"c_in": 16, "c_out": 24, "k": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("module", "arguments", "name", "values"), BLOCKS)
def test_blocks_of_the_zoo_cost_what_their_formulas_say(module, arguments, name, values):
    import importlib

    from costmodel.formulas import get_formula

    homes = {
        "PATch": "pat_channel", "PATsp": "pat_spatial", "PATsf": "pat_self", "PConv": "pconv",
        "SqueezeExcitation": "squeeze_excitation", "SRM": "style_attention",
        "GaussianSE": "style_attention", "SeparableConv": "separable",
    }  # fmt: skip
    home = importlib.import_module(f"costmodel.zoo.{homes[module]}")
    with torch.device("meta"):
        block = getattr(home, module)(**arguments)
    graph = trace(block, (2, 16, 7, 7))
    formula = get_formula(name)
    known = {"n": 2, "c": 16, "h": 7, "w": 7, "p": 49, "b_x": 4, "b_w": 4, "b_y": 4, **values}
    cost = formula(**{symbol: known[symbol] for symbol in formula.symbols})
    columns = columns_of(graph)
    columns.require_coverage()
    traced, counts = columns.evaluate().cost, columns.counts
    assert cost.macs == traced.macs @ counts
    assert cost.parameters == graph.parameters
    if name != "pat_sf":  # it scales queries where the formula scales scores
        work = [kind != "movement" for kind in columns.kinds]  # joining the halves
        assert cost.other_flops == (traced.other_flops * counts)[work].sum()
        assert cost.bytes_read == (traced.bytes_read * counts)[work].sum()
        assert cost.bytes_written == (traced.bytes_written * counts)[work].sum()
