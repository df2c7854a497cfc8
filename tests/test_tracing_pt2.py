"""Saved programs: the same graph as traced, no memory for weights, nothing in the file runs."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import costmodel as cm
from costmodel.errors import CostModelError, GraphError, TraceError, UsageError
from costmodel.formulas.columns import columns_of
from costmodel.tracing.guard_source import read_guard
from costmodel.tracing.pt2 import read_pt2


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu_(self.norm(self.conv(x)))
        result: torch.Tensor = self.head(x.mean((2, 3)))
        return result


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "small.pt2"
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        Small().eval(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=({0: auto, 2: auto, 3: auto},)
    )
    torch.export.save(program, path)
    return path


def total(graph: cm.Graph) -> tuple[float, ...]:
    columns = columns_of(graph)
    cost = columns.evaluate().cost
    fields = (cost.macs, cost.other_flops, cost.bytes_read, cost.bytes_written)
    return tuple(float(f @ columns.counts) for f in fields)


def test_costs_what_the_model_costs(saved: Path) -> None:
    graph = read_pt2(saved, {"batch": 0, "height": 2, "width": 3})
    assert graph.symbols == ("batch", "height", "width")
    assert graph.rung == "pt2"
    eager = cm.trace(Small(), (5, 3, 48, 31))
    placed = graph.substitute(batch=5, height=48, width=31)
    assert total(placed) == total(eager)
    assert placed.parameters == eager.parameters == 3 * 8 * 9 + 8 + 16 + 8 * 4 + 4
    assert placed.weight_bytes == eager.weight_bytes
    assert graph.modules["conv"] == "Conv2d"
    assert {op.module for op in graph.ops} >= {"conv", "norm", "head"}


def test_sizes_without_a_name_are_named_after_their_input(saved: Path) -> None:
    assert read_pt2(saved).symbols == ("x_0", "x_2", "x_3")


def test_guards_of_the_file_are_kept(saved: Path) -> None:
    graph = read_pt2(saved, {"batch": 0, "height": 2, "width": 3})
    assert "Ne(ceiling(height/2), 1)" in graph.conditions["guards"]
    with pytest.raises(GraphError, match="height=2 breaks"):
        graph.substitute(height=2)


def test_as_a_source_its_sizes_come_from_batch_and_input_shape(saved: Path) -> None:
    graph = cm.load_graph(str(saved), batch=4, input_shape=(3, 64, 64))
    assert graph.symbols == ()
    assert graph.tensors[graph.inputs[0]].shape == (4, 3, 64, 64)
    with pytest.raises(UsageError, match="give the input shape"):
        cm.load_graph(str(saved), batch=4)
    with pytest.raises(UsageError, match="dimension 1 of its input is fixed at 3"):
        cm.load_graph(str(saved), batch=4, input_shape=(5, 64, 64))


def test_guard_source_is_arithmetic_only() -> None:
    import sympy

    h = sympy.Symbol("h", integer=True, positive=True)
    sizes = {("x", 2): h}

    def size(name: str, dimension: int) -> Any:
        return sizes[name, dimension]

    assert read_guard("L['x'].size()[2] // 4 == 8", size) == sympy.Eq(sympy.floor(h / 4), 8)
    assert read_guard("(1 + L['x'].size()[2]) % 4 != 0", size) == sympy.Ne(sympy.Mod(h + 1, 4), 0)
    assert read_guard("L['y'].size()[2] == 8", size) is None
    assert read_guard("__import__('os').getcwd() == 8", size) is None


# -------------------------------------------------------------------- malice


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def test_pickles_in_the_archive_are_not_opened(saved: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    payload = pickle.dumps(Trap(marker))
    pickle.loads(payload)
    assert marker.exists(), "the trap works"
    marker.unlink()

    def change(name: str, data: bytes) -> bytes:
        return data if name.endswith((".json", "version", "byteorder", "format")) else payload

    graph = read_pt2(rewrite(saved, tmp_path / "trap.pt2", change))
    assert graph.parameters == cm.trace(Small(), (2, 3, 32, 32)).parameters
    assert not marker.exists()


def edited(saved: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    def change(name: str, data: bytes) -> bytes:
        if "models/" not in name:
            return data
        document = json.loads(data)
        edit(document)
        return json.dumps(document).encode()

    return rewrite(saved, tmp_path / "edited.pt2", change)


def in_size(document: dict[str, Any], code: str) -> None:
    values = document["graph_module"]["graph"]["tensor_values"]
    values["x"]["sizes"][0] = {"as_expr": {"expr_str": code, "hint": {"as_int": 2}}}


def in_target(document: dict[str, Any], code: str) -> None:
    document["graph_module"]["graph"]["nodes"][0]["target"] = code


def in_name(document: dict[str, Any], code: str) -> None:
    graph = document["graph_module"]["graph"]
    graph["tensor_values"][code] = graph["tensor_values"].pop("x")
    graph["inputs"][-1]["as_tensor"]["name"] = code


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (in_size, "__import__('pathlib').Path({marker!r}).touch() or 2"),
        (in_size, "Symbol('s0').__class__.__base__"),
        (in_size, "[2 for _ in [open({marker!r}, 'w')]][0]"),
        (in_size, "9**9**9**9**9"),
        (in_size, "Pow(Integer(9), Integer(999999999))"),
        (in_size, "open({marker!r}, 'w')"),
        (in_target, "torch.hub.load"),
        (in_target, "torch.ops.load_library"),
        (in_target, "os.system"),
        (in_target, "torch.serialization.load"),
        (in_name, "x=open({marker!r}, 'w')"),
        (in_name, "x):\n    open({marker!r}, 'w')\ndef f("),
    ],
)
def test_code_in_the_description_is_refused(
    saved: Path, tmp_path: Path, place: Callable[[dict[str, Any], str], None], code: str
) -> None:
    marker = tmp_path / "ran"
    text = code.replace("{marker!r}", repr(str(marker)))
    path = edited(saved, tmp_path, lambda document: place(document, text))
    with pytest.raises(TraceError, match="nothing was run"):
        read_pt2(path)
    assert not marker.exists()


def test_other_files_are_refused_with_a_reason(tmp_path: Path) -> None:
    pickled = tmp_path / "model.pth"
    torch.save(Small().state_dict(), pickled)
    with pytest.raises(UsageError, match="a pickle, and loading one can run any code"):
        cm.load_graph(str(pickled))
    renamed = tmp_path / "model.pt2"
    renamed.write_bytes(pickled.read_bytes())
    with pytest.raises(UsageError, match="no exported program"):
        cm.load_graph(str(renamed))
    with pytest.raises(UsageError, match="no such file"):
        cm.load_graph(str(tmp_path / "absent.pt2"))
    renamed.write_text("not an archive")
    with pytest.raises(UsageError, match=r"write one with torch\.export\.save"):
        cm.load_graph(str(renamed))


def test_damaged_descriptions_raise_our_errors(saved: Path, tmp_path: Path) -> None:
    for edit in (
        lambda d: d["graph_module"]["graph"].pop("nodes"),
        lambda d: d["graph_module"].pop("signature"),
        lambda d: d["graph_module"]["graph"]["nodes"].reverse(),
        lambda d: d["schema_version"].update(major=99),
    ):
        with pytest.raises(CostModelError):
            read_pt2(edited(saved, tmp_path, edit))
