"""Costs by summing over cells against tracing the whole network; families against the zoo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

import costmodel as cm
from costmodel.search import Evaluator, Space, list_spaces, load_space
from costmodel.zoo.families import families, family, pytorch_code

DEVICES = ("v100-sxm2", "rtx-4090", "epyc-73f3")
DESIGNS = 200
"""Random designs per space, the same as benchmarks/search.py takes, which traces all of them."""
KINKED = 1e-3
"""Relative error that is stated at most where laws have kinks, as those of CPUs do."""
TRACED = 10
"""Those of them that are traced here."""


@contextmanager
def without_initial_values() -> Iterator[None]:
    """Weights on the meta device have no values, and setting them takes half of building."""
    layers = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm)
    before = [layer.reset_parameters for layer in layers]
    for layer in layers:
        layer.reset_parameters = lambda self: None  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        for layer, method in zip(layers, before, strict=True):
            layer.reset_parameters = method  # type: ignore[method-assign,assignment]


def whole_network(space: Space, code: np.ndarray, batch: int) -> cm.Graph:
    design = space.design(code)
    with without_initial_values(), torch.device("meta"):
        model = space.module(design)
    return cm.trace(model, *space.inputs(design, batch))


CONDITIONS = [
    *((name, *((1, "fp32") if len(name) % 2 else (8, "fp16"))) for name in list_spaces()),
    ("decoder", 2, "fp32"),  # what it keeps from run to run grows with the batch
    ("decoder", 8, "fp16"),
]


@pytest.mark.parametrize(("name", "batch", "precision"), CONDITIONS)
def test_sums_over_cells_are_what_tracing_the_whole_network_gives(
    name: str, batch: int, precision: str
) -> None:
    space = load_space(name)
    traced = 4 if name == "decoder" else TRACED  # three times, of up to 80 blocks
    picked = np.random.default_rng(1).choice(DESIGNS, traced, replace=False)
    codes = space.sample(DESIGNS, seed=len(name))[picked]
    with without_initial_values():
        evaluator = Evaluator(space, DEVICES, batch, precision)
        columns = evaluator(codes)
    assert max(evaluator.error[:2]) < 1e-9
    assert evaluator.error[2] < KINKED
    for index in range(traced):
        graph = whole_network(space, codes[index], min(batch, 2))
        estimates = [cm.estimate(graph, device, batch, precision) for device in DEVICES]
        first = estimates[0]
        assert columns.parameters[index] == graph.parameters
        assert columns.macs[index] == first.total.macs
        assert columns.flops[index] == first.total.flops
        assert columns.bytes[index] == first.total.bytes
        assert columns.memory[index] == first.peak_memory
        assert columns.operators[index] == sum(not op.is_view for op in graph.ops)
        for row, estimate in enumerate(estimates):
            within = 1e-9 + 2 * evaluator.error[row]
            assert columns.latency[row, index] == pytest.approx(estimate.latency, rel=within)
            assert estimate.energy is not None
            assert columns.energy[row, index] == pytest.approx(estimate.energy.joules, rel=within)


def test_one_design_or_many_laws_or_none() -> None:
    """A design costs the same alone as among others, and with laws switched off."""
    space = load_space("vit")
    codes = space.sample(64, seed=3)
    together = Evaluator(space, ["rtx-4090"], without=["tiles"])(codes)
    alone = Evaluator(space, ["rtx-4090"], without=["tiles"])
    for index in (0, 17, 63):
        single = alone(codes[index])
        assert single.latency[0, 0] == pytest.approx(together.latency[0, index], rel=1e-9)
        assert single.macs[0] == together.macs[index]


def test_weights_that_fit_the_cache_make_time_depend_on_the_whole_run() -> None:
    """The reason for the polynomials: the same cell in a smaller network is faster."""
    space = load_space("vit").restricted(patch=32, width=192, heads=3, mlp_ratio=4.0)
    evaluator = Evaluator(space, ["rtx-4090"], without=["launch"])
    columns = evaluator(space.enumerate())
    blocks = space.values(columns.codes)["depth"]
    per_block = columns.latency[0] / blocks
    shortest, longest = np.argmin(blocks), np.argmax(blocks)
    assert per_block[shortest] != pytest.approx(per_block[longest], rel=1e-6)
    assert max(evaluator.error) < 1e-9


SAME_AS_ZOO = [
    (name, source)
    for name in ("dpconv", "fasternet", "mobilenet_v2")
    for source in family(name).known
    if source.startswith("zoo:") and not source.endswith(("_m", "_l", "_m_merged", "_l_merged"))
    and ("theta" not in source or "theta_4_" in source)
]  # fmt: skip


@pytest.mark.parametrize(("name", "source"), SAME_AS_ZOO)
def test_known_members_are_the_zoos_networks(name: str, source: str) -> None:
    found, theirs = family(name), cm.load_graph(source)
    parameters = found.known[source]
    with without_initial_values(), torch.device("meta"):
        model = found.build(**parameters)
    ours = cm.trace(model, *found.inputs(1, **parameters))
    assert ours.parameters == theirs.parameters
    ops = [[op.target for op in graph.ops if not op.is_view] for graph in (ours, theirs)]
    assert ops[0] == ops[1]
    a, b = (cm.estimate(graph, "v100-sxm2") for graph in (ours, theirs))
    assert (a.total.macs, a.total.bytes) == (b.total.macs, b.total.bytes)
    assert a.latency == pytest.approx(b.latency, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "parameters", "count", "gmacs"),
    [
        # parameters and operations that libraries and papers print
        ("efficientnet", {}, 5_288_548, 0.386),
        ("efficientnet", {"width": 1.1, "depth": 1.2, "resolution": 260}, 9_109_994, 0.99),
        ("vit", {}, 86_567_656, 17.56),
        ("vit", {"width": 192, "heads": 3}, 5_717_416, 1.25),
        # 464 + 5 x (14,016 + 55,680 + 221,952) + 14,464 + 57,600 + 128 + 650 by hand
        ("nasbench201", {}, 1_531_546, None),
    ],
)
def test_published_counts(name: str, parameters: dict, count: int, gmacs: float | None) -> None:
    found = family(name)
    with without_initial_values(), torch.device("meta"):
        model = found.build(**parameters)
    assert sum(p.numel() for p in model.parameters()) == count
    if gmacs is not None:
        graph = cm.trace(model, *found.inputs(1, **parameters))
        macs = float(cm.estimate(graph, "v100-sxm2").total.macs)
        assert macs / 1e9 == pytest.approx(gmacs, rel=0.005)


def test_edges_that_carry_nothing_cost_nothing() -> None:
    """Of NAS-Bench-201: a chain of skips is an identity, and dead ends are no part of a cell."""
    from costmodel.zoo.families.nasbench201 import effective

    dead = ("conv3", "none", "none", "skip", "none", "none")
    assert effective(dead) == ("none", "none", "none", "skip", "none", "none")
    assert effective(("conv3",) * 6) == ("conv3",) * 6
    assert effective(("none", "none", "conv3", "none", "conv1", "pool")) == ("none",) * 6


@pytest.mark.parametrize("name", [n for n in families() if "fasternet_" not in n])
def test_code_of_a_design_needs_nothing_of_this_package(name: str) -> None:
    found = family(name)
    code = pytorch_code(found, {})
    assert "costmodel" not in code.partition('"""')[2].partition('"""')[2]
    scope: dict = {"__name__": "design"}
    with without_initial_values(), torch.device("meta"):
        exec(compile(code, "design.py", "exec"), scope)
        model, ours = scope["design"](), found.build()
    if name == "decoder":  # its inputs would take gigabytes: tests/test_zoo_decoder.py
        assert not hasattr(scope["design"], "input_shape")
    else:
        assert scope["design"].input_shape == found.input_shape()
    shapes = [[tuple(p.shape) for p in m.parameters()] for m in (model, ours)]
    assert shapes[0] == shapes[1]
    assert not model.training
