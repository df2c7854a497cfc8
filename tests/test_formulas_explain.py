"""Formulas explained and compared in symbols: notation, assumptions, ratios, crossovers."""

from __future__ import annotations

import json
import math

import pytest
import sympy

from costmodel.errors import UnknownNameError, UsageError
from costmodel.formulas import formula_names, get_formula
from costmodel.formulas.explain import explain_formula, explain_operator
from costmodel.formulas.notation import number, substituted, text
from costmodel.formulas.symbols import MEANING, expression, symbol
from costmodel.graph import Graph, Op, TensorSpec

C, K, H = symbol("c"), symbol("k"), symbol("h")


# ------------------------------------------------------------------- notation


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (C * K**2, "c·k²"),
        (K**12, "k¹²"),
        (2**K, "2^k"),
        (sympy.Min(H, 3), "min(3, h)"),
        (sympy.Max(H, 3), "max(3, h)"),
        (C / 4, "c/4"),
        (7, "7"),
    ],
)
def test_text(value, shown):
    assert text(value) == shown


def test_numbers_are_put_in_before_they_are_worked_out():
    assert substituted(C * K**2, {C: sympy.Integer(64), K: sympy.Integer(3)}) == "64·3²"
    assert substituted(H * (C + K), {C: sympy.Integer(2), K: sympy.Integer(2)}) == "h·(2 + 2)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1849688064, "1,849,688,064"), (0.08333333, "0.08333"), (421.28, "421.3"), (4.0, "4"),
     (1234.56, "1,234.6")],
)  # fmt: skip
def test_number(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("c/4", C / 4),
        (" 2*h + 1 ", 2 * H + 1),
        ("-(c - 3)**2", -((C - 3) ** 2)),
        ("0.25", sympy.Rational(1, 4)),
        ("1e3", sympy.Integer(1000)),
        (5, sympy.Integer(5)),
        (C, C),
    ],
)
def test_expression(written, meant):
    assert expression(written) == meant


@pytest.mark.parametrize(
    "written", ["", "c +", "foo", "c.real", "__import__('os')", "c and k", "True", "c // 2", "'c'",
                "c if k else h", "(" * 300 + "c" + ")" * 300]
)  # fmt: skip
def test_text_that_is_no_expression(written):
    with pytest.raises(UsageError) as error:
        expression(written)
    assert repr(written) in str(error.value)


# --------------------------------------------------------------- explanations


PCONV = {"n": 1, "c_p": "c_in/4", "c_in": 256, "k": 3, "h": 56, "w": 56}


def test_a_formula_at_assumptions():
    explained = explain_formula("pconv", PCONV)
    macs = explained["macs"]
    assert macs.value == 56 * 56 * 9 * 64**2 == 115_605_504
    assert macs.steps == ("h·n·w·c_p²·k²", "56·1·56·64²·3²", "115,605,504 MACs")
    assert macs.unit == "MACs"
    assert macs.latex == "c_{p}^{2} h k^{2} n w"
    assert explained["parameters"].value == 9 * 64**2
    # Bytes per element are not assumed, so that bytes stay an expression.
    read = explained["bytes_read"]
    assert read.value is None
    assert read.steps[-1] == "4096·(9·b_w + 49·b_x)"
    assert explained["other_flops"].steps == ("0 FLOPs",)
    assert explained.symbols["c_p"] == MEANING["c_p"]
    assert explained.assumptions["c_p"] == 64
    assert "c_in" not in explained.assumptions


def test_the_textbook_form_stands_beside_the_exact_one():
    macs, accesses = explain_formula("pconv", PCONV).textbook
    assert (macs.quantity, macs.ratio) == ("MACs", 1)
    assert accesses.simplified == 56 * 56 * 2 * 64
    assert accesses.exact == 56 * 56 * 2 * 64 + 9 * 64**2
    assert accesses.ratio == pytest.approx(438272 / 401408)
    assert "weights" in accesses.difference
    assert "equations 5 and 6" in accesses.citation
    open_form = explain_formula("pconv").textbook[1]
    assert open_form.ratio is None


def test_a_formula_without_assumptions_stays_symbolic():
    explained = explain_formula("linear")
    m, c_in, c_out = (symbol(s) for s in ("m", "c_in", "c_out"))
    assert explained["macs"].formula == m * c_in * c_out
    assert explained["macs"].value is None
    assert explained["macs"].steps == ("c_in·c_out·m",)
    assert explained.assumptions == {}


def test_one_symbol_sets_its_relatives():
    explained = explain_formula("conv2d", {"k": 3, "h": 8, "c": 4, "w": 8, "w_out": 6, "g": 1})
    values = {name: int(value) for name, value in explained.assumptions.items()}
    assert values == {
        "c_in": 4, "c_out": 4, "h_in": 8, "h_out": 8, "w_in": 8, "w_out": 6, "k_h": 3, "k_w": 3,
        "g": 1,
    }  # fmt: skip


def test_assumptions_may_lean_on_each_other():
    explained = explain_formula("linear", {"c_out": "4*c_in", "c_in": "c/2", "c": 8, "m": 1})
    assert explained["macs"].value == 4 * 16


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"banana": 1}, "no symbol 'banana'"),
        ({"heads": 4}, "has no use for 'heads'"),
        ({"c_p": "c/", "c": 8}, "no arithmetic"),
    ],
)
def test_assumptions_that_make_no_sense(given, said):
    with pytest.raises(UsageError, match=said):
        explain_formula("pconv", given)


def test_unknown_formula_suggests_names():
    with pytest.raises(UnknownNameError, match="pconv"):
        explain_formula("pcomv")
    with pytest.raises(UnknownNameError, match="quantity"):
        explain_formula("pconv")["money"]


def test_a_block_lists_its_parts():
    values = {"c_in": 24, "c_out": 24, "t": 6, "h": 56, "w": 56, "k": 3, "n": 1, "shortcut": 0}
    explained = explain_formula("inverted-residual", values)
    assert {name: part.macs for name, part in explained.parts.items()} == {
        "expand": 10_838_016, "depthwise": 4_064_256, "project": 10_838_016, "shortcut": 0,
    }  # fmt: skip
    assert explained["macs"].value == 25_740_288
    assert "expand: 10,838,016 MACs" in explained.to_text()


@pytest.mark.parametrize("name", formula_names())
def test_every_formula_can_be_explained(name):
    explained = explain_formula(name)
    shown = explained.to_text()
    assert shown.startswith(name)
    assert explained.source in shown
    assert f"source: {explained.source}" in shown
    for symbol_name, meaning in explained.symbols.items():
        assert f"{symbol_name}: {meaning}" in shown
    document = json.loads(json.dumps(explained.to_dict()))
    assert document["name"] == name
    assert document["quantities"]["macs"]["unit"] == "MACs"
    assert document["quantities"]["bytes_read"]["formula"]
    assert "aligned" in explained._repr_latex_()
    assert get_formula(name)._repr_latex_().startswith("$$")


def test_a_long_intensity_is_named_instead_of_written_out():
    values = {"c": 24, "t": 6, "h": 56, "w": 56, "k": 3, "n": 1, "shortcut": 0}
    widths = {"b_x": 4, "b_w": 4, "b_y": 4}
    explained = explain_formula("inverted-residual", {**values, **widths})
    assert explained["intensity"].steps[0] == "FLOPs / (bytes read + bytes written)"
    assert len(explained["bytes_read"].steps) == 3
    assert len(explain_formula("pconv")["intensity"].steps[0]) <= 100


def test_text_shows_every_step():
    lines = explain_formula("pconv", {**PCONV, "b_x": 4, "b_w": 4, "b_y": 4}).to_text().splitlines()
    assert lines[0] == "pconv"
    assert "  c_p = 64: channels a partial operator convolves" in lines
    start = next(i for i, line in enumerate(lines) if line.startswith("  bytes written"))
    assert [line.split("= ")[1] for line in lines[start : start + 3]] == [
        "b_y·c_p·h·n·w", "4·64·56·1·56", "802,816 B",
    ]  # fmt: skip
    assert any("at these values 401,408, exact 438,272" in line for line in lines)
    assert lines[-1].startswith("  source: Chen et al.")


# ------------------------------------------------------------ inside a model


def tiny_graph():
    """x (2, 3, 8, 8) -> convolution -> relu -> a view -> something unknown."""
    tensors = [
        TensorSpec(0, (2, 3, 8, 8), "float32", "input", None, 0, True, "input"),
        TensorSpec(1, (4, 3, 3, 3), "float32", "parameter", None, 1, False, "stem.weight"),
        TensorSpec(2, (2, 4, 8, 8), "float32", "activation", None, 2, True),
        TensorSpec(3, (2, 4, 8, 8), "float32", "activation", None, 3, True),
        TensorSpec(4, (2, 256), "float32", "activation", None, 3, True),
        TensorSpec(5, (2, 256), "float32", "activation", None, 5, True),
    ]
    conv = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    ops = [
        Op("aten::convolution", (0, 1, None), (2,), conv, "stem.conv"),
        Op("aten::relu", (2,), (3,), {}, "stem.act"),
        Op("aten::view", (3,), (4,), {}, "", is_view=True),
        Op("custom::unheard", (4,), (5,), {}, "head"),
    ]
    modules = {"": "Net", "stem": "Sequential", "stem.conv": "Conv2d", "stem.act": "ReLU"}
    return Graph("tiny", tuple(tensors), tuple(ops), (0,), (5,), 2, modules, (1,))


def test_an_operator_of_a_graph():
    explained = explain_operator(tiny_graph(), "stem.conv")
    assert explained["macs"].value == 2 * 8 * 8 * 9 * 3 * 4
    assert explained["bytes_written"].value == 4 * 2 * 4 * 64
    assert explained.kind == "convolution"
    assert "(2, 3, 8, 8), (4, 3, 3, 3) -> (2, 4, 8, 8)" in explained.place
    assert explain_operator(tiny_graph(), "stem.act").notes == ("relu: f = 1 FLOPs per element",)


def test_a_module_of_a_graph_is_the_sum_of_its_operators():
    explained = explain_operator(tiny_graph(), "stem")
    assert list(explained.parts) == ["stem.conv", "stem.act"]
    assert explained["macs"].value == 2 * 8 * 8 * 9 * 3 * 4
    assert explained["other_flops"].value == 2 * 4 * 64
    assert explained["bytes_read"].value == 4 * (2 * 3 * 64 + 108 + 2 * 4 * 64)
    assert explained["parameters"].value == 108
    assert "Sequential: 2 operators" in explained.description
    star = explain_operator(tiny_graph(), "stem.conv.*")
    assert (star.kind, star.name) == ("composition", "stem.conv")


def test_views_and_unknown_operators_say_so():
    graph = tiny_graph()
    view = explain_operator(graph, "view")
    assert view.kind == "view"
    assert "nothing is moved" in view.to_text()
    unknown = explain_operator(graph, "head")
    assert unknown.kind == "uncovered"
    assert unknown["bytes_read"].value == 4 * 512
    assert "no formula for custom::unheard" in unknown.notes[0]
    with pytest.raises(UnknownNameError, match=r"stem\.conv"):
        explain_operator(graph, "stem.cnov")


# ------------------------------------------------------- ratios and crossovers


def test_ratio_in_symbols_and_numbers():
    ratio = get_formula("dwconv").ratio_to("conv")
    assert ratio.macs == 1 / C
    assert ratio.flops == 1 / C
    assert ratio.parameters == 1 / C
    h, w, n = H, symbol("w"), symbol("n")
    assert sympy.simplify(ratio.bytes - (2 * h * n * w + K**2) / (2 * h * n * w + C * K**2)) == 0
    number = get_formula("dwconv").ratio_to("conv", c=8, h=4, w=4, n=1, k=3, b_x=4)
    assert number.macs == sympy.Rational(1, 8)
    assert number.bytes == sympy.Rational(8 * (2 * 16 + 9), 8 * 2 * 16 + 9 * 64)
    assert number.intensity == number.flops / number.bytes


def test_ratio_of_nothing():
    ratio = get_formula("movement").ratio_to("elementwise", f=1)
    assert ratio.macs == 1
    assert ratio.flops == 0
    assert get_formula("linear").ratio_to("movement").macs == sympy.oo


def test_widths_may_differ_in_a_ratio():
    values = {"c": 1, "h": 1, "w": 1, "n": 1, "k": 1}
    ratio = get_formula("dwconv").ratio_to("conv", b_w=100, b_x=1, **values)
    assert ratio.bytes == 1
    wide = get_formula("conv").ratio_to(get_formula("dwconv"), b_w=100, b_x=1, **{**values, "c": 2})
    assert wide.bytes == sympy.Rational(2 + 400 + 2, 2 + 200 + 2)


def test_ratio_takes_only_symbols_of_either():
    with pytest.raises(UsageError, match="heads"):
        get_formula("conv").ratio_to("dwconv", heads=1)
    with pytest.raises(UnknownNameError):
        get_formula("conv").ratio_to("dwcomv")


def test_crossover_of_two_memory_bound_operators_by_hand():
    # With compute free: pconv moves 2 h w c_p + 9 c_p², dwconv 2 h w c + 9 c, times 4 bytes.
    # c_p = c/2: h w c + 9/4 c² = 2 h w c + 9 c, so c = 4/9 (h w + 9).
    (tie,) = get_formula("pconv").crossover(
        "dwconv", symbol="c", c_p="c/2", n=1, h=6, w=6, k=3, b_x=4, peak=1e30, bandwidth=1e9
    )
    assert tie.size == pytest.approx(4 / 9 * (36 + 9))
    assert (tie.before, tie.after, tie.bounds) == ("pconv", "dwconv", ("memory", "memory"))
    assert tie.seconds == pytest.approx((2 * 36 * 20 + 9 * 20) * 4 / 1e9)
    assert tie.symbol == "c"


def test_crossover_where_one_computes_and_the_other_moves():
    # (c/4)² · 9 h w · 2 FLOP at 1 FLOP/s against (2 h w c + 9 c) · 4 B at B B/s.
    hw, bandwidth = 256, 0.1
    (tie,) = get_formula("pconv").crossover(
        "dwconv", symbol="c", c_p="c/4", n=1, h=16, w=16, k=3, b_x=4, peak=1, bandwidth=bandwidth
    )
    assert tie.size == pytest.approx(16 * (2 * hw + 9) * 4 / bandwidth / (18 * hw))
    assert tie.bounds == ("compute", "memory")
    assert (tie.before, tie.after) == ("pconv", "dwconv")


def test_crossover_where_both_compute():
    # Linear attention takes 2 l d² + l d MACs and more, materialised attention 2 l² d and more.
    (tie,) = get_formula("linear_attention").crossover(
        "attention_materialised", symbol="l", s="l", b=1, heads=1, d=64, d_v=64, f=0, b_x=2,
        peak=1, bandwidth=1e12,
    )  # fmt: skip
    linear = 2 * (2 * 64 * 64 + 64) + 64 + 4 * 64
    assert tie.size == pytest.approx(linear / (4 * 64 + 16))
    assert tie.bounds == ("compute", "compute")


def test_a_crossover_is_where_times_are_equal():
    peak, bandwidth = 15.7e12, 900e9
    shared = {"n": 1, "h": 56, "w": 56, "k": 3}
    ties = get_formula("pconv").crossover(
        "dwconv", symbol="c", c_p="c/4", b_x=4, peak=peak, bandwidth=bandwidth, **shared
    )

    def seconds(name, **values):
        cost = get_formula(name)(**shared, **values, b_x=4, b_w=4, b_y=4)
        return max(cost.flops / peak, cost.bytes / bandwidth)

    for tie in ties:
        one, other = seconds("pconv", c_p=tie.size / 4), seconds("dwconv", c=tie.size)
        assert one == pytest.approx(other) == pytest.approx(tie.seconds)
    assert [tie.bounds for tie in ties] == [("compute", "memory")]


def test_the_order_of_the_two_does_not_matter():
    shared = {"c_p": "c/2", "n": 1, "h": 6, "w": 6, "k": 3, "b_x": 4, "peak": 1e30}
    (one,) = get_formula("pconv").crossover("dwconv", symbol="c", bandwidth=1e9, **shared)
    (other,) = get_formula("dwconv").crossover("pconv", symbol="c", bandwidth=1e9, **shared)
    assert (other.before, other.after) == (one.before, one.after) == ("pconv", "dwconv")
    assert other.size == pytest.approx(one.size)


def test_results_cannot_be_changed():
    ratio = get_formula("dwconv").ratio_to("conv")
    with pytest.raises(AttributeError):
        ratio.macs = 1
    with pytest.raises(AttributeError):
        get_formula("conv").name = "other"
    explained = explain_formula("conv")
    for frozen in (explained, explained["macs"], explained.textbook[0]):
        with pytest.raises(AttributeError):
            frozen.formula = "other"


def test_operators_that_never_tie():
    # Twice the heads always take longer.
    assert (
        get_formula("conv").crossover(
            "pconv", symbol="h", w=8, c=8, c_p=4, n=1, k=3, b_x=4, peak=1e12, bandwidth=1e12
        )
        == ()
    )


def test_crossover_of_costs_that_are_no_polynomials():
    # sort: c log₂ c comparisons; reduction of c elements: f of them. They tie at log₂ c = f.
    (tie,) = get_formula("sort").crossover(
        "reduction", symbol="c", m=1, e_x="c", e_y=1, f=10, b_x=4, peak=1, bandwidth=1e12
    )
    assert tie.size == pytest.approx(2**10)
    assert math.log2(tie.size) == pytest.approx(10)
    assert (tie.before, tie.after) == ("sort", "reduction")
    assert tie.bounds == ("compute", "compute")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"h": None}, "also needs h"),
        ({"symbol": "heads"}, "symbol 'heads'"),
        ({"heads": 3}, "no symbol heads"),
        ({"peak": 0}, "must be positive"),
        ({"bandwidth": -1}, "must be positive"),
    ],
)
def test_crossovers_that_make_no_sense(change, said):
    values = {
        "symbol": "c",
        "n": 1,
        "h": 4,
        "w": 4,
        "k": 3,
        "b_x": 4,
        "peak": 1e12,
        "bandwidth": 1e12,
    }
    values = {k: v for k, v in {**values, **change}.items() if v is not None}
    with pytest.raises(UsageError, match=said):
        get_formula("conv").crossover("dwconv", **values)


def test_latex_of_a_quantity():
    linear = get_formula("linear")
    assert linear.latex() == "c_{in} c_{out} m"
    assert linear.latex("parameters") == r"c_{out} \left(bias + c_{in}\right)"
    with pytest.raises(UsageError, match="money"):
        linear.latex("money")
    assert r"\text{MACs} &= c_{in} c_{out} m \\" in linear._repr_latex_()


def test_intensity_in_symbols():
    b, k = symbol("b_x"), symbol("k")
    conv = get_formula("conv").intensity
    at_one = conv.subs({symbol("b_w"): b, symbol("b_y"): b})
    h, w, n = symbol("h"), symbol("w"), symbol("n")
    assert sympy.simplify(at_one - 2 * h * w * n * k**2 * C / (b * (2 * h * w * n + k**2 * C))) == 0


def test_crossover_on_a_device():
    from costmodel.crossovers import crossover
    from costmodel.hardware import load_device

    device = load_device("v100-sxm2")
    values = {"c_p": "c/4", "n": 1, "h": 56, "w": 56, "k": 3}
    (tie,) = crossover("pconv", "dwconv", "v100-sxm2", "c", **values)
    peak, bandwidth = device.peak("float32"), device.bandwidth("dram")
    (expected,) = get_formula("pconv").crossover(
        "dwconv", symbol="c", peak=peak, bandwidth=bandwidth, b_x=4, **values
    )
    assert tie == expected
    halved = crossover("pconv", "dwconv", device, "c", "fp16", **values)
    assert halved[0].size > tie.size  # tensor cores move the ridge further than the bytes shrink
    vector = crossover("sort", "reduction", device, "c", m=1, e_x="c", e_y=1, f=10)
    assert isinstance(vector, tuple)
