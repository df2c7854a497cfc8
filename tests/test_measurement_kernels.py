"""Readers, scores and the fit of kernel measurements, on small tables written here."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from costmodel.errors import UsageError
from costmodel.measurement.fitting import kernel_fit
from costmodel.measurement.fitting.ablation import NEUTRAL, ablated_errors, without
from costmodel.measurement.fitting.kernel_cases import kernel_cases, predict
from costmodel.measurement.tables.kernels import KernelTable, read_kernel_folder, read_kernels
from costmodel.measurement.tables.transformers import read_transformers
from costmodel.measurement.validation.kernel_prediction import measured_dispatch, predicted_latency
from costmodel.measurement.validation.scoring import coverage, score, spearman
from costmodel.roofline.constants import Constants

HEADER = "opname,latency_ms,device,kernel_name,grid_x,grid_y,grid_z,b,h\n"
ROWS = [
    'add,0.05,Tesla T4,"void add<4, float>",42,1,1,127,168',
    "add,1.5,Tesla V100-PCIE-32GB,void add,2,3,4,4096,2048",
]


def table_file(folder: Path, rows: list[str], header: str = HEADER, name: str = "add.csv") -> Path:
    path = folder / name
    path.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    return path


# Kernel tables


def test_a_table_in_seconds_and_floats(tmp_path: Path) -> None:
    table = read_kernels(table_file(tmp_path, ROWS))
    assert table.operator == "add"
    assert table.devices == ("Tesla T4", "Tesla V100-PCIE-32GB")
    np.testing.assert_allclose(table.latency, [50e-6, 1.5e-3])
    np.testing.assert_allclose(table.sizes["h"], [168, 2048])
    np.testing.assert_allclose(table.blocks, [42, 24])
    np.testing.assert_allclose(table.work, [127 * 168, 4096 * 2048])
    assert table.kernel[0] == "void add<4, float>"
    assert len(table.of_device("Tesla T4")) == 1


def test_a_compressed_table_reads_the_same(tmp_path: Path) -> None:
    plain = table_file(tmp_path, ROWS)
    packed = tmp_path / "packed" / "add.csv.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    tables = read_kernel_folder(packed.parent, ["add"])
    np.testing.assert_array_equal(tables["add"].latency, read_kernels(plain).latency)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([ROWS[0].replace("0.05", "soon")], HEADER, r"add\.csv:2: latency_ms is 'soon'"),
        ([ROWS[0], ROWS[1].replace("1.5", "-1")], HEADER, r"add\.csv:3: latency_ms is '-1'"),
        ([ROWS[0].replace("0.05", "inf")], HEADER, r"add\.csv:2: latency_ms is 'inf'"),
        (ROWS, HEADER.replace("device", "gpu"), r"add\.csv:1: no column device"),
        (ROWS, HEADER.replace(",h", ",w"), r"add\.csv:1: no sizes; expected the columns b, h"),
        ([], HEADER, r"add\.csv: no rows"),
        ([ROWS[0].replace("add", "cumsum")], HEADER, r"expected one operator of .*cumsum"),
        ([ROWS[0], ROWS[1].replace("add", "gelu", 1)], HEADER, r"found add, gelu"),
    ],
)
def test_a_broken_table_says_where(
    tmp_path: Path, rows: list[str], header: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_kernels(table_file(tmp_path, rows, header))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_kernels(tmp_path / "add.csv")
    with pytest.raises(UsageError, match=r"neither bmm\.csv nor bmm\.csv\.gz"):
        read_kernel_folder(tmp_path, ["bmm"])


def test_padding_may_be_zero_and_nothing_else(tmp_path: Path) -> None:
    header = HEADER.replace(
        "b,h", "b,input_channel,output_channel,kernel_size,input_size,stride,padding"
    )
    row = "conv,1,Tesla T4,k,1,1,1,2,3,4,1,8,1,0"
    assert read_kernels(table_file(tmp_path, [row], header)).sizes["padding"][0] == 0
    with pytest.raises(UsageError, match=r":2: stride is '0'"):
        read_kernels(table_file(tmp_path, [row.replace(",1,0", ",0,0")], header))


# Transformers

STEPS = "device,model,mode,seq_len,batch,option,latency_ms,forward_ms,backward_ms\n"


def step_file(folder: Path, *rows: str) -> Path:
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "tiny.json").write_text(json.dumps({"n_layer": 2}))
    return table_file(folder, list(rows), STEPS, "steps.csv")


def test_transformer_steps(tmp_path: Path) -> None:
    path = step_file(
        tmp_path,
        "Tesla_T4,tiny,inf,128,4,,12.5,12.5,0.0",
        "NVIDIA_A100-PCIE-40GB,tiny,train,64,2,fusion,30,10,20",
    )
    first, second = read_transformers(path)
    assert (first.device, first.latency, first.backward) == ("Tesla T4", 12.5e-3, 0)
    assert first.config == {"n_layer": 2}
    assert (second.training, second.compiled, second.sequence) == (True, True, 64)
    assert second.label == "tiny 2 x 64 training fused"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("T4,tiny,infer,128,4,,1,1,0", r"steps\.csv:2: mode is 'infer'"),
        ("T4,tiny,inf,128,4,jit,1,1,0", r"steps\.csv:2: option is 'jit'"),
        ("T4,tiny,inf,12.5,4,,1,1,0", r"steps\.csv:2: seq_len is '12.5'; expected a whole"),
        ("T4,tiny,inf,128,4,,,1,0", r"steps\.csv:2: latency_ms is ''"),
        ("T4,tiny,train,128,4,,1,1,0", r"steps\.csv:2: backward_ms is '0'"),
        ("T4,huge,inf,128,4,,1,1,0", r"steps\.csv:2: no configuration .*huge\.json"),
    ],
)
def test_a_broken_step_says_where(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_transformers(step_file(tmp_path, row))


def test_a_broken_configuration_says_where(tmp_path: Path) -> None:
    path = step_file(tmp_path, "T4,tiny,inf,128,4,,1,1,0")
    (tmp_path / "configs" / "tiny.json").write_text("{\n n_layer: 2}")
    with pytest.raises(UsageError, match=r"tiny\.json:2: not JSON"):
        read_transformers(path)


# Scores


def test_scores_by_hand() -> None:
    result = score(np.array([1.0, 1.05, 1.15, 2.0, 0.5]), np.ones(5))
    assert result.median_ape == pytest.approx(0.15)
    assert result.mape == pytest.approx((0 + 0.05 + 0.15 + 1 + 0.5) / 5)
    assert (result.within_10, result.within_20) == (0.4, 0.6)
    assert result.bias == 1.05
    assert np.isnan(result.spearman)
    assert result.coverage_90 is None


def test_rank_correlation_agrees_with_scipy_ties_included() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is an optional extra")
    generator = np.random.default_rng(3)
    a, b = generator.integers(0, 9, 60).astype(float), generator.normal(size=60)
    b = b + 0.3 * a
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert spearman(a, a**3) == pytest.approx(1)
    assert spearman(a, -a) == pytest.approx(-1)


def test_coverage_counts_the_ends() -> None:
    assert coverage(np.array([1.0, 2, 3]), np.array([1.0, 0, 4]), np.array([1.5, 2, 5])) == 2 / 3


@pytest.mark.parametrize(
    ("predicted", "measured"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0]), ([np.nan], [1.0])]
)
def test_scores_need_positive_pairs(predicted: list[float], measured: list[float]) -> None:
    with pytest.raises(UsageError):
        score(np.array(predicted), np.array(measured))


# Prediction and fit


def made_table(operator: str, constants: Constants, devices: tuple[str, ...]) -> KernelTable:
    """Rows whose latencies are the laws' own under other constants, with 20 us of dispatch."""
    generator = np.random.default_rng(7)
    rows = 120
    b = generator.integers(1, 16_000, rows).astype(float)
    h = generator.integers(300, 4_000, rows).astype(float)
    b[:10], h[:10] = 1.0, 300.0
    parts = []
    for name in devices:
        sizes = {"b": b, "h": h}
        blank = KernelTable(
            operator, np.full(rows, name), np.ones(rows), sizes, np.full(rows, "k"), np.ones(rows)
        )
        case = kernel_cases({operator: blank})[0]
        latency = predicted_latency(operator, sizes, case.device, 20e-6, constants)
        parts.append((np.full(rows, name), latency))
    return KernelTable(
        operator,
        np.concatenate([name for name, _ in parts]),
        np.concatenate([latency for _, latency in parts]),
        {"b": np.tile(b, len(parts)), "h": np.tile(h, len(parts))},
        np.full(rows * len(parts), "k"),
        np.ones(rows * len(parts)),
    )


def test_dispatch_is_read_from_the_smallest_rows() -> None:
    table = made_table("add", Constants(), ("Tesla T4",))
    assert measured_dispatch(table) == pytest.approx(20e-6)


def test_an_operator_without_a_law_is_refused() -> None:
    case = kernel_cases({"add": made_table("add", Constants(), ("Tesla T4",))})[0]
    with pytest.raises(UsageError, match="no kernel law for 'cumsum'; known: add"):
        predicted_latency("cumsum", case.table.sizes, case.device, 0.0, Constants())


def test_the_fit_finds_the_constants_that_made_the_data_and_predicts_an_unseen_device() -> None:
    pytest.importorskip("scipy", reason="scipy is an optional extra")
    truth = Constants().with_values({"dram_share": 0.83, "ecc_share": 0.93, "start_share": 0.4})
    devices = ("Tesla T4", "Tesla V100-PCIE-32GB", "NVIDIA A100-PCIE-40GB")
    cases = kernel_cases({"add": made_table("add", truth, devices)})
    seen = [case for case in cases if case.device_name != "NVIDIA A100-PCIE-40GB"]
    (unseen,) = (case for case in cases if case.device_name == "NVIDIA A100-PCIE-40GB")
    found = kernel_fit.fit_constants(seen)
    assert found.dram_share == pytest.approx(0.83, rel=0.02)
    # Start and latency add up to one number; only their sum can be found.
    start = 20e-6 * found.start_share + found.kernel_latency
    assert start == pytest.approx(20e-6 * 0.4 + truth.kernel_latency, rel=0.1)
    assert score(predict(unseen, found), unseen.table.latency).mape < 0.03
    assert kernel_fit.fit_constants(seen) == found


def test_groups_name_constants_and_operators_that_exist() -> None:
    for operators, names in kernel_fit.GROUPS:
        assert set(operators) <= set(kernel_fit.OPERATORS)
        for name in names:
            assert hasattr(Constants(), name)


@pytest.mark.parametrize("law", NEUTRAL)
def test_a_law_off_still_predicts_and_changes_only_its_constants(law: str) -> None:
    off = without(Constants(), law)
    changed = {name for name in vars(off) if getattr(off, name) != getattr(Constants(), name)}
    assert changed == set(NEUTRAL[law])
    case = kernel_cases({"ln": made_table("ln", Constants(), ("Tesla T4",))})[0]
    assert np.isfinite(predict(case, off)).all()


def test_the_ablation_shows_the_loss() -> None:
    cases = kernel_cases({"add": made_table("add", Constants(), ("Tesla T4",))})
    assert ablated_errors(cases, Constants(), None)["add"] == pytest.approx(0, abs=1e-9)
    assert ablated_errors(cases, Constants(), "dram efficiency")["add"] > 0.05
    assert ablated_errors(cases, Constants(), "dispatch")["add"] > 0.05
    assert ablated_errors(cases, Constants(), "winograd")["add"] == pytest.approx(0, abs=1e-9)


# Measured data


def measured_folder(name: str) -> Path:
    root = os.environ.get("COSTMODEL_MEASURED")
    if not root or not (Path(root) / name).is_dir():
        pytest.skip(f"COSTMODEL_MEASURED names no folder with {name}/")
    return Path(root) / name


@pytest.mark.parametrize(
    ("operator", "worst"),
    [("add", 0.06), ("gelu", 0.06), ("relu", 0.08), ("softmax", 0.12), ("ln", 0.16)],
)
def test_the_constants_hold_for_measured_kernels(operator: str, worst: float) -> None:
    tables = read_kernel_folder(measured_folder("kernels"), [operator])
    for case in kernel_cases(tables, rows=1000):
        result = score(predict(case, Constants()), case.table.latency)
        assert result.mape < worst, case.device_name


def test_measured_transformers_read() -> None:
    runs = read_transformers(measured_folder("end_to_end") / "transformers_fp32.csv")
    assert {run.device for run in runs} >= {"Tesla T4", "Tesla P4"}
