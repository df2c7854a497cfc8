"""Laws of CPUs: figures worked by hand, identities, and what must hold on every CPU."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn

import costmodel as cm
from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph, TensorSpec
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.validation.device_factors import DeviceFactors, network_times
from costmodel.measurement.validation.matching import run_form
from costmodel.measurement.validation.networks import Case, stack_networks
from costmodel.passes.fusion import compiled
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.constants import DEFAULT
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.elements import Elements, elements_of
from costmodel.roofline.engine import LAWS, enabled_laws, operator_times
from costmodel.roofline.laws.cores import core_clock
from costmodel.roofline.laws.cpu import (
    CPU_LAWS,
    PAGE,
    by_matrix_product,
    filled_lanes,
)
from costmodel.roofline.operators import OperatorColumns, operator_columns
from costmodel.roofline.precision import get_precision
from costmodel.roofline.workload import is_channels_last, is_mistaken, workload_of

CPUS = ("epyc-73f3", "epyc-73f3@1", "i9-10940x", "xeon-8480-plus", "cortex-a72", "m1-cpu")
"""Servers, one core of one, a desktop, a small board without a base clock, big and little cores."""


def target(name: str) -> Target:
    device, _, threads = name.partition("@")
    return Target(cm.load_device(device), int(threads) if threads else None)


def only(*laws: str) -> list[str]:
    """What to switch off so that these laws remain."""
    return [law for law in LAWS if law not in laws]


def columns(graph: Graph, batch: int = 1, precision: str = "fp32") -> OperatorColumns:
    return operator_columns(
        workload_of(columns_of(graph)), np.array([float(batch)]), get_precision(precision)
    )


def convolution(channels: int, size: int, k: int = 3, batch: int = 1, **options: int) -> Graph:
    layer = nn.Conv2d(channels, channels, k, padding=k // 2, bias=False, **options)
    return cm.trace(layer, (batch, channels, size, size))


# ------------------------------------------------------------------ by hand


def test_one_core_boosts_and_all_cores_do_not() -> None:
    devices = device_columns([target(f"epyc-73f3@{n}") for n in (1, 4, 16)])
    one, four, all_ = core_clock(devices)
    assert all_ == pytest.approx(1)
    assert one == pytest.approx((4.0 / 3.5) ** (15 / 16))
    assert 1 < four < one < 4.0 / 3.5


def test_all_cores_hold_the_sustained_clock_where_one_is_known() -> None:
    """A Core i7-12700H: 2.3 GHz at 45 W, so 2.3 GHz x (115 / 45)^(1/3) = 3.144 GHz at 115 W."""
    (clock,) = core_clock(device_columns([target("i7-12700h")]))
    assert 2.3 * clock == pytest.approx(3.144, rel=1e-3)
    half = core_clock(device_columns([target("i7-12700h@3")]))[0]
    assert 2.3 * half == pytest.approx((3.144 * 4.7) ** 0.5, rel=1e-3)


def test_cores_in_use_have_the_caches_of_their_clusters() -> None:
    """Two cores share each 32 MiB of last-level cache, every core has 512 KiB of its own."""
    devices = device_columns([target(f"epyc-73f3@{n}") for n in (1, 2, 3, 16)])
    assert devices.l2_capacity.tolist() == [x * 2**20 for x in (32, 32, 64, 256)]
    assert devices.core_cache.tolist() == [x * 2**19 for x in (1, 2, 3, 16)]


@pytest.mark.parametrize(
    ("channels", "lanes", "share"), [(16, 16, 1), (24, 16, 0.75), (17, 16, 17 / 32), (8, 16, 0.5)]
)
def test_the_last_vector_may_be_part_empty(channels: int, lanes: int, share: float) -> None:
    assert filled_lanes(np.array(channels), np.array(lanes)) == pytest.approx(share)


def test_a_write_reads_its_line_first() -> None:
    """A copy of x reads x and writes y: 2 sizes without, 3 with the law, and nothing cached."""
    graph = cm.trace(nn.ReLU(), (1, 64, 1024, 1024))
    size = 64 * 2**20 * 4
    plain = cm.estimate(graph, "i9-10940x", without=["all"]).latency
    allocated = cm.estimate(graph, "i9-10940x", without=only("allocate")).latency
    assert plain == pytest.approx(2 * size / 93.9e9, rel=1e-3)
    assert allocated == pytest.approx(3 * size / 93.9e9, rel=1e-3)


def test_a_large_tensor_pays_for_its_pages_and_a_small_one_hardly() -> None:
    for side, low, high in ((1024, 0.9, 1.0), (64, 0.0, 0.01)):
        graph = cm.trace(nn.ReLU(), (1, 64, side, side))
        pages = 64 * side**2 * 4 / PAGE
        paid = (
            cm.estimate(graph, "i9-10940x").latency
            - cm.estimate(graph, "i9-10940x", without=["pages"]).latency
        )
        assert low * pages <= paid / DEFAULT.cpu_page_fault <= high * pages


def test_one_core_draws_what_a_core_can() -> None:
    graph = cm.trace(nn.ReLU(), (1, 64, 1024, 1024))
    size = 64 * 2**20 * 4
    one = cm.estimate(graph, "epyc-73f3@1", without=only("threads")).latency
    assert one == pytest.approx(2 * size / DEFAULT.core_stream, rel=1e-3)
    whole = cm.estimate(graph, "epyc-73f3", without=only("threads")).latency
    drawn = min(16 * DEFAULT.core_stream, 204.8e9)
    assert whole == pytest.approx(2 * size / drawn, rel=1e-3)


@pytest.mark.parametrize(
    ("size", "options", "precision", "small"),
    [
        (6, {}, "fp32", True),  # 512 x 6 x 6 = 18,432 elements
        (7, {}, "fp32", False),  # 25,088
        (6, {"k": 5}, "fp32", False),
        (6, {"groups": 4}, "fp32", False),
        (6, {"batch": 2}, "fp32", False),
        (6, {}, "bf16", False),
    ],
)
def test_small_images_take_a_matrix_product(
    size: int, options: dict[str, int], precision: str, small: bool
) -> None:
    batch = options.get("batch", 1)
    graph = convolution(512, size, **options)
    assert by_matrix_product(columns(graph, batch, precision)).all() == small


def test_weights_are_rearranged_unless_they_were_packed_or_need_not_be() -> None:
    def cost(graph: Graph) -> float:
        with_, without = (
            cm.estimate(compiled(graph), "i9-10940x", without=only(*laws)).latency
            for laws in (("repack",), ())
        )
        return with_ / without - 1

    large = convolution(512, 7)
    frozen = replace(large, conditions={**large.conditions, "frozen": True})
    assert cost(large) > 0.1
    assert cost(frozen) == 0
    assert cost(convolution(512, 6)) == 0


@pytest.mark.parametrize(("k", "steps"), [(3, 1), (1, 0.5)])
def test_compiled_weights_cost_cycles_of_all_cores(k: int, steps: float) -> None:
    """512 x 512 x k x k weights, on 14 cores at 3.3 GHz, in two steps; kernels of one tap are
    channels-last already and take the second alone."""
    graph = compiled(convolution(512, 56, k=k))
    with_, without = (
        cm.estimate(graph, "i9-10940x", without=only(*laws)).latency for laws in (("repack",), ())
    )
    cycles = 512 * 512 * k**2 * steps * DEFAULT.cpu_weight_cycles
    assert with_ - without == pytest.approx(cycles / (14 * 3.3e9))


def test_planar_images_are_rearranged_in_eager_mode_only() -> None:
    planar = convolution(64, 112, k=1)
    last = cm.trace(nn.Conv2d(64, 64, 1, bias=False), (1, 64, 112, 112), layout="nhwc")
    times = [
        cm.estimate(graph, "i9-10940x", without=only("repack")).latency
        for graph in (planar, last, compiled(planar))
    ]
    assert times[0] > 1.05 * times[1]
    assert times[1] == pytest.approx(times[2], rel=0.01)


# ----------------------------------------------------------------- elements


SHAPE = (1, 64, 28, 28)


def without_vectors(layer: nn.Module) -> Graph:
    """A layer of 50,176 elements, compiled to code without vector instructions."""
    return run_form(cm.trace(layer, SHAPE), RunConditions(compiled=True, scalar=True))


class Attention(nn.Module):
    """Among 196 places, 6 heads of 64."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


class Block(nn.Module):
    """One of each sort of element."""

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, channels, 3, padding=1)
        self.norm = nn.GroupNorm(4, channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.last = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.silu(self.norm(self.convolution(x)))
        x = torch.cat([x, nn.functional.gelu(self.depthwise(x))], 1)
        return self.last(x).relu()


def test_elements_by_hand() -> None:
    graph = cm.trace(Block(), (2, 3, 8, 8))
    found = [elements_of(graph, op) for op in graph.ops if not op.is_view]
    total = Elements(*np.sum(found, axis=0).tolist())
    image = 2 * 24 * 8 * 8
    assert total.exponential == total.error_function == total.normalized == image
    assert total.moved == 2 * image
    assert total.plain == 4 * image  # three convolutions and relu


def test_fusion_keeps_every_element() -> None:
    graph = cm.trace(Block(), (2, 3, 8, 8))
    sums = [
        np.sum([elements_of(g, op) for op in g.ops if not op.is_view], axis=0)
        for g in (graph, compiled(graph))
    ]
    np.testing.assert_array_equal(*sums)


def test_elements_follow_the_batch() -> None:
    graph = cm.trace(Block(), (2, 3, 8, 8))
    for name in Elements._fields:
        two, six = (getattr(columns(graph, batch), name) for batch in (2, 6))
        np.testing.assert_allclose(six, 3 * two)


@pytest.mark.parametrize(
    ("layer", "sort", "constant"),
    [
        (nn.MaxPool2d(3, 2, 1), "compared", DEFAULT.cpu_compared_cycles),
        (nn.AvgPool2d(3, 2, 1), "summed", DEFAULT.cpu_summed_cycles),
    ],
)
def test_planar_windows_are_visited_pixel_by_pixel(
    layer: nn.Module, sort: str, constant: float
) -> None:
    """64 planes of 28 x 28 windows of 9 pixels on one core at 3.3 GHz; channels-last takes less."""
    planar, last = (cm.trace(layer, (1, 64, 56, 56), layout=layout) for layout in ("nchw", "nhwc"))
    visits = 64 * 28 * 28 * 9
    assert elements_of(planar, planar.ops[0]) == Elements(**{sort: visits})
    assert getattr(elements_of(last, last.ops[0]), sort) == 0
    slow, fast = (
        cm.estimate(graph, "i9-10940x@1", without=only("elements")).latency
        for graph in (planar, last)
    )
    assert slow == pytest.approx(visits * constant / 3.3e9, rel=0.02)
    assert fast < slow / 5


def test_weights_that_are_standardised_in_every_step_are_normalised() -> None:
    """As in nets without norms of images: a batch norm in training mode over the weights."""

    class Standardised(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = self.weight.reshape(1, self.out_channels, -1)
            weight = nn.functional.batch_norm(rows, None, None, training=True)
            return nn.functional.conv2d(x, weight.reshape_as(self.weight))

    graph = cm.trace(Standardised(8, 16, 3).eval(), (1, 8, 10, 10))
    found = [elements_of(graph, op) for op in graph.ops if not op.is_view]
    assert sum(one.normalized for one in found) == 16 * 8 * 9


# ------------------------------------------------------------- memory and shape


class Scaled(nn.Module):
    """Twice x: in new memory, or over x, which is not the caller's."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + 1
        return x.mul_(2) if self.in_place else x * 2


def test_a_write_in_place_finds_its_lines_and_pages() -> None:
    """One size less is moved; 256 MiB in new memory are 65,536 pages."""
    size = 64 * 2**20 * 4
    for law, saved in (
        ("allocate", size / 93.9e9),
        ("pages", size / PAGE * DEFAULT.cpu_page_fault),
    ):
        new, over = (
            cm.estimate(graph, "i9-10940x", without=only(law)).latency
            for graph in (cm.trace(Scaled(in_place), (1, 64, 1024, 1024)) for in_place in (0, 1))
        )
        assert new - over == pytest.approx(saved, rel=0.05), law


def test_a_write_that_stays_in_caches_needs_no_line_from_memory() -> None:
    graph = cm.trace(nn.ReLU(), (1, 64, 28, 28))
    kept, fetched = (
        cm.estimate(graph, "i9-10940x", without=only(*laws)).latency
        for laws in (("residency",), ("residency", "allocate"))
    )
    size = 64 * 28 * 28 * 4
    assert 0 < fetched - kept < 0.01 * size / 93.9e9


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("view", [False, True])
def test_an_image_is_mistaken_where_the_framework_mistakes_it(
    batch: int, channels_last: bool, view: bool
) -> None:
    """The framework's own answer: which layout a convolution of the image results in."""
    if view:
        x = torch.zeros(batch, 784, 64).transpose(1, 2).unflatten(2, (28, 28))
    else:
        x = torch.zeros(batch, 64, 28, 28)
        x = x.to(memory_format=torch.channels_last) if channels_last else x
    spec = TensorSpec(0, tuple(x.shape), "float32", "activation", tuple(x.stride()), 0, True)
    known = nn.functional.conv2d(x, torch.zeros(64, 64, 3, 3)).stride(1) == 1
    assert (is_channels_last(spec) and is_mistaken(spec)) == (x.stride(1) == 1 and not known)


class Mixed(nn.Module):
    """A depthwise convolution among the tokens of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(x.transpose(1, 2).unflatten(2, (28, 28)))


def test_only_a_single_image_is_mistaken() -> None:
    """On one core at 3.3 GHz: 64 x 28 x 28 elements turned, and reordered back and forth."""
    graph = cm.trace(Mixed(), (1, 784, 64))
    one, two = (
        cm.estimate(graph, "i9-10940x@1", n, without=only("repack")).latency
        - cm.estimate(graph, "i9-10940x@1", n, without=["all"]).latency
        for n in (1, 2)
    )
    turned = 64 * 784 * DEFAULT.cpu_transposed_cycles / 3.3e9
    packed = 64 * 9 * DEFAULT.cpu_pack_cycles / 3.3e9
    assert one > turned
    assert two == pytest.approx(packed, rel=0.01)


def test_scores_of_an_attention_cost_cycles() -> None:
    graph = cm.trace(Attention(), (1, 6, 196, 64))
    scored, plain = (
        cm.estimate(graph, "i9-10940x", without=only(*laws)).latency for laws in (("scores",), ())
    )
    cycles = 6 * 196 * 196 * DEFAULT.cpu_score_cycles
    assert scored == pytest.approx(plain + cycles / (14 * 3.3e9), rel=0.01)


def test_every_matrix_of_a_batch_loses_rows() -> None:
    """1000 products of 10 x 512 x 512 against 10 of 1000 rows: the same work, fewer whole rows."""

    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x.new_empty(x.shape[0], 512, 512)

    rates = []
    for count, rows in ((1000, 10), (10, 1000)):
        graph = cm.trace(Product(), (count, rows, 512))
        rates.append(1 / cm.estimate(graph, "i9-10940x@1", without=only("cores")).row_times.max())
    lost = DEFAULT.cpu_batched_rows
    assert rates[0] / rates[1] == pytest.approx(10 / (10 + lost) * (1000 + lost) / 1000, rel=0.02)


# ------------------------------------------------ holds on every CPU and for every law


@pytest.fixture(scope="module")
def block() -> Graph:
    return cm.trace(Block(), (1, 3, 64, 64))


@pytest.mark.parametrize("device", CPUS)
def test_never_below_the_roof_of_the_clock_in_use(block: Graph, device: str) -> None:
    operators = columns(block, 8)
    place = (target(device),)
    limits, devices = ceilings(place, operators.dtypes), device_columns(place)
    times = operator_times(operators, limits, devices).total
    fastest = max(limits.matrix_peak.max(), limits.vector_peak.max()) * core_clock(devices)[0]
    assert (times >= 2 * operators.macs / fastest).all()


@pytest.mark.parametrize("law", sorted(CPU_LAWS))
def test_every_law_changes_something_and_costs_time(law: str) -> None:
    """Only the clock saves time: a core alone runs above the clock its peak is quoted at."""
    graph = cm.trace(Block(20), (1, 3, 384, 384))
    if law == "scores":
        graph = cm.trace(Attention(), (1, 6, 196, 64))
    full = cm.estimate(graph, "epyc-73f3@1")
    dropped = cm.estimate(graph, "epyc-73f3@1", without=[law])
    change = full.row_times - dropped.row_times
    assert np.abs(change).max() > 0
    assert (change <= 1e-15).all() if law == "clock" else (change >= -1e-15).all()


@pytest.mark.parametrize("device", CPUS)
def test_all_laws_off_is_the_plain_roofline(block: Graph, device: str) -> None:
    place = (target(device),)
    operators = columns(block)
    limits = ceilings(place, operators.dtypes)
    times = operator_times(operators, limits, device_columns(place), enabled_laws(["all"]))
    matrix = limits.matrix_peak[0, operators.matrix_code]
    vector = limits.vector_peak[0, operators.vector_code]
    rate = np.where(operators.matrix, matrix, vector)
    moved = operators.data_read + operators.weight_bytes + operators.bytes_written
    compute = 2 * operators.macs / rate + operators.other_flops / vector
    np.testing.assert_allclose(times.total[0], np.maximum(compute, moved / limits.bandwidth[0]))


def test_more_cores_are_faster_on_large_work() -> None:
    graph = convolution(128, 56)
    times = [cm.estimate(graph, f"epyc-73f3@{n}", 64).latency for n in (1, 2, 4, 8, 16)]
    assert (np.diff(times) < 0).all()
    assert times[0] / times[-1] < 16 * 1.01


def test_a_core_spends_longer_on_an_exponential_than_on_a_sum() -> None:
    relu, silu, gelu = (
        cm.estimate(without_vectors(layer), "epyc-73f3@1").latency
        for layer in (nn.ReLU(), nn.SiLU(), nn.GELU())
    )
    assert relu < silu < gelu


def test_the_lanes_of_a_register_share_the_cycles_of_an_error_function() -> None:
    """16 float32 lanes of 512 bit on one core at the base clock, the clock law being off."""
    alone = [
        cm.estimate(graph, "i9-10940x@1", without=only("elements")).latency
        for graph in (without_vectors(nn.GELU()), compiled(cm.trace(nn.GELU(), SHAPE)))
    ]
    cycles = np.prod(SHAPE) * DEFAULT.cpu_error_function_cycles
    assert alone[0] - alone[1] == pytest.approx(cycles * (1 - 1 / 16) / 3.3e9)


@pytest.mark.parametrize(("size", "forks"), [(16, 0), (512, 1)])
def test_elements_are_spread_over_cores_where_that_saves_more_than_it_costs(
    size: int, forks: int
) -> None:
    """64 x 16 x 16 elements take a core 4 us, 64 x 512 x 512 take 4 ms; a fork over 14 is 57 us."""
    graph = compiled(cm.trace(nn.GELU(), (1, 64, size, size)))
    free, paid = (
        cm.estimate(graph, "i9-10940x", without=only("elements", *laws)).latency
        for laws in ((), ("launch",))
    )
    if forks:
        assert paid - free == pytest.approx(DEFAULT.cpu_fork * np.log2(14))
    else:
        elements = 64 * size**2
        lanes = DEFAULT.cpu_plain_cycles + DEFAULT.cpu_error_function_cycles / 16
        assert elements * lanes / 3.3e9 <= paid < DEFAULT.cpu_fork * np.log2(14)


@pytest.mark.parametrize("device", CPUS)
def test_larger_batches_never_take_less_time(block: Graph, device: str) -> None:
    times = [cm.estimate(compiled(block), device, n).latency for n in (1, 2, 3, 4, 6, 8, 16, 64)]
    assert (np.diff(times) > 0).all()


def test_half_precision_takes_the_rate_that_the_cpu_has(block: Graph) -> None:
    """Zen 4 multiplies bfloat16 at twice the float32 rate, Zen 3 does not know it."""
    operators = columns(block, 8, "bf16")
    compute = {}
    for device in ("epyc-9654", "epyc-73f3"):
        place = (target(device),)
        limits = ceilings(place, operators.dtypes)
        bf16 = limits.matrix_peak[0, operators.dtypes.index("bfloat16")]
        compute[device] = bf16 / place[0].profile.peak("float32")
    assert compute["epyc-9654"] == pytest.approx(2, rel=0.01)
    assert compute["epyc-73f3"] == pytest.approx(1)


def test_few_shot_factors_reach_every_part_of_a_cpu(block: Graph) -> None:
    """A CPU twice as fast in everything takes half the time."""
    networks = stack_networks(
        [Case("block", block, 8, 1.0), Case("fused", compiled(block), 1, 1.0)]
    )
    place = target("i9-10940x")
    assert {f.name for f in fields(DeviceFactors)} == {
        "matrix", "vector", "bandwidth", "cache", "launch",
    }  # fmt: skip
    slow = network_times(networks, place).total
    fast = network_times(networks, place, factors=DeviceFactors(2, 2, 2, 2, 0.5)).total
    np.testing.assert_allclose(fast, slow / 2, rtol=1e-9)
