"""Operators compared: what PATConv runs, where operators tie, the map of the fastest, the page."""

from __future__ import annotations

import html
import json
import re

import pytest

from costmodel.cli import main
from costmodel.crossovers import closed_form, crossover
from costmodel.errors import UsageError
from costmodel.estimation import estimate
from costmodel.formulas.notation import text
from costmodel.hardware import load_device
from costmodel.reports.operators.comparison import OperatorComparison, compare_operators
from costmodel.reports.operators.crossovers import changes, formula_text
from costmodel.reports.operators.map import operator_map
from costmodel.reports.operators.page import operator_page
from costmodel.reports.operators.variants import OPERATORS, parse_operator

PEAK, BANDWIDTH = 15.7e12, 900e9
"""Of a V100: float32 FLOP/s and B/s, from its datasheet."""

SIZES = {"n": 16, "h": 56, "w": 56, "k": 3}


def compared(
    *names: str,
    channels: tuple[int, ...] = (32, 64, 128, 256, 512),
    size: int = 56,
    kernel: int = 3,
) -> OperatorComparison:
    operators = [parse_operator(name) for name in names]
    (found,) = compare_operators(
        operators, channels, size, kernel, ["v100-sxm2"], [16], without=["all"]
    )
    return found


# ------------------------------------------------------------------------------- what runs


def test_patconv_runs_what_the_zoo_module_runs() -> None:
    """All but the last concatenation, which an implementation in place does not need."""
    torch = pytest.importorskip("torch")
    from costmodel.tracing.eager import trace
    from costmodel.zoo.pat_channel import PATch

    with torch.device("meta"):
        traced = trace(PATch(64, 1 / 4).eval(), (1, 64, 56, 56))
    ran = sorted(op.target for op in traced.ops if not op.is_view)
    built = parse_operator("patconv:1/4").graph(64, 56, 3)
    ran.remove("aten::cat")
    assert sorted(op.target for op in built.ops) == ran
    of_module, of_builder = (estimate(g, "v100-sxm2").total for g in (traced, built))
    assert of_builder.macs == of_module.macs
    assert of_builder.flops == of_module.flops
    assert of_module.bytes - of_builder.bytes == 2 * 64 * 56 * 56 * 4  # that concatenation
    assert of_builder.parameters == of_module.parameters


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_formula_and_graph_of_an_operator_agree(name: str) -> None:
    """The closed form that is solved and the graph that is timed are the same operator."""
    operator = parse_operator(name)
    cost = operator.formula(n=1, c=64, h=14, w=14, k=5, b_x=4, b_w=4, b_y=4)
    total = estimate(operator.graph(64, 14, 5), "v100-sxm2").total
    assert float(cost.macs) == total.macs
    statistics = 2 * 2 * 48 * 4 if name == "patconv" else 0  # means and deviations joined: 2 x 48
    assert float(cost.bytes) == total.bytes - statistics


def test_patconv_needs_channels_to_attend_to() -> None:
    assert parse_operator("patconv").label == "patconv:1/4"
    for wrong in ("patconv:1", "patconv:0", "patconv:x"):
        with pytest.raises(UsageError, match="patconv"):
            parse_operator(wrong)


# ------------------------------------------------------------------------------ crossovers


def test_depthwise_and_partial_convolution_tie_where_worked_by_hand() -> None:
    """Memory of one is arithmetic of the other.

    dwconv moves (2 c h w n + 9 c) 4 bytes, pconv of c/4 computes 2 h w n 9 (c/4)^2 FLOPs.
    """
    positions = 16 * 56 * 56
    by_hand = 4 * (2 * positions + 9) * PEAK / (BANDWIDTH * 2 * 9 * positions / 16)
    found = compared("dwconv", "pconv:1/4")
    (change,) = changes(found)
    assert change.solved is not None
    assert change.solved.size == pytest.approx(by_hand)
    assert change.solved.bounds == ("memory", "compute")
    assert change.faster == ("pconv:1/4", "dwconv")
    (tie,) = change.ties
    assert tie.low < by_hand < tie.high  # laws are off: the engine is the plain roofline


def test_the_closed_form_is_the_equation_solved() -> None:
    """c = 8 P b (k² + 2 h n w) / (B h k² n w), by rearranging the equation of the test above."""
    pair = ("dwconv", "pconv")
    (found,) = crossover(*pair, "v100-sxm2", "c", c_p="c/4", **SIZES)
    solved = closed_form(*pair, "v100-sxm2", found, c_p="c/4", **SIZES)
    assert solved is not None
    assert text(solved) == "8·P·b_x·(k² + 2·h·n·w)/(B·h·k²·n·w)"
    numbers = {"P": PEAK, "B": BANDWIDTH, "b_x": 4, **SIZES}
    at = {symbol: numbers[str(symbol)] for symbol in solved.free_symbols}
    assert float(solved.subs(at)) == pytest.approx(found.size)


def test_a_quadratic_gets_the_root_that_was_found() -> None:
    """The same two in k: k² (2 p c_p² / P - 4 c / B) = 8 p c / B has a root of either sign."""
    pair, sizes = ("dwconv", "pconv"), {"n": 16, "h": 56, "w": 56, "c": 512, "c_p": 128}
    (found,) = crossover(*pair, "v100-sxm2", "k", **sizes)
    positions = 16 * 56 * 56
    above = 8 * positions * 512 / BANDWIDTH
    below = 2 * positions * 128**2 / PEAK - 4 * 512 / BANDWIDTH
    assert found.size == pytest.approx((above / below) ** 0.5)
    solved = closed_form(*pair, "v100-sxm2", found, **sizes)
    assert solved is not None
    numbers = {"P": PEAK, "B": BANDWIDTH, "b_x": 4, **sizes}
    at = {symbol: numbers[str(symbol)] for symbol in solved.free_symbols}
    assert float(solved.subs(at)) == pytest.approx(found.size)


def test_what_has_no_short_solution_has_none() -> None:
    """With n and h growing as c does, the equation is of third degree."""
    sizes = {"n": "c", "h": "c", "w": 56, "k": 3, "c_in": "c", "c_out": "c"}
    found = crossover("conv", "separable", "v100-sxm2", "c", **sizes)
    assert found
    for one in found:
        assert closed_form("conv", "separable", "v100-sxm2", one, **sizes) is None


def test_ties_are_where_the_order_of_latencies_changes() -> None:
    found = compared("conv", "dwconv", "pconv:1/4", "separable")
    ties = list(found.ties())
    assert ties
    for tie in ties:
        one, other = found.of(tie.before), found.of(tie.after)
        at = {p.channels: p.time for p in one}, {p.channels: p.time for p in other}
        assert at[0][tie.low] < at[1][tie.low]
        assert at[0][tie.high] > at[1][tie.high]
    fastest = min((p for p in found.points if p.channels == 512), key=lambda p: p.time)
    assert found.fastest(512) == fastest


# --------------------------------------------------------------------------- map and page


def test_the_map_names_the_fastest_operator() -> None:
    names = ("conv", "dwconv", "pconv:1/4")
    cases = [compared(*names, size=size, kernel=k) for k in (3, 5) for size in (14, 56)]
    figure = operator_map(cases)
    heat = [trace for trace in figure.data if trace.type == "heatmap"]
    assert len(heat) == 2
    for trace, kernel in zip(heat, (3, 5), strict=True):
        for row, size in zip(trace.z, (14, 56), strict=True):
            (case,) = [c for c in cases if (c.kernel, c.size) == (kernel, size)]
            for z, channels in zip(row, case.channels, strict=True):
                times = {p.time: p.operator for p in case.points if p.channels == channels}
                assert names[int(z)] == times[min(times)]


def test_the_page_shows_the_crossovers() -> None:
    found = compared("dwconv", "pconv:1/4")
    page = operator_page([found])
    (change,) = changes(found)
    assert html.escape(formula_text(change)) in page
    assert "124.1" in page
    assert "Which operator is fastest" not in page
    assert "Which operator is fastest" in operator_page(
        [found, compared("dwconv", "pconv", size=14)]
    )


def test_the_command_takes_several_sizes_and_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare-ops", "dwconv", "pconv:1/4", "--channels", "64:128", "-d", "v100-sxm2"]
    assert main([*words, "--size", "14,56", "-k", "3", "-k", "5", "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    cases = [(c["size"], c["kernel"]) for c in document["comparisons"]]
    assert cases == [(14, 3), (56, 3), (14, 5), (56, 5)]
    solved = document["comparisons"][1]["crossovers"][0]
    assert solved["roofline"]["channels"] == pytest.approx(
        4 * (2 * 56 * 56 + 9) * PEAK / (BANDWIDTH * 2 * 9 * 56 * 56 / 16)
    )
    assert solved["roofline"]["formula"] == "8·P·b_x·(k² + 2·h·n·w)/(B·h·k²·n·w)"
    assert main([*words, "--size", "14,56"]) == 0
    assert re.search(r"batch +precision +size", capsys.readouterr().out)


def test_a_device_that_cannot_compute_is_left_out_of_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    two = [load_device(name) for name in ("edge-tpu", "v100-sxm2")]
    monkeypatch.setattr("costmodel.hardware.list_devices", lambda: two)
    words = ["compare-ops", "dwconv", "pconv", "--channels", "64", "-f", "csv"]
    assert main([*words, "-d", "all"]) == 0
    shown = capsys.readouterr()
    assert "left out: edge-tpu" in shown.err
    assert "\nv100-sxm2," in shown.out
    assert main([*words, "-d", "edge-tpu"]) == 2
    wrong = ["compare-ops", "gconv:7", "-c", "64", "-d", "all"]  # wrong on every device
    assert main(wrong) == 2
