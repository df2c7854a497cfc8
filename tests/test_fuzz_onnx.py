"""Damaged ONNX files, from bytes to an estimate: finite numbers or one clear error."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from costmodel.cli import main  # noqa: E402
from costmodel.errors import CostModelError  # noqa: E402
from costmodel.estimation import estimate  # noqa: E402
from costmodel.graph import Graph  # noqa: E402
from costmodel.tracing.source import load_graph  # noqa: E402
from tests.fuzzing import cases, drew  # noqa: E402
from tests.onnx_models import model, node, save, value, weight  # noqa: E402


def small() -> onnx.ModelProto:
    """Convolution, norm, pooling, product: what most files hold."""
    return model(
        [
            node("Conv", ["x", "w"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
            node("BatchNormalization", ["c", "s", "s", "s", "s"], ["b"]),
            node("Relu", ["b"], ["r"]),
            node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            node("GlobalAveragePool", ["p"], ["g"]),
            node("Flatten", ["g"], ["f"]),
            node("Gemm", ["f", "m"], ["y"], transB=1),
        ],
        [value("x", ["n", 3, 32, 32])],
        ["y"],
        [weight("w", 8, 3, 3, 3), weight("s", 8), weight("m", 10, 8)],
    )


BYTES = small().SerializeToString()
VARINTS = st.sampled_from([b"\x00", b"\x01", b"\x7f", b"\xff" * 9 + b"\x01", b"\x80\x80\x80\x01"])


def outcome(path: Path) -> Graph | None:
    drew("ONNX files")
    try:
        graph = load_graph(str(path), batch=2)
        found = estimate(graph, "v100-sxm2", batch=4)
    except CostModelError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert "\n" not in said
        return None
    assert 0 <= found.latency < inf
    assert Graph.from_json(graph.to_json()).to_json() == graph.to_json()
    return graph


def test_the_file_that_is_damaged_below_is_fine(tmp_path: Path) -> None:
    assert outcome(save(small(), tmp_path)) is not None


@cases(150)
@given(st.data())
def test_damaged_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(BYTES)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        how = data.draw(st.sampled_from(["flip", "flip", "cut", "put", "repeat"]))
        if how == "flip" and place < len(content):
            content[place] ^= data.draw(st.integers(1, 255))
        elif how == "cut":
            del content[place : place + data.draw(st.integers(1, 60))]
        elif how == "put":
            content[place:place] = data.draw(VARINTS)
        else:
            content += content[place : place + 200]
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(bytes(content))
    outcome(path)


SIZES = st.sampled_from([-1, 0, 1, 2, 3, 7, 32, 10**6, 10**12, 2**53, 2**62])


@cases(150)
@given(
    sizes=st.lists(SIZES, min_size=0, max_size=5),
    weights=st.lists(SIZES, min_size=1, max_size=5),
    group=SIZES,
    kernel=st.lists(SIZES, min_size=1, max_size=3),
)
def test_sizes_that_make_no_sense(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    weights: list[int],
    group: int,
    kernel: list[int],
) -> None:
    stated = onnx.TensorProto(name="w", data_type=1, dims=weights)
    stated.data_location = onnx.TensorProto.EXTERNAL
    stated.external_data.add(key="location", value="w.bin")
    proto = model(
        [
            node("Conv", ["x", "w"], ["c"], group=group, kernel_shape=kernel),
            node("MaxPool", ["c"], ["p"], kernel_shape=kernel),
            node("MatMul", ["p", "w"], ["y"]),
        ],
        [value("x", sizes)],
        ["y"],
        [stated],
    )
    outcome(save(proto, tmp_path_factory.getbasetemp()))


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "..\\w.bin", "", "link"]
)
def test_external_data_stays_in_its_folder(
    tmp_path: Path, location: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(b"\0" * 1024)
    (folder / "link").symlink_to(tmp_path / "w.bin")
    proto = small()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = save(proto, folder)
    assert main(["predict", str(path), "-d", "v100-sxm2"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "external data of tensor" in err
    assert err.count("\n") == 1
