"""The ONNX front end against hand-worked counts and onnx's own shape inference."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")

from onnx import TensorProto, helper  # noqa: E402

from costmodel import load_graph  # noqa: E402
from costmodel.errors import TraceError, UnknownNameError, UsageError  # noqa: E402
from costmodel.formulas.columns import columns_of  # noqa: E402
from costmodel.graph import Graph  # noqa: E402
from costmodel.tracing.onnx_model import trace_onnx  # noqa: E402
from tests.onnx_models import (  # noqa: E402
    FLOAT,
    INT8,
    INT64,
    UINT8,
    graph,
    model,
    node,
    save,
    stored,
    value,
    weight,
)


def targets(traced: Graph) -> list[str]:
    """Operators that do work, by name without the prefix."""
    return [op.target.removeprefix("aten::") for op in traced.ops if not op.is_view]


def macs(traced: Graph) -> float:
    """MACs of a whole graph."""
    columns = columns_of(traced)
    return float(columns.evaluate().cost.macs @ columns.counts)


CONV = model(
    [
        node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["y"], ["z"]),
    ],
    [value("x", ["n", 3, 8, 8])],
    ["z"],
    [weight("w", 16, 3, 3, 3), weight("b", 16)],
)


# ------------------------------------------------------------------- exact counts


def test_a_convolution_counts_as_worked_by_hand(tmp_path: Path) -> None:
    traced = trace_onnx(save(CONV, tmp_path), batch=5)
    assert targets(traced) == ["convolution", "relu"]
    assert macs(traced) == 5 * 4 * 4 * 16 * 3 * 9
    assert traced.parameters == 16 * 3 * 9 + 16
    assert traced.batch == 5
    assert traced.rung == "onnx"


def test_load_graph_reads_a_file(tmp_path: Path) -> None:
    traced = load_graph(str(save(CONV, tmp_path)), batch=2)
    assert traced.tensors[traced.outputs[0]].shape == (2, 16, 4, 4)


@pytest.mark.parametrize("bias", [True, False])
def test_matmul_with_a_stored_matrix_is_a_linear_layer(tmp_path: Path, bias: bool) -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    if bias:
        nodes.append(node("Add", ["b", "y"], ["z"]))
    proto = model(
        nodes,
        [value("x", [2, 7, 12])],
        [nodes[-1].output[0]],
        [weight("w", 12, 20), weight("b", 20)],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert targets(traced) == ["linear"]
    assert macs(traced) == 2 * 7 * 12 * 20
    assert traced.parameters == 12 * 20 + 20 * bias


def test_gemm_in_all_four_orientations_counts_the_same(tmp_path: Path) -> None:
    counts = set()
    for a in (0, 1):
        for b in (0, 1):
            proto = model(
                [node("Gemm", ["x", "w", "c"], ["y"], transA=a, transB=b)],
                [value("x", [6, 4] if a else [4, 6])],
                ["y"],
                [weight("w", *((9, 6) if b else (6, 9))), weight("c", 9)],
            )
            counts.add((macs(trace_onnx(save(proto, tmp_path))), 6 * 9 + 9))
    assert counts == {(4 * 6 * 9, 63)}


def test_batch_norm_statistics_are_buffers(tmp_path: Path) -> None:
    names = ["scale", "shift", "mean", "var"]
    proto = model(
        [node("BatchNormalization", ["x", *names], ["y"])],
        [value("x", [2, 8, 4, 4])],
        ["y"],
        [weight(name, 8) for name in names],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert targets(traced) == ["batch_norm"]
    assert traced.parameters == 16
    assert len(traced.weights) == 4


def test_arithmetic_on_sizes_is_not_charged(tmp_path: Path) -> None:
    proto = model(
        [
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "zero"], ["n"]),
            node("Unsqueeze", ["n", "axis"], ["n1"]),
            node("Mul", ["n1", "two"], ["n2"]),
            node("Div", ["n2", "two"], ["n3"]),
            node("Concat", ["n3", "rest"], ["new"], axis=0),
            node("Reshape", ["x", "new"], ["flat"]),
            node("Relu", ["flat"], ["y"]),
        ],
        [value("x", ["n", 3, 4])],
        ["y"],
        [stored("zero", 0), stored("axis", [0]), stored("two", [2]), stored("rest", [-1])],
    )
    path = save(proto, tmp_path)
    assert targets(trace_onnx(path, batch=4)) == ["relu"]
    symbolic = trace_onnx(path)
    assert targets(symbolic) == ["relu"]
    assert str(symbolic.tensors[symbolic.outputs[0]].shape) == "(n, 12)"
    assert symbolic.parameters == 0


def test_a_shared_matrix_product_over_a_batch(tmp_path: Path) -> None:
    proto = model(
        [node("MatMul", ["x", "y"], ["z"])],
        [value("x", [2, 3, 5, 7]), value("y", [2, 3, 7, 4])],
        ["z"],
    )
    assert macs(trace_onnx(save(proto, tmp_path))) == 2 * 3 * 5 * 7 * 4


def test_einsum_counts_every_combination_of_indices(tmp_path: Path) -> None:
    proto = model(
        [node("Einsum", ["x", "y"], ["z"], equation="bhic,bhjc->bhij")],
        [value("x", [2, 3, 5, 7]), value("y", [2, 3, 4, 7])],
        ["z"],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert traced.tensors[traced.outputs[0]].shape == (2, 3, 5, 4)
    assert macs(traced) == 2 * 3 * 5 * 4 * 7


def test_an_operator_without_a_rule_keeps_its_name_and_is_listed(tmp_path: Path) -> None:
    proto = model(
        [node("Det", ["x"], ["y"]), node("Relu", ["y"], ["z"])], [value("x", [4, 3, 3])], ["z"]
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert [op.target for op in traced.ops] == ["onnx::Det", "aten::relu"]
    kinds = {row.target: row.kind for row in columns_of(traced).table}
    assert kinds["onnx::Det"] == "uncovered"


def test_a_foreign_operator_needs_a_declared_shape(tmp_path: Path) -> None:
    proto = model([node("Thing", ["x"], ["y"], domain="local")], [value("x", [4])], ["y"])
    with pytest.raises(TraceError, match="no shape rule for local::Thing"):
        trace_onnx(save(proto, tmp_path))
    proto.graph.output[0].CopyFrom(value("y", [4, 2]))
    traced = trace_onnx(save(proto, tmp_path))
    assert [op.target for op in traced.ops] == ["local::Thing"]


def test_modules_come_from_node_names(tmp_path: Path) -> None:
    proto = model(
        [
            helper.make_node("Relu", ["x"], ["u"], name="/a/a.1/a.1.2/act/Relu"),
            helper.make_node("Relu", ["u"], ["a"], name="/layer1/layer1.0/act/Relu"),
            node("Conv", ["a", "layer1.0.conv2.weight"], ["b"]),
        ],
        [value("x", [1, 3, 8, 8])],
        ["b"],
        [weight("layer1.0.conv2.weight", 3, 3, 1, 1)],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert [op.module for op in traced.ops] == ["a.1.2.act", "layer1.0.act", "layer1.0.conv2"]


# ------------------------------------------------------------------ sizes of inputs


def test_open_sizes_are_symbols_that_can_be_substituted(tmp_path: Path) -> None:
    proto = model(
        [node("Conv", ["x", "w"], ["y"], strides=[2, 2])],
        [value("x", ["batch", 3, "height", "width"])],
        ["y"],
        [weight("w", 8, 3, 3, 3)],
    )
    path = save(proto, tmp_path)
    symbolic = trace_onnx(path)
    assert set(symbolic.symbols) == {"batch", "height", "width"}
    for batch, height, width in ((1, 9, 8), (4, 31, 17)):
        there = symbolic.substitute(batch=batch, height=height, width=width)
        direct = trace_onnx(path, batch=batch, input_shape=(3, height, width))
        assert [t.shape for t in there.tensors] == [t.shape for t in direct.tensors]
        assert macs(there) == macs(direct)


def test_a_size_can_be_given_by_name(tmp_path: Path) -> None:
    proto = model(
        [node("MatMul", ["x", "y"], ["z"])],
        [value("x", ["batch", "length", 16]), value("y", ["batch", 16, "keys"])],
        ["z"],
    )
    path = save(proto, tmp_path)
    traced = trace_onnx(path, batch=2, sizes={"length": 5, "keys": 3})
    assert macs(traced) == 2 * 5 * 16 * 3
    with pytest.raises(UnknownNameError, match=r"lenght.*did you mean length"):
        trace_onnx(path, sizes={"lenght": 5})
    with pytest.raises(UsageError, match="leaves length, keys open"):
        load_graph(str(path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 3}, "fixes its batch at 2"),
        ({"input_shape": (4,)}, "fixes the sample at"),
        ({"input_shape": (5, 5)}, "expects 1 sizes per sample"),
        ({"batch": 0}, "at least 1"),
        ({"input_shape": (0,)}, "must be positive"),
    ],
)
def test_sizes_that_contradict_the_file(tmp_path: Path, settings: dict, message: str) -> None:
    path = save(model([node("Relu", ["x"], ["y"])], [value("x", [2, 5])], ["y"]), tmp_path)
    with pytest.raises(UsageError, match=message):
        trace_onnx(path, **settings)


def test_a_fixed_batch_is_kept(tmp_path: Path) -> None:
    path = save(model([node("Relu", ["x"], ["y"])], [value("x", [2, 5])], ["y"]), tmp_path)
    assert load_graph(str(path)).batch == 2


# -------------------------------------------------------------------- external data


def external(location: str, shape: tuple[int, ...] = (16, 3, 3, 3)) -> onnx.ModelProto:
    """The convolution with its weight in another file."""
    proto = onnx.ModelProto()
    proto.CopyFrom(CONV)
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.dims[:] = shape
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return proto


def test_external_weights_count_without_being_read(tmp_path: Path) -> None:
    traced = trace_onnx(save(external("weights/none.bin"), tmp_path), batch=1)
    assert traced.parameters == 16 * 3 * 9 + 16


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/etc/passwd", "absolute path"),
        ("C:\\secret", "absolute path"),
        ("../weights.bin", "leaves the model's folder"),
        ("a/../../weights.bin", "leaves the model's folder"),
        ("a\\..\\..\\weights.bin", "leaves the model's folder"),
        ("", "expected one location"),
        ("a\0b", "expected one location"),
    ],
)
def test_external_data_outside_the_folder_is_refused(
    tmp_path: Path, location: str, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        trace_onnx(save(external(location), tmp_path))


def test_external_data_behind_a_link_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(b"secret")
    (folder / "inside.bin").write_bytes(b"weights")
    os.symlink(tmp_path / "outside.bin", folder / "link.bin")
    os.symlink(tmp_path, folder / "up")
    os.symlink(folder / "inside.bin", folder / "fine.bin")
    for location in ("link.bin", "up/outside.bin"):
        with pytest.raises(TraceError, match="a link leads out of the folder"):
            trace_onnx(save(external(location), folder))
    assert trace_onnx(save(external("fine.bin"), folder), batch=1).parameters


def test_external_data_in_a_subgraph_is_checked_too(tmp_path: Path) -> None:
    tensor = external("/etc/passwd").graph.initializer[0]
    branch = graph([node("Identity", ["w"], ["i"])], [], ["i"], [tensor])
    proto = model(
        [node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
        [value("c", [], TensorProto.BOOL)],
        ["y"],
    )
    with pytest.raises(TraceError, match="absolute path"):
        trace_onnx(save(proto, tmp_path))


# --------------------------------------------------------------------- control flow


def branches() -> dict[str, onnx.GraphProto]:
    """A cheap and an expensive branch on the outer x and w."""
    return {
        "then_branch": graph([node("Relu", ["x"], ["t"])], [], ["t"]),
        "else_branch": graph([node("MatMul", ["x", "w"], ["e"])], [], ["e"]),
    }


def test_an_unknown_condition_charges_the_more_expensive_branch(tmp_path: Path) -> None:
    proto = model(
        [node("If", ["c"], ["y"], **branches())],
        [value("x", [4, 8]), value("c", [], TensorProto.BOOL)],
        ["y"],
        [weight("w", 8, 8)],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert targets(traced) == ["linear"]
    (assumption,) = traced.conditions["assumptions"]
    assert "charged the else branch, the more expensive one" in assumption


def test_a_condition_on_sizes_picks_its_branch(tmp_path: Path) -> None:
    proto = model(
        [
            node("Shape", ["x"], ["s"]),
            node("Gather", ["s", "zero"], ["n"]),
            node("Equal", ["n", "four"], ["c"]),
            node("If", ["c"], ["y"], **branches()),
        ],
        [value("x", ["n", 8])],
        ["y"],
        [weight("w", 8, 8), stored("zero", 0), stored("four", 4)],
    )
    path = save(proto, tmp_path)
    assert targets(trace_onnx(path, batch=4)) == ["relu"]
    assert targets(trace_onnx(path, batch=5)) == ["linear"]
    assert "assumptions" not in trace_onnx(path, batch=4).conditions


def loop_model(trips: str, weights: list[onnx.TensorProto]) -> onnx.ModelProto:
    """A loop that multiplies by w, collecting every state."""
    body = graph(
        [
            node("MatMul", ["state", "w"], ["next"]),
            node("Identity", ["going"], ["going_on"]),
            node("Identity", ["next"], ["kept"]),
        ],
        [value("i", [], INT64), value("going", [], TensorProto.BOOL), value("state", [4, 8])],
        ["going_on", "next", "kept"],
    )
    return model(
        [node("Loop", [trips, "", "x"], ["last", "all"], body=body)],
        [value("x", [4, 8]), value("m", [], INT64)],
        ["last", "all"],
        [weight("w", 8, 8), *weights],
    )


def test_a_loop_of_known_length_runs_its_body_so_often(tmp_path: Path) -> None:
    traced = trace_onnx(save(loop_model("t", [stored("t", 5)]), tmp_path))
    assert targets(traced) == ["linear"] * 5 + ["stack"]
    assert macs(traced) == 5 * 4 * 8 * 8
    assert traced.tensors[traced.outputs[1]].shape == (5, 4, 8)
    assert "assumptions" not in traced.conditions


def test_a_loop_of_unknown_length_says_so(tmp_path: Path) -> None:
    traced = trace_onnx(save(loop_model("m", []), tmp_path))
    assert targets(traced)[:1] == ["linear"]
    (assumption,) = traced.conditions["assumptions"]
    assert "number of trips depends on data; charged once" in assumption


def test_shapes_may_grow_from_trip_to_trip(tmp_path: Path) -> None:
    body = graph(
        [node("Concat", ["s", "s"], ["d"], axis=0), node("Identity", ["go"], ["on"])],
        [value("i", [], INT64), value("go", [], TensorProto.BOOL), value("s", None)],
        ["on", "d"],
    )
    proto = model(
        [node("Loop", ["t", "", "x"], ["y"], body=body)],
        [value("x", [3, 2])],
        ["y"],
        [stored("t", 4)],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert traced.tensors[traced.outputs[0]].shape == (3 * 2**4, 2)


def test_a_scan_runs_its_body_per_slice(tmp_path: Path) -> None:
    body = graph(
        [
            node("MatMul", ["row", "w"], ["part"]),
            node("Add", ["state", "part"], ["new"]),
            node("Identity", ["new"], ["out"]),
        ],
        [value("state", [2, 8]), value("row", [2, 8])],
        ["new", "out"],
    )
    proto = model(
        [node("Scan", ["s", "x"], ["last", "all"], body=body, num_scan_inputs=1)],
        [value("s", [2, 8]), value("x", [6, 2, 8])],
        ["last", "all"],
        [weight("w", 8, 8)],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert macs(traced) == 6 * 2 * 8 * 8
    assert traced.tensors[traced.outputs[1]].shape == (6, 2, 8)


def test_sequences_are_followed(tmp_path: Path) -> None:
    proto = model(
        [
            node("SplitToSequence", ["x", "two"], ["parts"], axis=0),
            node("SequenceAt", ["parts", "one"], ["part"]),
            node("SequenceInsert", ["parts", "part"], ["more"]),
            node("ConcatFromSequence", ["more"], ["y"], axis=0),
        ],
        [value("x", [5, 3])],
        ["y"],
        [stored("two", 2), stored("one", 1)],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert traced.tensors[traced.outputs[0]].shape == (7, 3)


# ---------------------------------------------------------------------- functions


def function(name: str, nodes: list[onnx.NodeProto], attributes: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    """A local function of one input and one output."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["a"], ["b"], nodes, imports, attributes)


def test_local_functions_are_inlined_with_their_attributes(tmp_path: Path) -> None:
    inner = node("Flatten", ["a"], ["f"])
    reference = inner.attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "axis", "from", 2
    flatten = function("flat", [inner, node("Relu", ["f"], ["b"])], ("from",))
    twice = function(
        "twice",
        [
            node("flat", ["a"], ["t"], domain="local", **{"from": 1}),
            node("flat", ["t"], ["b"], domain="local", **{"from": 2}),
        ],
    )
    proto = model(
        [node("twice", ["x"], ["y"], domain="local")],
        [value("x", [2, 3, 4])],
        ["y"],
        functions=[flatten, twice],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert targets(traced) == ["relu", "relu"]
    assert traced.tensors[traced.outputs[0]].shape == (24, 1)


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    again = function("again", [node("again", ["a"], ["b"], domain="local")])
    proto = model(
        [node("again", ["x"], ["y"], domain="local")], [value("x", [2])], ["y"], functions=[again]
    )
    with pytest.raises(TraceError, match="calls itself"):
        trace_onnx(save(proto, tmp_path))


# ------------------------------------------------------------------- quantisation


def test_a_quantised_convolution_runs_on_integers(tmp_path: Path) -> None:
    scales = [stored("s", np.float32(0.1)), stored("z", 0, np.uint8), stored("zw", 0, np.int8)]
    proto = model(
        [node("QLinearConv", ["x", "s", "z", "w", "s", "zw", "s", "z", "b"], ["y"])],
        [value("x", [1, 3, 8, 8], UINT8)],
        ["y"],
        [weight("w", 16, 3, 1, 1, dtype=np.int8), weight("b", 16, dtype=np.int32), *scales],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert targets(traced) == ["convolution"]
    assert macs(traced) == 8 * 8 * 3 * 16
    assert traced.parameters == 3 * 16 + 16
    (row,) = columns_of(traced).table
    assert row.dtype == "uint8"
    assert traced.tensors[traced.outputs[0]].dtype == "uint8"


def qdq_model() -> onnx.ModelProto:
    """dequantise -> convolution -> relu -> quantise, weights dequantised as well."""
    return model(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
            node("DequantizeLinear", ["xq", "s", "z"], ["xf"]),
            node("DequantizeLinear", ["w", "s", "zw"], ["wf"]),
            node("Conv", ["xf", "wf"], ["c"]),
            node("Relu", ["c"], ["r"]),
            node("QuantizeLinear", ["r", "s", "z"], ["yq"]),
            node("DequantizeLinear", ["yq", "s", "z"], ["y"]),
        ],
        [value("x", [1, 3, 8, 8])],
        ["y"],
        [
            weight("w", 16, 3, 1, 1, dtype=np.int8),
            stored("s", np.float32(0.1)),
            stored("z", 0, np.uint8),
            stored("zw", 0, np.int8),
        ],
    )


def test_dequantise_operate_quantise_is_one_integer_operator(tmp_path: Path) -> None:
    traced = trace_onnx(save(qdq_model(), tmp_path))
    assert targets(traced) == ["quantize_per_tensor", "convolution", "relu", "dequantize"]
    by_target = {row.target: row for row in columns_of(traced).table}
    assert by_target["aten::convolution"].dtype == "uint8"
    assert by_target["aten::relu"].dtype == "uint8"
    assert traced.parameters == 3 * 16


def test_dynamic_quantisation_with_an_integer_product(tmp_path: Path) -> None:
    proto = model(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            node("MatMulInteger", ["q", "w", "z"], ["p"]),
            node("Cast", ["p"], ["f"], to=FLOAT),
            node("Mul", ["f", "s"], ["y"]),
        ],
        [value("x", [4, 16])],
        ["y"],
        [weight("w", 16, 8, dtype=np.int8)],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert targets(traced) == ["quantize_per_tensor_dynamic", "linear", "_to_copy", "mul"]
    assert macs(traced) == 4 * 16 * 8
    assert traced.parameters == 16 * 8


def test_weights_that_alone_are_quantised_are_dequantised_first(tmp_path: Path) -> None:
    proto = model(
        [
            node("DequantizeLinear", ["w", "s"], ["wf"]),
            node("MatMul", ["x", "wf"], ["y"]),
        ],
        [value("x", [4, 16])],
        ["y"],
        [weight("w", 16, 8, dtype=np.int8), stored("s", np.float32(0.1))],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert targets(traced) == ["dequantize", "linear"]
    assert traced.parameters == 16 * 8
    assert INT8  # the dtype the weight is stored in


# --------------------------------------------------------- shapes by another oracle

SHAPE_CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, list[int]]]] = {
    "same_upper": (
        [node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[3, 2])],
        {"x": [1, 3, 11, 8], "w": [4, 3, 5, 4]},
    ),
    "same_lower_pool": (
        [node("MaxPool", ["x"], ["y"], auto_pad="SAME_LOWER", strides=[2, 3], kernel_shape=[3, 2])],
        {"x": [1, 3, 11, 8]},
    ),
    "ceil_pool": (
        [
            node(
                "AveragePool",
                ["x"],
                ["y"],
                ceil_mode=1,
                strides=[3, 3],
                kernel_shape=[2, 3],
                pads=[1, 1, 0, 1],
            )
        ],
        {"x": [1, 3, 12, 9]},
    ),
    "transposed": (
        [
            node(
                "ConvTranspose",
                ["x", "w"],
                ["y"],
                strides=[3, 2],
                output_padding=[1, 0],
                pads=[1, 0, 0, 1],
                group=2,
            )
        ],
        {"x": [2, 4, 5, 6], "w": [4, 3, 3, 2]},
    ),
    "dilated_3d": (
        [node("Conv", ["x", "w"], ["y"], dilations=[2, 1, 3], group=3)],
        {"x": [1, 3, 9, 9, 9], "w": [6, 1, 3, 2, 3]},
    ),
    "matmul_broadcast": ([node("MatMul", ["x", "w"], ["y"])], {"x": [7, 1, 4, 5], "w": [3, 5, 2]}),
    "matmul_vector": ([node("MatMul", ["x", "w"], ["y"])], {"x": [7, 4, 5], "w": [5]}),
    "reduce": (
        [node("ReduceMax", ["x"], ["y"], axes=[-1, 1], keepdims=0)],
        {"x": [2, 3, 4, 5]},
    ),
    "depth_to_space": ([node("DepthToSpace", ["x"], ["y"], blocksize=2)], {"x": [2, 12, 3, 5]}),
    "space_to_depth": ([node("SpaceToDepth", ["x"], ["y"], blocksize=2)], {"x": [2, 3, 4, 6]}),
    "where": ([node("Add", ["x", "w"], ["y"])], {"x": [2, 1, 4], "w": [3, 1]}),
    "gather": ([node("Gather", ["x", "i"], ["y"], axis=1)], {"x": [2, 3, 4], "i": [5, 6]}),
    "flatten": ([node("Flatten", ["x"], ["y"], axis=-2)], {"x": [2, 3, 4, 5]}),
    "transpose": ([node("Transpose", ["x"], ["y"], perm=[2, 0, 1])], {"x": [2, 3, 4]}),
    "split": ([node("Split", ["x"], ["y", "z"], axis=1)], {"x": [2, 6, 4]}),
    "lstm": (
        [node("LSTM", ["x", "w", "r"], ["y", "h", "c"], hidden_size=6, direction="bidirectional")],
        {"x": [5, 2, 4], "w": [2, 24, 4], "r": [2, 24, 6]},
    ),
}


@pytest.mark.parametrize("name", SHAPE_CASES)
def test_shapes_are_those_of_onnx(tmp_path: Path, name: str) -> None:
    nodes, shapes = SHAPE_CASES[name]
    nodes = [*nodes, node("Relu", ["x"], ["work"])]
    inputs = [value(n, s, INT64 if n == "i" else FLOAT) for n, s in shapes.items()]
    outputs = [*nodes[0].output, "work"]
    proto = model(nodes, inputs, outputs)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    expected = {
        v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in inferred.output
    }
    traced = trace_onnx(save(proto, tmp_path))
    found = [traced.tensors[i].shape for i in traced.outputs]
    assert dict(zip(outputs, found, strict=True)) == expected


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [3], [0], [1]), ([0], [2**31 - 1], [1], [2]), ([-1], [-(2**63)], [2], [-1]),
        ([-3, 1], [-1, 100], [2, 0], [1, 3]), ([5], [2], [1], [1]),
    ],
)  # fmt: skip
def test_slices_are_those_of_numpy(
    tmp_path: Path, starts: list[int], ends: list[int], axes: list[int], steps: list[int]
) -> None:
    shape = (6, 7, 8)
    proto = model(
        [node("Slice", ["x", "s", "e", "a", "p"], ["y"]), node("Relu", ["y"], ["z"]),
         node("Relu", ["x"], ["u"])],
        [value("x", shape)],
        ["z", "u"],
        [stored("s", starts), stored("e", ends), stored("a", axes), stored("p", steps)],
    )  # fmt: skip
    index = [slice(None)] * 3
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, None if end < -100 else end, step)
    traced = trace_onnx(save(proto, tmp_path))
    assert traced.tensors[traced.outputs[0]].shape == np.empty(shape)[tuple(index)].shape


def test_scatter_and_other_fallbacks_use_the_inference_of_onnx(tmp_path: Path) -> None:
    proto = model(
        [node("Col2Im", ["x", "image", "block"], ["y"])],
        [value("x", [1, 12, 4])],
        ["y"],
        [stored("image", [4, 4]), stored("block", [2, 2])],
        opset=18,
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert traced.tensors[traced.outputs[0]].shape == (1, 3, 4, 4)


def test_sizes_that_depend_on_data_are_charged_at_their_largest(tmp_path: Path) -> None:
    proto = model(
        [node("NonZero", ["x"], ["i"]), node("Transpose", ["i"], ["y"])],
        [value("x", [3, 4])],
        ["y"],
    )
    traced = trace_onnx(save(proto, tmp_path))
    assert traced.tensors[traced.outputs[0]].shape == (12, 2)
    (assumption,) = traced.conditions["assumptions"]
    assert "depends on data; charged at its largest" in assumption
