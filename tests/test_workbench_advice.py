"""The workbench's recommendation against brute force, and re-predicted by tracing."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("moocore", reason="the recommendation needs the extra app")

import torch

import costmodel as cm
from costmodel.workbench.advice import Advice, advise
from costmodel.workbench.figures import pareto
from costmodel.workbench.networks import parameters_of
from costmodel.workbench.screen import Screen
from costmodel.workbench.state import State, read_query
from costmodel.workbench.tasks import TASKS
from costmodel.zoo.families import family

MIB = 2**20


def predicted(state: State) -> cm.Estimate:
    """The network of a state, built as a module, traced and predicted."""
    found, parameters = family(TASKS[state.task].family().name), parameters_of(state)
    with torch.device("meta"):
        model = found.build(**parameters)
    graph = cm.trace(model, *found.inputs(min(state.batch, 2), **parameters))
    return cm.estimate(graph, state.device, state.batch, state.precision)


def capacity(found: cm.Estimate) -> float:
    return math.sqrt(float(found.total.parameters) * float(found.total.macs) / found.batch)


def advice(query: str) -> Advice:
    return advise(read_query(query).state)


@pytest.mark.parametrize(
    "query",
    [
        "latency=6&memory=200",
        "latency=2&batch=1",
        "task=vit&latency=8&device=t4",
        "task=llm&latency=20&memory=20000&device=h200&precision=bf16&context=32768",
    ],
)
def test_the_recommendation_keeps_its_budget_when_traced(query: str) -> None:
    found = advice(query)
    best = found.recommended
    assert best is not None
    state = found.state.changed(**best.changes)
    traced = predicted(state)
    assert traced.latency == pytest.approx(best.latency, rel=1e-9)
    assert traced.peak_memory == pytest.approx(best.memory, rel=1e-9)
    assert capacity(traced) == pytest.approx(best.capacity, rel=1e-9)
    assert state.latency is not None
    assert traced.latency * 1e3 <= state.latency
    if state.memory is not None:
        assert traced.peak_memory <= state.memory * MIB


def test_the_recommendation_is_the_best_of_all() -> None:
    found = advice("latency=6&memory=120")
    rows = range(len(found.choices.designs))
    options = [found.option(row) for row in rows]
    fitting = [o for o in options if o.latency <= 6e-3 and o.memory <= 120 * MIB]
    assert found.recommended == max(fitting, key=lambda option: option.capacity)
    assert len(fitting) == int(found.fits.sum())
    # Some of the columns it was chosen from, each against a trace of its own.
    for row in rows[:: len(options) // 5]:
        traced = predicted(found.state.changed(**options[row].changes))
        assert options[row].latency == pytest.approx(traced.latency, rel=1e-9)
        assert options[row].macs * found.state.batch == float(traced.total.macs)


def test_a_tighter_budget_never_gives_more() -> None:
    best = [advice(f"latency={limit}").recommended for limit in (40, 20, 10, 5, 2.5, 1.2)]
    sizes = [option.capacity for option in best if option is not None]
    assert len(sizes) == 6
    assert sizes == sorted(sizes, reverse=True)


def test_what_binds_is_named() -> None:
    latency_binds = advice("latency=2&memory=4000").reasons
    assert any("latency budget of 2 ms binds" in line for line in latency_binds)
    assert any("memory budget of 3.91 GiB does not bind" in line for line in latency_binds)
    memory_binds = advice("latency=1000&memory=30").reasons
    assert any("memory budget of 30 MiB binds" in line for line in memory_binds)


def test_a_budget_that_nothing_keeps_says_why_and_what_comes_nearest() -> None:
    found = advice("latency=0.05")
    assert found.recommended is None
    assert "None of 720 designs" in found.headline
    fastest = min(range(720), key=lambda row: found.option(row).latency)
    assert found.nearest == found.option(fastest)
    traced = predicted(found.state.changed(**found.nearest.changes))
    factor = f"{traced.latency / 50e-6:.2g}x the budget"
    assert any("least latency" in line and factor in line for line in found.reasons)
    assert "Nearest to the budget" in found.nearest_text


def test_a_design_over_its_budget_gets_the_nearest_that_fits() -> None:
    found = advice("latency=6")
    assert found.broken
    assert found.nearest is not None
    assert found.nearest.latency <= 6e-3
    now, changes = found.state, found.nearest.changes
    assert changes["block"] == now.block
    # Nothing else that fits differs by less, in doublings of depth and width.
    steps = abs(math.log2(changes["depth"] / now.depth)) + abs(math.log2(changes["width"] / 96))
    for design, fits in zip(found.choices.designs, found.fits, strict=True):
        if fits and design["block"] == now.block:
            other = abs(math.log2(design["depth"] / 13)) + abs(math.log2(design["width"] / 96))
            assert other >= steps


def test_a_design_that_fits_needs_no_nearest() -> None:
    found = advice("latency=1000")
    assert found.nearest is None
    assert found.nearest_text == ""


def test_applied_recommendations_are_kept() -> None:
    found = advice("latency=6")
    assert found.recommended is not None
    again = advise(found.state.changed(**found.recommended.changes))
    assert again.is_best
    assert "keep the present design" in again.headline


def test_without_a_budget_nothing_is_recommended() -> None:
    found = advice("latency=")
    assert (found.recommended, found.nearest) == (None, None)
    assert "Set a latency or memory budget" in found.headline


def test_the_best_of_each_block_is_its_own_best() -> None:
    found = advice("latency=6")
    table = found.by_kind()
    assert [row[0] for row in table.rows] == [
        "Convolution", "Depthwise", "Separable", "Inverted residual", "PConv", "PATConv",
    ]  # fmt: skip
    best = max(row[3] for row in table.rows)
    assert found.recommended is not None
    assert best == found.recommended.capacity


def test_ways_of_attention_are_compared() -> None:
    found = advice("task=llm&latency=20")
    assert len(found.choices.designs) == 4 * 12 * 8
    assert [row[0] for row in found.by_kind().rows] == [
        "Multi-head", "4 queries a key", "8 queries a key", "Multi-query",
    ]  # fmt: skip
    assert "MACs per token" in [column.title for column in found.by_kind().columns]
    hopeless = advice("task=llm&latency=0.05")
    assert any("or lower context, batch or precision" in line for line in hopeless.reasons)


def test_the_chart_shows_where_one_is() -> None:
    found = advice("latency=6")
    figure = pareto(found, Screen())
    marks = {trace["name"]: trace for trace in figure["data"]}
    here = predicted(found.state)
    assert marks["you are here"]["x"] == pytest.approx([here.latency * 1e3])
    assert marks["you are here"]["y"] == pytest.approx([capacity(here)])
    assert found.recommended is not None
    assert marks["recommended"]["x"] == pytest.approx([found.recommended.latency * 1e3])
    for name in ("Convolution", "PConv"):
        assert marks[name]["x"] == sorted(marks[name]["x"])
        assert marks[name]["y"] == sorted(marks[name]["y"])
