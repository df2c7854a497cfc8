"""Damaged and hostile ONNX files: a graph or one clear error, in bounded time and memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from costmodel.errors import CostModelError, TraceError, UsageError  # noqa: E402
from costmodel.formulas.columns import columns_of  # noqa: E402
from costmodel.graph import Graph  # noqa: E402
from costmodel.tracing.onnx_model import trace_onnx  # noqa: E402
from tests.onnx_models import (  # noqa: E402
    INT64,
    graph,
    model,
    node,
    save,
    stored,
    value,
    weight,
)

MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def outcome(path: Path, **given: object) -> Graph | str:
    """The graph, costed, or the text of the one error that is allowed."""
    try:
        traced = trace_onnx(path, **given)  # type: ignore[arg-type]
        if not traced.symbols:
            columns_of(traced).evaluate()
    except CostModelError as error:
        text = str(error)
    else:
        return traced
    assert text
    assert "\n" not in text
    assert len(text) < 2000
    return text


def rich_model() -> onnx.ModelProto:
    """A bit of everything: convolution, size arithmetic, branch, loop, function, quantisation."""
    branch = {
        "then_branch": graph([node("Relu", ["f"], ["t"])], [], ["t"]),
        "else_branch": graph([node("Sigmoid", ["f"], ["e"])], [], ["e"]),
    }
    body = graph(
        [node("MatMul", ["s", "m"], ["next"]), node("Identity", ["go"], ["on"])],
        [value("i", [], INT64), value("go", [], TensorProto.BOOL), value("s", None)],
        ["on", "next"],
    )
    double = helper.make_function(
        "local", "double", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    return model(
        [
            node("Conv", ["x", "w"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
            node("Shape", ["c"], ["shape"]),
            node("Gather", ["shape", "zero"], ["n"]),
            node("Unsqueeze", ["n", "axis"], ["n1"]),
            node("Concat", ["n1", "rest"], ["new"], axis=0),
            node("Reshape", ["c", "new"], ["f"]),
            node("If", ["flag"], ["g"], **branch),
            node("Loop", ["trips", "", "g"], ["h"], body=body),
            node("double", ["h"], ["d"], domain="local"),
            node("QuantizeLinear", ["d", "scale", "z"], ["q"]),
            node("DequantizeLinear", ["q", "scale", "z"], ["k"]),
            node("Slice", ["k", "axis", "two", "axis"], ["l"]),
            node("Softmax", ["l"], ["y"], axis=-1),
        ],
        [value("x", ["n", 3, 8, 8]), value("flag", [], TensorProto.BOOL)],
        ["y"],
        [
            weight("w", 4, 3, 3, 3), weight("m", 16, 16), stored("zero", 0), stored("axis", [0]),
            stored("two", [2]), stored("rest", [-1, 16]), stored("trips", 3),
            stored("scale", np.float32(0.1)), stored("z", 0, np.uint8),
        ],
        functions=[double],
    )  # fmt: skip


RICH = rich_model().SerializeToString()


def test_the_model_that_is_damaged_below_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(RICH)
    assert isinstance(outcome(path, batch=2), Graph)
    assert isinstance(outcome(path), Graph)


@MANY
@given(cut=st.integers(0, len(RICH) - 1))
def test_truncated_files(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.getbasetemp() / "truncated.onnx"
    path.write_bytes(RICH[:cut])
    outcome(path, batch=2)


@MANY
@given(flips=st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(1, 255)), max_size=6))
def test_flipped_bits(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(RICH)
    for position, mask in flips:
        data[position] ^= mask
    path = tmp_path_factory.getbasetemp() / "flipped.onnx"
    path.write_bytes(bytes(data))
    outcome(path, batch=2)
    outcome(path)


@MANY
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.onnx"
    path.write_bytes(data)
    assert isinstance(outcome(path), str)


ANY_INT = st.one_of(
    st.integers(-3, 9),
    st.sampled_from([2**31 - 1, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63), 10**12]),
)
OPERATORS = (
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "Reshape", "Transpose", "Squeeze",
    "Unsqueeze", "Concat", "Split", "Slice", "Gather", "GatherND", "Pad", "Expand", "Tile",
    "MatMul", "Gemm", "Einsum", "ReduceMean", "ReduceSum", "TopK", "Resize", "OneHot", "Range",
    "ConstantOfShape", "LayerNormalization", "BatchNormalization", "Flatten", "CumSum", "LSTM",
    "DepthToSpace", "SpaceToDepth", "ArgMax", "Softmax", "Cast", "Where", "Mod", "Pow", "Div",
    "Clip", "Trilu", "GridSample", "RoiAlign", "NonMaxSuppression", "QLinearConv", "NonZero",
    "QuantizeLinear", "Upsample", "Loop", "If", "Scan", "SplitToSequence", "SequenceAt",
    "Attention", "GroupNormalization", "EyeLike", "RandomNormal", "Bernoulli", "Col2Im",
)  # fmt: skip
ATTRIBUTES = (
    "axis", "axes", "perm", "kernel_shape", "strides", "pads", "dilations", "group", "keepdims",
    "blocksize", "equation", "to", "alpha", "num_outputs", "output_padding", "shape", "mode",
    "auto_pad", "hidden_size", "num_scan_inputs", "q_num_heads", "kv_num_heads", "num_groups",
    "output_shape", "dtype", "batch_dims", "epsilon", "direction", "split",
)  # fmt: skip


@st.composite
def absurd_models(draw: st.DrawFn) -> bytes:
    """One node of any operator, with any tensors and attributes."""
    shapes = st.lists(ANY_INT, max_size=5)
    names, weights, inputs = [], [], []
    for index in range(draw(st.integers(0, 5))):
        name = f"v{index}"
        names.append(draw(st.sampled_from([name, name, name, ""])))
        if draw(st.booleans()):
            numbers = draw(st.lists(ANY_INT, max_size=5))
            kind = draw(st.sampled_from([np.int64, np.float32]))
            weights.append(stored(name, numbers, kind))
        elif draw(st.booleans()):
            tensor = TensorProto(name=name, data_type=draw(st.integers(0, 24)))
            tensor.dims[:] = draw(shapes)
            tensor.data_location = TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", "w.bin"
            weights.append(tensor)
        else:
            inputs.append(value(name, draw(shapes), draw(st.integers(1, 16))))
    if not inputs:
        inputs.append(value("free", [2, 3]))
    attributes = draw(
        st.dictionaries(
            st.sampled_from(ATTRIBUTES),
            st.one_of(
                ANY_INT,
                st.lists(ANY_INT, min_size=1, max_size=5),
                st.floats(width=32),
                st.sampled_from(["ab,bc->ac", "...i,i->...", "SAME_UPPER", "linear", "->", "é"]),
            ),
            max_size=5,
        )
    )
    made = node(draw(st.sampled_from(OPERATORS)), names, ["y", "y2"][: draw(st.integers(1, 2))])
    for key, content in attributes.items():
        try:
            made.attribute.append(helper.make_attribute(key, content))
        except (ValueError, TypeError):
            continue
    opset = draw(st.sampled_from([11, 13, 17, 18, 21, 22]))
    return model(
        [made, node("Relu", ["y"], ["z"])], inputs, ["z"], weights, opset
    ).SerializeToString()


@settings(MANY, max_examples=400)
@given(data=absurd_models())
def test_absurd_nodes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "absurd.onnx"
    path.write_bytes(data)
    outcome(path)


# ------------------------------------------------------------------ named mischief


def refused(tmp_path: Path, proto: onnx.ModelProto, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        trace_onnx(save(proto, tmp_path))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        trace_onnx(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="no such file"):
        trace_onnx(tmp_path)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    with pytest.raises(TraceError, match="holds no graph"):
        trace_onnx(empty)


def test_cycles(tmp_path: Path) -> None:
    nodes = [node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])]
    refused(tmp_path, model(nodes, [value("x", [2])], ["b"]), "a cycle, or nodes out of")
    nodes = [node("Add", ["x", "a"], ["a"])]
    refused(tmp_path, model(nodes, [value("x", [2])], ["a"]), "a cycle, or nodes out of")


def test_missing_inputs_and_outputs(tmp_path: Path) -> None:
    x = [value("x", [2])]
    refused(tmp_path, model([node("Relu", ["q"], ["y"])], x, ["y"]), "'q' is never produced")
    refused(tmp_path, model([node("Relu", ["x"], ["y"])], x, ["q"]), "'q' is never produced")
    refused(tmp_path, model([node("Relu", [""], ["y"])], x, ["y"]), "input 0 is missing")
    refused(tmp_path, model([node("Relu", [], ["y"])], x, ["y"]), "input 0 is missing")


def test_duplicate_names(tmp_path: Path) -> None:
    x = [value("x", [2])]
    twice = [node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])]
    refused(tmp_path, model(twice, x, ["y"]), "a second tensor named 'y'")
    refused(tmp_path, model(twice[:1], [*x, *x], ["y"]), "two inputs are named 'x'")
    refused(
        tmp_path,
        model(twice[:1], x, ["y"], [weight("w", 2), weight("w", 2)]),
        "two tensors are named 'w'",
    )


@pytest.mark.parametrize("opset", [1, 10, 99, 0])
def test_opsets_that_are_not_supported(tmp_path: Path, opset: int) -> None:
    proto = model([node("Relu", ["x"], ["y"])], [value("x", [2])], ["y"], opset=opset)
    refused(tmp_path, proto, f"opset {opset}; supported are 11 to")


def test_no_opset(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], ["y"])], [value("x", [2])], ["y"])
    del proto.opset_import[:]
    refused(tmp_path, proto, "imports no standard operator set")


@pytest.mark.parametrize("size", [0, -1, -(2**40)])
def test_zero_and_negative_inputs(tmp_path: Path, size: int) -> None:
    proto = model([node("Relu", ["x"], ["y"])], [value("x", [2, size])], ["y"])
    refused(tmp_path, proto, "sizes must be positive")


def test_zero_and_negative_weights(tmp_path: Path) -> None:
    bad = TensorProto(name="w", data_type=1, dims=[-4, 4])
    proto = model([node("MatMul", ["x", "w"], ["y"])], [value("x", [2, 4])], ["y"], [bad])
    refused(tmp_path, proto, "is not a shape")
    empty = [weight("w", 0, 3)]
    proto = model([node("Concat", ["x", "w"], ["y"], axis=0)], [value("x", [2, 3])], ["y"], empty)
    assert isinstance(outcome(save(proto, tmp_path)), Graph)


def test_a_trillion_elements_cost_no_memory(tmp_path: Path) -> None:
    proto = model(
        [
            node("ConstantOfShape", ["s"], ["big"]),
            node("Range", ["zero", "s0", "one"], ["r"]),
            node("Expand", ["x", "s"], ["wide"]),
            node("Tile", ["x", "s"], ["t"]),
            node("Add", ["big", "wide"], ["y"]),
        ],
        [value("x", [1, 1])],
        ["y", "r", "t"],
        [stored("s", [10**6, 10**6]), stored("s0", 10**12), stored("zero", 0), stored("one", 1)],
    )
    path = save(proto, tmp_path)
    trace_onnx(path)
    tracemalloc.start()
    traced = trace_onnx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    assert traced.tensors[traced.outputs[0]].numel == 10**12


def test_more_elements_than_can_be_counted(tmp_path: Path) -> None:
    proto = model(
        [node("Expand", ["x", "s"], ["y"])], [value("x", [1])], ["y"], [stored("s", [2**40, 2**40])]
    )
    refused(tmp_path, proto, r"more than 2\^53 elements")


def test_weights_shorter_than_their_shape(tmp_path: Path) -> None:
    short = weight("w", 4)
    short.dims[:] = [4, 4]
    proto = model([node("MatMul", ["x", "w"], ["y"])], [value("x", [2, 4])], ["y"], [short])
    refused(tmp_path, proto, "need 64 bytes, the file holds 16")


def test_not_a_number_where_a_size_is_expected(tmp_path: Path) -> None:
    for bad in (np.nan, np.inf, -1.0):
        scales = stored("s", [1, 1, bad, 2], np.float32)
        proto = model(
            [node("Resize", ["x", "", "s"], ["y"])], [value("x", [1, 1, 4, 4])], ["y"], [scales]
        )
        refused(tmp_path, proto, "a scale of")


def test_nested_loops_stop_at_a_limit(tmp_path: Path) -> None:
    def nest(depth: int) -> onnx.GraphProto:
        inner = (
            [node("Loop", ["m", "", f"s{depth}"], [f"n{depth}"], body=nest(depth - 1))]
            if depth
            else [node("Relu", ["s0"], ["n0"])]
        )
        return graph(
            [*inner, node("Identity", [f"g{depth}"], [f"o{depth}"])],
            [
                value(f"i{depth}", [], INT64),
                value(f"g{depth}", [], TensorProto.BOOL),
                value(f"s{depth}", None),
            ],
            [f"o{depth}", f"n{depth}"],
        )

    proto = model(
        [node("Loop", ["m", "", "x"], ["y"], body=nest(6))],
        [value("x", [2])],
        ["y"],
        [stored("m", 1000)],
    )
    refused(tmp_path, proto, "more than 100,000 nodes")


def test_functions_that_multiply_stop_at_a_limit(tmp_path: Path) -> None:
    functions = []
    for level in range(30):
        call = f"f{level - 1}" if level else "Relu"
        domain = "local" if level else ""
        nodes = [
            node(call, ["a"], ["t"], domain=domain),
            node(call, ["t"], ["b"], domain=domain),
        ]
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
        functions.append(helper.make_function("local", f"f{level}", ["a"], ["b"], nodes, imports))
    proto = model(
        [node("f29", ["x"], ["y"], domain="local")], [value("x", [2])], ["y"], functions=functions
    )
    refused(tmp_path, proto, "more than 100,000 nodes")


def test_functions_that_nest_too_deep(tmp_path: Path) -> None:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    functions = [
        helper.make_function(
            "local", f"f{level}", ["a"], ["b"],
            [node(f"f{level + 1}", ["a"], ["b"], domain="local")], imports,
        )
        for level in range(500)
    ]  # fmt: skip
    proto = model(
        [node("f0", ["x"], ["y"], domain="local")], [value("x", [2])], ["y"], functions=functions
    )
    refused(tmp_path, proto, "nest deeper than 40")


def test_size_expressions_that_grow_stop_at_a_limit(tmp_path: Path) -> None:
    nodes = [node("Shape", ["x"], ["e0"])]
    for i in range(60):
        nodes.append(node("Div", [f"e{i}", "three"], [f"d{i}"]))
        nodes.append(node("Add", [f"e{i}", f"d{i}"], [f"s{i}"]))
        nodes.append(node("Mul", [f"s{i}", f"d{i}"], [f"e{i + 1}"]))
    nodes.append(node("Expand", ["one", "e60"], ["y"]))
    nodes.append(node("Relu", ["y"], ["z"]))
    proto = model(
        nodes, [value("x", ["n"])], ["z"], [stored("three", [3]), stored("one", [1.0], np.float32)]
    )
    refused(tmp_path, proto, "more than 200 terms")


def test_strings_and_sequences_are_refused(tmp_path: Path) -> None:
    proto = model([node("Identity", ["x"], ["y"])], [value("x", [2], TensorProto.STRING)], ["y"])
    refused(tmp_path, proto, "type STRING are not supported")
    proto = model([node("Identity", ["x"], ["y"])], [value("x", [2])], ["y"])
    proto.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", 1, None))
    refused(tmp_path, proto, "is not a tensor")
