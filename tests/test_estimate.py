"""Estimates against hand-worked rooflines, and what must hold for any device and any law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import costmodel as cm
from costmodel import zoo
from costmodel.errors import UncoveredOperatorError, UnknownNameError, UsageError
from costmodel.formulas.columns import columns_of
from costmodel.liveness import liveness_of
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.constants import constant_table
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import LAWS, enabled_laws, operator_times
from costmodel.roofline.laws.cpu import CPU_LAWS
from costmodel.roofline.operators import operator_columns
from costmodel.roofline.precision import get_precision
from costmodel.roofline.workload import workload_of

GPUS = ("v100-sxm2", "rtx-4090", "a100-sxm4-80gb", "mi250-gcd", "t4")
DEVICES = (*GPUS, "epyc-73f3", "cortex-a72", "i9-10940x")


@pytest.fixture(scope="module")
def fasternet() -> cm.Graph:
    with torch.device("meta"):
        model = zoo.create("fasternet_t0")
    return cm.trace(model, (2, 3, 224, 224))


@pytest.fixture(scope="module")
def convolution() -> cm.Graph:
    """3x3, 256 to 256 channels on 56x56."""
    return cm.trace(nn.Conv2d(256, 256, 3, padding=1, bias=False), (1, 256, 56, 56))


def test_plain_roofline_of_a_convolution_by_hand(convolution: cm.Graph) -> None:
    """2 x 1,849,688,064 FLOPs at 15.7 TFLOP/s is 235.6 us; its bytes at 900 GB/s only 9.8 us."""
    estimate = cm.estimate(convolution, "v100-sxm2", without=["all"])
    assert estimate.total.macs == 1_849_688_064
    assert estimate.total.parameters == 589_824
    assert estimate.latency == pytest.approx(2 * 1_849_688_064 / 15.7e12, rel=1e-3)
    assert estimate.bound == "compute"
    moved = 4 * (2 * 256 * 56 * 56 + 589_824)
    assert estimate.total.bytes == moved
    (operator,) = estimate.operators
    assert operator.intensity == pytest.approx(2 * 1_849_688_064 / moved)


def test_plain_roofline_of_an_activation_by_hand() -> None:
    """ReLU reads and writes: 2 x 4 x 10^8 bytes at 900 GB/s."""
    estimate = cm.estimate(cm.trace(nn.ReLU(), (1, 10**8)), "v100-sxm2", without=["all"])
    assert estimate.latency == pytest.approx(8e8 / 900e9, rel=1e-6)
    assert estimate.bound == "memory"


def test_one_core_has_its_share_of_the_peak(convolution: cm.Graph) -> None:
    whole = cm.estimate(convolution, "epyc-73f3", without=["all"])
    core = cm.estimate(convolution, "epyc-73f3@1", without=["all"])
    assert core.latency == pytest.approx(16 * whole.latency)
    assert core.device == "epyc-73f3@1"


def test_half_precision_halves_the_bytes(convolution: cm.Graph) -> None:
    full = cm.estimate(convolution, "v100-sxm2", precision="fp32")
    half = cm.estimate(convolution, "v100-sxm2", precision="fp16")
    assert half.total.bytes == full.total.bytes / 2
    assert half.total.macs == full.total.macs


def test_products_accumulate_in_float32(convolution: cm.Graph) -> None:
    """GeForce boards do float16 at half rate when sums are float32, as frameworks ask for."""
    estimate = cm.estimate(convolution, "rtx-3090", precision="fp16", without=["all"])
    assert estimate.latency == pytest.approx(2 * 1_849_688_064 / 71e12, rel=1e-2)


def test_depthwise_loses_more_time_than_it_saves_flops() -> None:
    """The lesson this package exists for."""
    dense = cm.trace(nn.Conv2d(256, 256, 3, padding=1), (32, 256, 56, 56))
    depthwise = cm.trace(nn.Conv2d(256, 256, 3, padding=1, groups=256), (32, 256, 56, 56))
    a, b = (cm.estimate(g, "v100-sxm2") for g in (dense, depthwise))
    assert a.total.macs / b.total.macs == 256
    assert a.latency / b.latency < 256 / 5
    assert b.bound != "compute"
    assert b.operators[0].intensity < cm.load_device("v100-sxm2").ridge_point("float32")
    assert b.achieved_flops < a.achieved_flops / 10


# ------------------------------------------------------- holds for every device and law


def run(graph: cm.Graph, devices: tuple[str, ...], batches=(1, 8), laws=frozenset(LAWS), **edits):  # type: ignore[no-untyped-def]
    """Engine times with edited ceilings: `rate` and `bandwidth` scale the devices."""
    operators = operator_columns(
        workload_of(columns_of(graph)), np.array(batches, float), get_precision("fp32")
    )
    targets = [Target(cm.load_device(d)) for d in devices]
    limits, columns = ceilings(targets, operators.dtypes), device_columns(targets)
    rate, bandwidth = edits.get("rate", 1.0), edits.get("bandwidth", 1.0)
    limits = replace(
        limits,
        matrix_peak=limits.matrix_peak * rate,
        vector_peak=limits.vector_peak * rate,
        bandwidth=limits.bandwidth * bandwidth,
    )
    columns = replace(
        columns,
        clock=columns.clock * edits.get("clock", 1.0),
        base_clock=columns.base_clock * edits.get("clock", 1.0),
        l2_bandwidth=columns.l2_bandwidth * edits.get("clock", 1.0),
        dram_bandwidth=columns.dram_bandwidth * bandwidth,
        memory_channels=columns.memory_channels * bandwidth,
    )
    return operators, limits, columns, operator_times(operators, limits, columns, laws)


def test_never_below_the_compute_roof(fasternet: cm.Graph) -> None:
    operators, limits, _, times = run(fasternet, DEVICES)
    fastest = np.maximum(limits.matrix_peak, limits.vector_peak).max(axis=1)[:, None, None]
    assert (times.total >= 2 * operators.macs / fastest * (1 - 1e-12)).all()


def test_never_below_the_memory_roof_when_nothing_is_cached(fasternet: cm.Graph) -> None:
    operators, limits, _, times = run(fasternet, DEVICES, laws=enabled_laws(["residency"]))
    moved = operators.data_read + operators.weight_bytes + operators.bytes_written
    assert (times.total >= moved / limits.bandwidth[:, None, None] * (1 - 1e-12)).all()


def test_all_laws_off_is_the_plain_roofline(fasternet: cm.Graph) -> None:
    operators, limits, _, times = run(fasternet, DEVICES, laws=enabled_laws(["all"]))
    moved = operators.data_read + operators.weight_bytes + operators.bytes_written
    matrix = limits.matrix_peak[:, operators.matrix_code]
    vector = limits.vector_peak[:, operators.vector_code]
    rate = np.where(operators.matrix, matrix, vector)[:, None, :]
    compute = 2 * operators.macs / rate + operators.other_flops / vector[:, None, :]
    expected = np.maximum(compute, moved / limits.bandwidth[:, None, None])
    assert times.total == pytest.approx(expected)


@pytest.mark.parametrize("law", sorted(set(LAWS) - set(CPU_LAWS) - {"gradients"}))
def test_every_law_changes_something_and_costs_time(law: str) -> None:
    """A model that meets them all: dropping a law makes some operator faster, none slower.

    Three may also save time: residency is the law of a faster memory, those of grouped
    convolutions and of float32 take the place of that of tiles. CPUs and gradients have tests of
    their own.
    """

    class Everything(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 30, 3, padding=1)
            self.grouped = nn.Conv2d(30, 30, 3, padding=1, groups=3)
            self.depthwise = nn.Conv2d(30, 30, 3, padding=1, groups=30)
            self.norm = nn.GroupNorm(3, 30)
            self.rows = nn.LayerNorm(30)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(self.depthwise(self.grouped(self.stem(x)))).relu()
            x = nn.functional.avg_pool2d(x, 3, 1, 1)
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
            y = self.rows(x.flatten(2).transpose(1, 2))[:, None, None]
            return nn.functional.scaled_dot_product_attention(y, y, y)

    graph = cm.trace(Everything(), (4, 3, 14, 14))
    options = {"precision": "fp32" if law in ("float32", "power", "issue") else "fp16"}
    device = {"power": "t4", "issue": "h100-sxm5"}.get(law, "v100-sxm2")
    full = cm.estimate(graph, device, **options)
    dropped = cm.estimate(graph, device, without=[law], **options)
    change = full.row_times - dropped.row_times
    assert np.abs(change).max() > 0
    if law not in ("residency", "grouped", "float32"):
        assert (change >= -1e-15).all()


@pytest.mark.parametrize("edit", ["rate", "bandwidth", "clock"])
def test_a_faster_device_is_never_slower(fasternet: cm.Graph, edit: str) -> None:
    before = run(fasternet, DEVICES)[-1].total
    after = run(fasternet, DEVICES, **{edit: 1.5})[-1].total
    assert (after <= before * (1 + 1e-12)).all()
    assert (after < before).any()


def test_twice_as_fast_in_everything_halves_the_time(fasternet: cm.Graph) -> None:
    """The launch apart, the pages that the system hands out, and what power the board has."""
    laws = enabled_laws(["launch", "threads", "pages", "power"])
    before = run(fasternet, DEVICES, laws=laws)[-1].total
    after = run(fasternet, DEVICES, laws=laws, rate=2.0, bandwidth=2.0, clock=2.0)[-1].total
    assert after == pytest.approx(before / 2)


@pytest.mark.parametrize("device", DEVICES)
def test_time_grows_with_the_batch(fasternet: cm.Graph, device: str) -> None:
    latency = cm.sweep(fasternet, [device], [1, 2, 3, 5, 8, 64, 100, 512]).latency[0, :, 0]
    assert (np.diff(latency) > 0).all()


def test_constants_lie_in_their_ranges() -> None:
    for row in constant_table():
        assert row.low <= row.value <= row.high, row.name
        assert row.unit, row.name
        assert row.meaning, row.name
        assert row.source, row.name


# ------------------------------------------------------------------ the surface


def test_a_sweep_equals_single_estimates(fasternet: cm.Graph) -> None:
    sweep = cm.sweep(fasternet, ["v100-sxm2", "epyc-73f3@1"], [1, 32], ["fp32", "bf16"])
    assert len(sweep) == 8
    assert sweep.latency.shape == (2, 2, 2)
    for estimate in sweep:
        alone = cm.estimate(
            fasternet, estimate.target, batch=estimate.batch, precision=estimate.precision.name
        )
        assert estimate.latency == pytest.approx(alone.latency, rel=1e-12)
        assert estimate.peak_memory == alone.peak_memory


def test_operators_add_up(fasternet: cm.Graph) -> None:
    estimate = cm.estimate(fasternet, "t4", batch=16)
    assert sum(o.time for o in estimate.operators) == pytest.approx(estimate.latency)
    assert sum(o.macs for o in estimate.operators) == pytest.approx(estimate.total.macs)
    assert sum(estimate.time_by_kind.values()) == pytest.approx(estimate.latency)
    assert sum(estimate.time_by_bound.values()) == pytest.approx(estimate.latency)
    assert estimate.throughput == pytest.approx(16 / estimate.latency)


def test_a_missing_dtype_is_said_not_guessed(fasternet: cm.Graph) -> None:
    notes = cm.estimate(fasternet, "v100-sxm2", precision="bf16").notes
    assert any("no bfloat16" in note for note in notes)


def test_devices_without_float32_say_what_they_compute_in(fasternet: cm.Graph) -> None:
    with pytest.raises(UsageError, match="int8"):
        cm.estimate(fasternet, "ethos-u55-256")
    assert cm.estimate(fasternet, "ethos-u55-256", precision="int8").latency > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device": "v1000"}, UnknownNameError, "v100"),
        ({"batch": -3}, UsageError, "batch -3"),
        ({"batch": 0}, UsageError, "batch 0"),
        ({"precision": "fp12"}, UnknownNameError, "fp16"),
        ({"device": "v100-sxm2@2"}, UsageError, "only a cpu"),
        ({"device": "epyc-73f3@17"}, UsageError, "16 cores"),
        ({"device": "epyc-73f3@x"}, UsageError, "number of threads"),
        ({"without": ["gravity"]}, UnknownNameError, "laws are"),
    ],
)
def test_bad_input_is_one_clear_error(fasternet: cm.Graph, options, error, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message):
        cm.estimate(fasternet, **{"device": "v100-sxm2", **options})


torch.library.define("costmodel_tests::mystery", "(Tensor x) -> Tensor")


@torch.library.impl("costmodel_tests::mystery", "CompositeExplicitAutograd")
def _mystery(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Mystery(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.costmodel_tests.mystery(x) + 1


def test_an_unknown_operator_is_listed_and_charged_never_zero() -> None:
    graph = cm.trace(Mystery(), (2, 1000))
    estimate = cm.estimate(graph, "v100-sxm2")
    (uncovered,) = estimate.uncovered
    assert uncovered.op == "costmodel_tests::mystery"
    assert uncovered.count == 1
    assert 0 < uncovered.time_share < 1
    (operator,) = (o for o in estimate.operators if o.kind == "uncovered")
    assert (operator.bytes_read, operator.bytes_written) == (8000, 8000)
    with pytest.raises(UncoveredOperatorError, match="mystery"):
        cm.estimate(graph, "v100-sxm2", strict=True)


def test_peak_memory_by_hand() -> None:
    """x (100) -> a (100) -> b (100), x + b: x, a, b at the second; x, b, sum at the third."""

    class Residual(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + (x * 2).sigmoid()

    graph = cm.trace(Residual(), (1, 100))
    live = liveness_of(graph).bytes_at(batch=1)
    assert live.tolist() == [4 * 200, 4 * 300, 4 * 300]
    assert cm.estimate(graph, "v100-sxm2", batch=7).peak_memory == 7 * 4 * 300


def test_a_model_that_does_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="Identity: no operator ran"):
        cm.estimate(cm.trace(nn.Identity(), (1, 4)), "t4")


def test_views_and_in_place_writes_own_no_memory() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 2).view(-1).relu_()

    graph = cm.trace(InPlace(), (1, 100))
    assert liveness_of(graph).peak_bytes(batch=1) == 4 * 200


def test_three_calls_from_a_module_to_a_chart() -> None:
    figure = cm.trace(nn.Conv2d(3, 8, 3), (1, 3, 32, 32)).estimate("t4").roofline()
    dots = [trace for trace in figure.data if trace.name == "convolution"]
    assert [len(trace.x) for trace in dots] == [1]
    assert figure.layout.xaxis.type == "log"


def test_devices_without_a_peak_are_refused_together_with_the_remedy(fasternet: cm.Graph) -> None:
    """One error for a sweep over the whole catalogue; without those it names, it runs."""
    unable = {
        profile.id
        for profile in cm.list_devices()
        if not any(row.dtype == "float32" and row.si is not None for row in profile.peaks)
    }
    assert len(unable) > 1
    everything = [profile.id for profile in cm.list_devices()]
    with pytest.raises(UsageError, match="leave them out or choose a precision") as caught:
        cm.sweep(fasternet, everything)
    message = str(caught.value)
    named = {entry.split(" (")[0].split()[-1] for entry in message.split("), ")}
    assert named == unable
    assert message.startswith(f"{len(unable)} devices have no peak")
    able = [name for name in everything if name not in named]
    assert cm.sweep(fasternet, able).latency.shape[0] == len(everything) - len(unable)
    one = "edge-tpu"  # it has another precision to choose, which not all of them have
    assert one in unable
    with pytest.raises(UsageError, match=f"^{one} has no float32 peak; .*: choose such a"):
        cm.sweep(fasternet, [*able, one])


@pytest.mark.parametrize(("device", "beyond"), [("mi250-gcd", True), ("v100-sxm2", False)])
def test_float32_convolutions_run_on_matrix_engines_that_multiply_float32(
    device: str, beyond: bool
) -> None:
    # 2 x 256 x 28^2 x 512^2 x 5^2 FLOPs; a die of the MI250 prints 22.6 TFLOP/s for its vector
    # lanes and 45.3 for its matrix engines, a V100 15.7 for its lanes and nothing for the other.
    graph = cm.trace(nn.Conv2d(512, 512, 5, padding=2, bias=False), (256, 512, 28, 28))
    achieved = 2 * 256 * 28**2 * 512**2 * 25 / cm.estimate(graph, device, precision="fp32").latency
    vector = cm.load_device(device).peak("float32", "vector")
    assert vector is not None
    assert (achieved > vector) == beyond


@pytest.mark.parametrize("batch", [0, -1, -(10**400), 2**53 + 1, 10**400])
def test_a_batch_that_is_none_is_refused(convolution: cm.Graph, batch: int) -> None:
    with pytest.raises(
        UsageError, match=r"batch .*: expected at (least 1|most 9,007,199,254,740,992)"
    ):
        cm.estimate(convolution, "t4", batch)
