"""Validation: tables written here, whose right answers are known by construction."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from costmodel.cli import main
from costmodel.estimation import estimate, resolve_target
from costmodel.graph import Graph
from costmodel.hardware.catalogue import is_called
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.tables.timm import MeasuredModel
from costmodel.measurement.validation.matching import choose, labels, match_timm
from costmodel.measurement.validation.networks import Case, stack_networks
from costmodel.measurement.validation.request import Request
from costmodel.measurement.validation.timm import conditions_of_name
from costmodel.measurement.validation.validation import family_of, take, validate_networks
from costmodel.tracing.source import load_graph

MODELS = ("test_byobnet", "test_vit", "test_efficientnet", "test_convnext")
SIZE = 64


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> Any:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path / "cache"))

    def call(*words: str) -> tuple[int, str, str]:
        code = main(["validate", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def write_timm(path: Path, rows: list[tuple[str, int, int, float, float]]) -> str:
    """Rows are model, image size, batch, milliseconds, millions of parameters."""
    columns = ("model", "infer_img_size", "infer_batch_size", "infer_step_time", "param_count")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return str(path)


def predicted(model: str, device: str, batch: int, **conditions: Any) -> tuple[float, float]:
    """(seconds, parameters) by the estimate API, not by stacked columns."""
    graph = load_graph(f"timm:{model}", batch, (3, SIZE, SIZE), **conditions)
    return estimate(graph, device).latency, graph.parameters


@pytest.fixture
def table(tmp_path: Path) -> tuple[str, dict[str, float]]:
    """A table in which the true times are known multiples of the estimates."""
    pytest.importorskip("timm", reason="timm's tables are of timm's models")
    factors = dict(zip(MODELS, (1.0, 1.05, 0.8, 2.0), strict=True))
    rows = []
    for model, factor in factors.items():
        seconds, parameters = predicted(model, "a100-pcie-40gb", 4)
        rows.append((model, SIZE, 4, seconds * factor * 1e3, round(parameters / 1e6, 2)))
    return write_timm(tmp_path / "table.csv", rows), factors


def test_metrics_are_those_of_known_factors(run: Any, table: tuple[str, dict[str, float]]) -> None:
    path, factors = table
    code, out, _ = run("--against", path, "-d", "a100-pcie-40gb", "--format", "json")
    found = json.loads(out)
    errors = sorted(abs(1 / factor - 1) for factor in factors.values())
    assert code == 0
    assert (found["n"], found["skipped"]) == (4, [])
    assert found["mape"] == pytest.approx(sum(errors) / 4)
    assert found["median_ape"] == pytest.approx((errors[1] + errors[2]) / 2)
    assert found["within_10"] == 0.5
    assert found["within_20"] == 0.5
    assert found["bias"] == pytest.approx((1 + 1 / 1.05) / 2)
    assert 0 <= found["coverage_90"] <= 1
    inside = [r["interval_s"][0] <= r["measured_s"] <= r["interval_s"][1] for r in found["rows"]]
    assert found["coverage_90"] == np.mean(inside)
    assert found["rows"][0]["name"] == MODELS[0]


def test_every_format_is_written(
    run: Any, table: tuple[str, dict[str, float]], tmp_path: Path
) -> None:
    path, _ = table
    page = tmp_path / "page.html"
    words = ("--against", path, "-d", "a100-pcie-40gb")
    for form, sign in (("table", "median APE"), ("md", "| n |"), ("csv", "median_ape")):
        code, out, _ = run(*words, "-f", form)
        assert code == 0
        assert sign in out
    assert run(*words, "-o", str(page))[0] == 0
    text = page.read_text()
    assert "test_vit" in text
    assert "predicted" in text
    assert "http://" not in text.replace("http://www.w3.org", "") or 'src="http' not in text


def test_too_large_an_error_exits_with_1(run: Any, table: tuple[str, dict[str, float]]) -> None:
    path, factors = table
    mape = 100 * np.mean([abs(1 / factor - 1) for factor in factors.values()])
    words = ("--against", path, "-d", "a100-pcie-40gb", "-f", "json")
    assert run(*words, "--max-mape", f"{mape + 0.1}")[0] == 0
    code, out, err = run(*words, "--max-mape", f"{mape - 0.1}")
    assert code == 1
    assert json.loads(out)["n"] == 4
    assert "exceeds" in err


def test_models_and_limit_choose_rows(run: Any, table: tuple[str, dict[str, float]]) -> None:
    path, _ = table
    words = ("--against", path, "-d", "a100-pcie-40gb", "-f", "json")
    found = json.loads(run(*words, "--models", "test_v*")[1])
    assert [row["name"] for row in found["rows"]] == ["test_vit"]
    assert json.loads(run(*words, "--limit", "2")[1])["n"] == 2
    code, _, err = run(*words, "--models", "nothing*")
    assert code == 2
    assert "no model matches" in err


def test_rows_that_do_not_match_are_skipped_with_the_reason(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    _, parameters = predicted("test_vit", "a100-pcie-40gb", 2)
    path = write_timm(
        tmp_path / "t.csv",
        [
            ("test_vit", SIZE, 2, 1.0, round(parameters / 1e6, 2)),
            ("test_byobnet", SIZE, 2, 1.0, 99.0),
            ("no_such_model", SIZE, 2, 1.0, 1.0),
        ],
    )
    code, out, _ = run("--against", path, "-d", "a100-pcie-40gb", "-f", "json")
    found = json.loads(out)
    assert code == 0
    assert found["n"] == 1
    reasons = {entry["model"]: entry["reason"] for entry in found["skipped"]}
    assert set(reasons) == {"test_byobnet", "no_such_model"}
    assert "99.00 M in the table" in reasons["test_byobnet"]
    assert "unknown timm model" in reasons["no_such_model"]


def test_reparameterised_models_are_matched_by_their_parameters() -> None:
    pytest.importorskip("timm")
    plain = load_graph("timm:mobileone_s0", 1, (3, SIZE, SIZE))
    merged = load_graph("timm:mobileone_s0", 1, (3, SIZE, SIZE), reparameterized=True)
    assert merged.parameters < plain.parameters
    for graph in (plain, merged):
        count = round(graph.parameters / 1e6, 2) * 1e6
        row = MeasuredModel("mobileone_s0", SIZE, 1, 1.0, count, None, 2)
        matched = match_timm(row, RunConditions(), "gpu", load_graph)
        assert matched.parameters == graph.parameters


def test_conditions_reach_the_tracer(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    options = {"autocast": "float16", "layout": "nhwc", "fast_norm": True}
    seconds, parameters = predicted("test_vit", "rtx-4090", 2, **options)
    rows = [("test_vit", SIZE, 2, seconds * 1e3, round(parameters / 1e6, 2))]
    path = write_timm(tmp_path / "table.csv", rows)
    words = ("--against", path, "-d", "rtx-4090", "-f", "json")
    given = ("--precision", "amp-fp16", "--layout", "nhwc", "--fast-norm")
    assert json.loads(run(*words, *given)[1])["mape"] == pytest.approx(0, abs=1e-9)
    assert json.loads(run(*words)[1])["mape"] > 0.01, "fp32, eager, nchw are the defaults"


def test_compiled_is_the_fused_graph(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    from costmodel.passes.fusion import compiled

    graph = load_graph("timm:test_vit", 2, (3, SIZE, SIZE))
    seconds = estimate(compiled(graph), "rtx-4090").latency
    rows = [("test_vit", SIZE, 2, seconds * 1e3, round(graph.parameters / 1e6, 2))]
    path = write_timm(tmp_path / "table.csv", rows)
    found = json.loads(run("--against", path, "-d", "rtx-4090", "--compiled", "-f", "json")[1])
    assert found["mape"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("benchmark-infer-amp-nhwc-pt240-cu124-rtx4090.csv", "amp-fp16, nhwc, eager"),
        ("benchmark-infer-amp-nchw-pt240-cu124-rtx4090-dynamo.csv", "amp-fp16, nchw, compiled"),
        ("benchmark-infer-fp32-nchw-pt240-cpu-dynamo.csv", "fp32, nchw, compiled, scalar code"),
        ("anything.csv", "fp32, nchw, eager"),
        ("benchmark-infer-amp_bfloat16-nchw-pt260-cu126-x.csv", "amp-bf16, nchw, eager"),
        ("benchmark-infer-bfloat16-channels_last-x-inductor.csv", "bf16, nhwc, compiled"),
        ("benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x.csv", "fp32, nchw, eager"),
    ],
)
def test_a_file_name_states_conditions(name: str, expected: str) -> None:
    assert str(conditions_of_name(name)) == expected


def test_options_win_over_the_file_name() -> None:
    stated = conditions_of_name("benchmark-infer-amp-nhwc-x-dynamo.csv")
    asked = Request(precision="fp32", layout="nchw", compiled=False)
    assert asked.conditions(stated) == RunConditions()


def test_choice_is_spread_over_the_table() -> None:
    assert choose(range(100), str, None, 4) == [12, 37, 62, 87]
    assert choose(range(3), str, None, 10) == [0, 1, 2]


def test_a_model_of_several_sizes_carries_its_size() -> None:
    rows = [MeasuredModel(m, s, 1, 1.0, 1.0, None, 1) for m, s in (("a", 1), ("b", 1), ("a", 2))]
    assert labels(rows) == ["a@1", "b", "a@2"]


def test_families() -> None:
    names = ("vit_base_patch16", "timm:resnet50", "op:conv2d n=8", "zoo:fasternet_t0 batch 8")
    assert [family_of(n) for n in names] == ["vit", "resnet50", "op:conv2d", "fasternet"]


def test_without_a_law_is_the_roofline_and_has_no_interval(
    run: Any, table: tuple[str, dict[str, float]]
) -> None:
    path, _ = table
    words = ("--against", path, "-d", "a100-pcie-40gb", "-f", "json", "--without", "all")
    found = json.loads(run(*words)[1])
    graph = load_graph(f"timm:{MODELS[0]}", 4, (3, SIZE, SIZE))
    expected = estimate(graph, "a100-pcie-40gb", without=["all"]).latency
    assert found["rows"][0]["predicted_s"] == pytest.approx(expected)
    assert found["coverage_90"] is None


# --------------------------------------------------------------- other tables


def write_kernels(path: Path, device: str, count: int = 40) -> None:
    header = (
        "opname,latency_ms,device,kernel_name,warps_per_sm,blocks_per_sm,"
        "grid_x,grid_y,grid_z,block_x,block_y,block_z,b,h\n"
    )
    rows = [
        f"relu,{0.01 + 8e-9 * (1000 * i) * 512:.6f},{device},k,1,1,1,1,1,128,1,1,{1000 * i},512\n"
        for i in range(1, count + 1)
    ]
    with gzip.open(path, "wt") as file:
        file.write(header + "".join(rows))


def test_kernel_tables_and_folders(run: Any, tmp_path: Path) -> None:
    write_kernels(tmp_path / "relu.csv.gz", "Tesla_V100-PCIE-32GB")
    for path in (tmp_path / "relu.csv.gz", tmp_path):
        words = ("--against", str(path), "-d", "v100-pcie-32gb", "-f", "json")
        found = json.loads(run(*words)[1])
        assert found["n"] == 40
        assert found["operators"][0]["name"] == "relu"
        assert found["spearman"] > 0.99
    code, _, err = run("--against", str(tmp_path), "-d", "rtx-4090")
    assert code == 2
    assert "no rows for rtx-4090; it has Tesla_V100-PCIE-32GB" in err


@pytest.mark.parametrize(
    "words",
    [("--without", "tiles"), ("--few-shot", "5"), ("--precision", "fp16"), ("--compiled",)],
)
def test_kernel_tables_refuse_what_does_not_apply(
    run: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    write_kernels(tmp_path / "relu.csv.gz", "Tesla V100-PCIE-32GB")
    code, _, err = run("--against", str(tmp_path), "-d", "v100-pcie-32gb", *words)
    assert code == 2
    assert err.count("\n") == 1


def test_transformer_table(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="configurations are of that library's models")
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 64, "n_head": 4,
        "n_layer": 2, "n_positions": 64, "vocab_size": 100,
    }  # fmt: skip
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "tiny.json").write_text(json.dumps(config))
    table = tmp_path / "steps.csv"
    head = "device,model,mode,seq_len,batch,option,latency_ms,forward_ms,backward_ms\n"
    table.write_text(
        head
        + "Tesla_T4,tiny,inf,32,4,,2.0,2.0,0.0\n"
        + "Tesla_T4,tiny,inf,32,8,fusion,2.5,2.5,0.0\n"
        + "Tesla_T4,tiny,train,32,4,,6.0,2.0,4.0\n"
        + "Tesla_V100-PCIE-32GB,tiny,inf,32,4,,1.0,1.0,0.0\n"
    )
    words = ("--against", str(table), "-d", "t4", "-f", "json")
    found = json.loads(run(*words)[1])
    assert found["n"] == 2
    assert [entry["model"] for entry in found["skipped"]] == ["tiny 4 x 32 training"]
    graph = load_graph(f"hf:{tmp_path}/configs/tiny.json?attention=eager", 4, (32,))
    assert found["rows"][0]["predicted_s"] == pytest.approx(estimate(graph, "t4").latency)
    assert json.loads(run(*words, "--eager")[1])["n"] == 1
    code, _, err = run("--against", str(table), "-d", "a100-pcie-40gb")
    assert code == 2
    assert "it has Tesla T4, Tesla V100-PCIE-32GB" in err


def test_aliases_pick_the_device() -> None:
    profile = resolve_target("a100-pcie-40gb").profile
    assert is_called(profile, "NVIDIA A100-PCIE-40GB")
    assert is_called(profile, "NVIDIA_A100-PCIE-40GB")
    assert not is_called(profile, "Tesla T4")


# --------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no measured file"),
        ("a,b\n1,2\n", "no measured file"),
        ("model,train_step_time,train_img_size,train_batch_size,param_count\n", "infer"),
        ("model,infer_step_time,infer_img_size,infer_batch_size,param_count\n", "no rows"),
        (
            "model,infer_step_time,infer_img_size,infer_batch_size,param_count\nm,x,1,1,1\n",
            "t.csv:2",
        ),
        ('{"schema_version": 7}\n', "schema_version 7"),
    ],
)
def test_bad_tables_exit_with_2_and_one_line(
    run: Any, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    code, out, err = run("--against", str(path), "-d", "t4")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-d", "t4", "--mode", "train"), "not a timm train table"),
        (("-d", "t4", "--mode", "both"), "expected infer or train"),
        (("-d", "t4", "--precision", "amp"), "amp-fp16"),
        (("-d", "t4", "--layout", "abc"), "nchw or nhwc"),
        (("-d", "t4", "--without", "gravity"), "unknown law"),
        (("-d", "t4", "--max-mape", "-1"), "0 or more"),
        (("-d", "no-such-device"), "unknown device"),
        ((), "no device"),
    ],
)
def test_bad_options_exit_with_2_and_one_line(
    run: Any, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    path = write_timm(tmp_path / "t.csv", [("test_vit", SIZE, 2, 1.0, 1.0)])
    code, _, err = run("--against", path, *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_file_exits_with_2(run: Any, tmp_path: Path) -> None:
    code, _, err = run("--against", str(tmp_path / "none.csv"), "-d", "t4")
    assert code == 2
    assert "none.csv" in err


# ------------------------------------------------------------------- networks


def test_taking_networks_keeps_their_predictions() -> None:
    graphs = [load_graph(f"zoo:{n}") for n in ("fasternet_t0", "mobilenet_v2", "resnet50")]
    cases = [Case(g.name, g, 8, 1e-3 * (i + 1)) for i, g in enumerate(graphs)]
    networks, target = stack_networks(cases), resolve_target("t4")
    part = take(networks, np.array([2, 0]))
    assert part.names == (graphs[2].name, graphs[0].name)
    np.testing.assert_allclose(part.predict(target), networks.predict(target)[[2, 0]])
    np.testing.assert_allclose(part.measured, networks.measured[[2, 0]])


def test_time_shares_by_kind_are_those_of_the_estimate() -> None:
    graph: Graph = load_graph("zoo:resnet50")
    expected = estimate(graph, "t4", 64)
    networks = stack_networks([Case("resnet50", graph, 64, 1.0)])
    found = validate_networks(networks, resolve_target("t4"), RunConditions())
    shares = dict(zip(found.kinds, found.shares[0].tolist(), strict=True))
    assert sum(shares.values()) == pytest.approx(1)
    launched = sum(o.time for o in expected.operators if o.bound == "launch")
    assert shares.get("start-up", 0) == pytest.approx(launched / expected.latency)
    convolution = sum(
        o.time for o in expected.operators if o.kind == "convolution" and o.bound != "launch"
    )
    assert shares["convolution"] == pytest.approx(convolution / expected.latency)
    assert expected.interval is not None
    assert found.low is not None
    assert found.low[0] == pytest.approx(expected.interval.low)
