"""The workbench's edges: uploads, exports, what the server allows, and the command."""

from __future__ import annotations

import base64
import csv
import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("dash", reason="the workbench needs the extra app")
pytest.importorskip("waitress", reason="the workbench needs the extra app")

import torch

import costmodel as cm
from costmodel.cli import main
from costmodel.errors import CostModelError, TraceError, UsageError
from costmodel.workbench import answers, create_app
from costmodel.workbench.design import design_view
from costmodel.workbench.exports import design_yaml, network_code, operators_csv
from costmodel.workbench.state import read_query
from costmodel.workbench.uploads import Uploads

QUERIES = ["width=32&depth=6&batch=4", "task=segmentation&width=16&depth=4&resolution=256",
           "task=vit&depth=2&width=128&batch=1",
           "task=llm&depth=4&width=1024&attention=gqa8&expansion=8/3&batch=3"]  # fmt: skip


# ------------------------------------------------------------------------------------- uploads


def onnx_file(channels: int = 8) -> bytes:
    """One 3x3 convolution from 3 to `channels` channels on 16 x 16, batch left open."""
    onnx = pytest.importorskip("onnx", reason="reading ONNX needs the extra onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("w", kind, (channels, 3, 3, 3), b"\0" * (channels * 108), raw=True)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    x = helper.make_tensor_value_info("x", kind, ("n", 3, 16, 16))
    y = helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph([node], "one", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def sent(data: bytes) -> str:
    """A file as a browser sends it."""
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


def test_an_uploaded_model_is_read() -> None:
    uploads = Uploads()
    found = uploads.add(sent(onnx_file()), "one conv.onnx")
    assert found.graph.parameters == 8 * 3 * 9
    assert float(cm.estimate(found.graph, "t4", 1).total.macs) == 16 * 16 * 8 * 3 * 9
    assert found.graph.name == "one conv"
    assert uploads.get(found.digest) == found
    assert uploads.add(sent(onnx_file()), "again.onnx").digest == found.digest


def test_nothing_of_an_upload_stays_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    uploads = Uploads()
    uploads.add(sent(onnx_file()), "one.onnx")
    with pytest.raises(TraceError):
        uploads.add(sent(b"not a model"), "two.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"x" * 5000, "big.onnx", "larger than the 4 KiB"),
        (b"import os", "model.py", "expected a file that ends in .onnx"),
        (b"\x80\x04", "model.pkl", "expected a file that ends in .onnx"),
        (b"", "empty.onnx", "empty"),
        (b"PK\x03\x04 no model", "zip.onnx", "zip.onnx"),
    ],
)
def test_what_is_no_model_is_refused(content: bytes, name: str, expected: str) -> None:
    pytest.importorskip("onnx", reason="reading ONNX needs the extra onnx")
    with pytest.raises(CostModelError) as caught:
        Uploads(max_bytes=4096).add(sent(content), name)
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert "/tmp" not in message
    assert "costmodel-upload" not in message


def test_a_damaged_upload_is_refused() -> None:
    with pytest.raises(UsageError, match="damaged on its way"):
        Uploads().add("data:;base64,@@@@", "a.onnx")


def test_a_name_is_only_a_name() -> None:
    found = Uploads().add(sent(onnx_file()), "../../etc/<b>x</b>.onnx")
    assert "/" not in found.name
    assert found.name == "b>.onnx"  # what follows the last slash


def test_old_uploads_make_room() -> None:
    uploads = Uploads(keep=2)
    first, second = (uploads.add(sent(onnx_file(c)), "a.onnx") for c in (4, 5))
    assert uploads.get(first.digest) is not None  # used last, so it stays
    uploads.add(sent(onnx_file(6)), "a.onnx")
    assert uploads.get(second.digest) is None
    assert uploads.get(first.digest) == first


# ------------------------------------------------------------------------------------- exports


@pytest.mark.parametrize("query", QUERIES)
def test_the_yaml_is_a_model_for_every_command(query: str, tmp_path: Path) -> None:
    state = read_query(query).state
    path = tmp_path / "design.yaml"
    path.write_text(design_yaml(state))
    graph = cm.load_graph(str(path), batch=min(state.batch, 2))
    found = cm.estimate(graph, state.device, state.batch, state.precision)
    assert found.latency == design_view(state).estimate.latency


def test_the_csv_holds_every_operator() -> None:
    state = read_query(QUERIES[0]).state
    rows = list(csv.DictReader(io.StringIO(operators_csv(state))))
    expected = design_view(state).estimate
    assert len(rows) == len(expected.operators)
    assert sum(float(row["time_s"]) for row in rows) == pytest.approx(expected.latency)
    assert sum(float(row["macs"]) for row in rows) == pytest.approx(float(expected.total.macs))


@pytest.mark.parametrize("query", QUERIES)
def test_the_code_builds_the_network_alone(query: str) -> None:
    state = read_query(query).state
    code = network_code(state)
    assert "import costmodel" not in code
    assert "from costmodel" not in code
    names: dict[str, Any] = {"__name__": "design"}
    with torch.device("meta"):
        exec(compile(code, "design.py", "exec"), names)
        model = names["design"]()
    counted = sum(p.numel() for p in model.parameters())
    assert counted == design_view(state).estimate.total.parameters


# -------------------------------------------------------------------------------------- server


@pytest.fixture(scope="module")
def client() -> Any:
    return create_app(max_upload=2**20).server.test_client()


def test_the_page_asks_nobody_else(client: Any) -> None:
    answer = client.get("/?width=64")
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200
    found = re.findall(r"""(?:src|href)=["']([^"']+)""", text)
    assert found
    assert [url for url in found if "//" in url.removeprefix("data:")] == []
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'self' 'sha256-" in policy
    for url in found:
        if url.startswith("/"):
            with client.get(url) as asset:
                assert asset.status_code == 200, url


def test_a_request_that_is_too_large_is_refused(client: Any) -> None:
    body = b'{"x":"' + b"a" * (4 * 2**20) + b'"}'
    answer = client.post("/_dash-update-component", data=body, content_type="application/json")
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("name", "media"),
    [("design.yaml", "application/yaml"), ("design.csv", "text/csv"), ("design.py", "text/x-p")],
)
def test_exports_are_links(client: Any, name: str, media: str) -> None:
    answer = client.get(f"/export/{name}?{QUERIES[0]}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(media)
    assert f"filename={name}" in answer.headers["Content-Disposition"]


def test_exports_that_make_no_sense_are_refused(client: Any) -> None:
    assert client.get("/export/passwd").status_code == 404
    # Any other path is the page itself, never a file.
    assert "<title>costmodel workbench" in client.get("/export/..%2Fpyproject.toml").text
    answer = client.get("/export/design.csv?device=edge-tpu")
    assert answer.status_code == 400
    assert "edge-tpu" in answer.get_data(as_text=True)


# ------------------------------------------------------------------------------------- buttons


@pytest.mark.parametrize(
    ("present", "task"), [("width=64", "classification"), ("task=llm&depth=9", "llm")]
)
def test_advice_of_another_task_is_not_applied(
    monkeypatch: pytest.MonkeyPatch, present: str, task: str
) -> None:
    """It may still be there when its button is pressed, while that of the new task is made."""
    monkeypatch.setattr(answers, "ctx", SimpleNamespace(triggered_id="apply-best"))
    best = "width=128&depth=20"  # of classification
    held = answers.steer("", task, 1, None, None, best, "", "", present)
    values = dict(zip(answers.CONTROLS, held, strict=False))
    assert values["task"] == task
    expected = best if task == "classification" else present
    assert values["depth"] == read_query(expected).state.depth
    assert values["width"] == read_query(expected).state.width


# ------------------------------------------------------------------------------------- command


def test_serve_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "dash", None)
    assert main(["serve"]) == 2
    assert "pip install 'roofline-costmodel[app]'" in capsys.readouterr().err


def test_serve_refuses_what_makes_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--max-upload", "5"]) == 2
    assert main(["serve", "--host", "203.0.113.1", "--port", "1"]) == 2
    assert "cannot serve on 203.0.113.1:1" in capsys.readouterr().err
