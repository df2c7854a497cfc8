"""CPUs: how cores with vector registers and private caches run a network.

What differs from GPUs, and is a law of its own here:

- *clock*: one core alone runs at the boost clock, all together at the sustained or base clock.
- *vectors*: channels of the output fill vector registers; the last one may be part empty.
- *cores*: products reach a share of the peak, and lose rows to blocking on every core.
- *allocate*: caches read a line of memory before it is written, unless they hold it, so that a
  large write moves twice its bytes; a write over an input finds its lines there.
- *repack*: libraries compute convolutions in blocks of channels, and rearrange NCHW images to
  blocks and back in eager mode, weights at every call; small images take a plain matrix product
  instead. Compilers lay images out channels-last once, and the weights at every call, unless they
  were packed beforehand. A single channels-last image whose strides do not show it (a matrix of
  tokens viewed as an image) is copied first, and then planar.
- *elements*: see `cpu_elements`.
- *scores*: the fused attention of CPUs takes a maximum, an exponential and a rescaling per score,
  beside its products; batched products lose rows of every matrix, not of all together.
- *pages*: tensors as large as the allocator's mapping threshold are new memory each time, which
  the system hands out, cleared, page by page.
- *residency* over the caches of all cores and the last level together; *threads*: what one core
  draws from memory; *launch*: dispatch, and a fork and join over the cores.

Sources: the frameworks' and libraries' public code and documentation (PyTorch's choice of
convolution backends, its layouts of weights and its flash attention; oneDNN's memory formats and
its log of reorders; glibc's mallopt manual page).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from costmodel.roofline.ceilings import Ceilings
from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.cores import cores_of
from costmodel.roofline.laws.cpu_elements import element_cycles
from costmodel.roofline.laws.matrix import contraction_efficiency
from costmodel.roofline.laws.memory import hit_rate
from costmodel.roofline.operators import OperatorColumns

Array = np.ndarray

CPU_LAWS: dict[str, str] = {
    "clock": "a CPU core alone runs at its boost clock, all together at the sustained or base one",
    "threads": "a CPU core alone cannot draw the whole memory bandwidth",
    "allocate": "a CPU's caches read a line of memory before it is written",
    "vectors": "a CPU's vector registers are filled in part by the last channels",
    "cores": "CPU cores reach a share of their peak in products, and lose rows to blocking",
    "repack": "weights and images of convolutions are rearranged at every call on CPUs",
    "elements": "exponentials, norms and copies take a CPU core clock cycles per element",
    "scores": "attention on CPUs takes clock cycles per score: maximum, exponential, rescaling",
    "pages": "large tensors on CPUs are memory that the system hands out page by page",
}
"""The laws that only CPUs have, by name; they share others with GPUs."""

SMALL_IMAGE = 20480
"""Elements of a single float32 image up to which PyTorch convolves kernels of up to 3 by a matrix
product of its own (`use_mkldnn` in ATen/native/Convolution.cpp)."""
SMALL_KERNEL = 15
"""Most taps of such a kernel: 16 is 4 x 4."""
PAGE = 4096
"""Bytes of a page of memory."""
FEW_CHANNELS = 3
"""Channels up to which a library reads a planar image as it is: pictures in colour."""


class CpuTimes(NamedTuple):
    """Seconds, all (devices, batches, rows)."""

    compute: Array
    memory: Array
    launch: Array
    total: Array


def cpu_times(
    operators: OperatorColumns,
    ceilings: Ceilings,
    devices: DeviceColumns,
    laws: frozenset[str],
    constants: Constants,
) -> CpuTimes:
    """Time of every operator on every CPU; with no law it is the plain roofline.

    Args:
        operators: columns of the operators.
        ceilings: of the CPUs, made for `operators.dtypes`.
        devices: columns of the same CPUs.
        laws: names of the laws to apply.
        constants: of the laws.
    """
    run = _Run(operators, ceilings, devices, laws.__contains__, constants)
    compute, memory, launch = run.compute(), run.memory(), run.launch()
    # Cores compute while lines are fetched ahead; no fit found less than full overlap.
    total = np.maximum(compute, memory) + run.layouts() + run.new_pages() + launch
    compute, memory, launch = np.broadcast_arrays(compute, memory, launch, total)[:3]
    return CpuTimes(compute, memory, launch, total)


def filled_lanes(columns: Array, lanes: Array) -> Array:
    """Share of vector registers that holds output channels: 24 channels fill 3/4 of 2 x 16."""
    return np.asarray(columns / (np.ceil(columns / lanes) * lanes))


def by_matrix_product(operators: OperatorColumns) -> Array:
    """Whether a convolution of one small image runs as a plain matrix product.

    Images of up to 20,480 elements, kernels below 4 x 4, dense, in float32.
    """
    ops = operators
    elements = ops.data_read / 4
    images = ops.planes / np.maximum(ops.columns, 1)
    small = (elements <= SMALL_IMAGE) & (ops.taps <= SMALL_KERNEL) & (images <= 1)
    return np.asarray(small & ops.convolution & ~ops.half)


class _Run:
    """One evaluation; device arrays are (devices, 1, 1) and meet (batches, rows) or (rows,)."""

    def __init__(
        self,
        operators: OperatorColumns,
        ceilings: Ceilings,
        devices: DeviceColumns,
        on: Callable[[str], bool],
        constants: Constants,
    ) -> None:
        self.ops, self.constants, self.on = operators, constants, on
        self.vector_rate = ceilings.vector_peak[:, operators.vector_code][:, None, :]
        self.matrix_rate = ceilings.matrix_peak[:, operators.matrix_code][:, None, :]

        cores = cores_of(devices)
        self.cores, self.cache, self.hertz = cores.in_use, cores.cache, cores.rated
        if on("clock"):
            self.vector_rate = self.vector_rate * cores.faster
            self.matrix_rate = self.matrix_rate * cores.faster
            self.hertz = self.hertz * cores.faster
        width = np.where(operators.half, 2, 4)
        self.lanes = np.maximum(cores.vector_bytes / width, 1)
        self.float_lanes = np.maximum(cores.vector_bytes / 4, 1)
        self.dram = ceilings.bandwidth[:, None, None]
        if on("dram"):
            self.dram = self.dram * constants.cpu_dram_share
        if on("threads"):
            self.dram = np.minimum(self.dram, self.cores * constants.core_stream)
        cache_bandwidth = self.cores * self.hertz * constants.cpu_cache_width
        self.far = 1 / self.dram
        self.nearer = self.far - 1 / np.maximum(cache_bandwidth, self.dram)
        self.known_launch = ceilings.launch[:, None, None]
        self.alone = ~(operators.matrix | operators.depthwise)
        self.convolves = operators.convolution | operators.grouped | operators.depthwise
        self.blocked = self.convolves & ~by_matrix_product(operators)
        # Images in eager mode: the library's blocks of channels, and back again.
        self.planar = self.blocked & ~(operators.channels_last | operators.compiled)
        self.mistaken = operators.mistaken & ~operators.frozen
        if self.mistaken.any():
            single = operators.planes <= operators.columns * operators.batches
            self.mistaken = self.mistaken & self.blocked & single
            self.planar = self.planar | self.mistaken
        self.rearranged = bool(self.planar.any())
        self.cycles, self.fork = self._cycles(), self._fork()
        self.spread = self._spread()

    def compute(self) -> Array:
        """Time of arithmetic at what the cores reach."""
        ops = self.ops
        rate = np.where(ops.matrix, self.matrix_rate * self._share(), self.vector_rate)
        if self.on("cores"):
            alone = self.vector_rate * self.constants.cpu_depthwise_share
            rate = np.where(ops.depthwise, alone, rate)
        time = 2 * ops.macs / rate + ops.other_flops / self.vector_rate
        cycles = self.cycles / np.where(self.spread, self.cores, 1.0)
        if self.on("scores") and ops.attention.any():
            scores = ops.batches * ops.rows * ops.columns * ops.attention
            cycles = cycles + self.constants.cpu_score_cycles * scores / self.cores
        return np.asarray(time + cycles / self.hertz)

    def _share(self) -> Array:
        """Of the peak that matrix products and convolutions reach."""
        ops, constants = self.ops, self.constants
        share: Array = np.ones((1, 1, 1))
        if self.on("cores"):
            batched = ops.attention | (ops.product & (ops.batches > 1))
            endless = np.where(batched, constants.cpu_batched_share, constants.cpu_matrix_share)
            # A product packs its operands at every call, unless they were packed beforehand.
            packed = self.convolves | (ops.product & ops.frozen & ~batched)
            endless = np.where(packed, constants.cpu_convolution_share, endless)
            # Cores share the rows, and each loses some of its part to blocking; or they share
            # the matrices of a batch, and lose rows of each.
            rows = np.where(batched, ops.rows, ops.batches * ops.rows)
            lost = np.where(batched, constants.cpu_batched_rows, constants.cpu_rows * self.cores)
            share = endless * contraction_efficiency(rows, lost)
        if self.on("vectors"):
            filled = filled_lanes(ops.columns, self.lanes)
            share = share * np.where(self.blocked | ops.product, filled, 1.0)
        return np.asarray(np.maximum(share, 1e-9))

    def _cycles(self) -> Array:
        """Clock cycles of one core for all elements that are computed one by one."""
        ops = self.ops
        if not self.on("elements"):
            return np.zeros((1, 1, 1))
        cycles = element_cycles(ops, self.float_lanes, self.constants)
        return np.asarray(np.where(self.alone, cycles, 0.0))

    def _spread(self) -> Array:
        """Whether elements are spread over the cores: where that saves more than fork and join."""
        saved = self.cycles * ((1 - 1 / self.cores) / self.hertz)
        return np.asarray(self.alone & (saved > self.fork))

    def _fork(self) -> Array:
        """Seconds to spread work over the cores in use and wait for the last."""
        doublings = np.log2(np.maximum(self.cores, 1))
        return np.asarray(self.constants.cpu_fork * doublings * self.on("launch"))

    def layouts(self) -> Array:
        """Time to rearrange weights, and images in eager mode, before and after a convolution."""
        ops, constants = self.ops, self.constants
        if not self.on("repack"):
            return np.zeros((1, 1, 1))
        weights = ops.weight_bytes / 4
        # Compiled: generated code turns the weights channels-last, the library makes blocks of
        # them. Kernels of one tap have one order only, and take the second step alone.
        steps = np.where(ops.depthwise, 0.0, np.where(ops.taps > 1, 1.0, 0.5))
        cycles = np.where(
            ops.compiled, steps * constants.cpu_weight_cycles, constants.cpu_pack_cycles
        )
        cycles = np.where(self.blocked & ~ops.frozen, cycles * weights, 0.0)
        if not self.rearranged:
            return np.asarray(cycles / (self.cores * self.hertz))
        turned = constants.cpu_transposed_cycles * ops.data_read / 4
        cycles = cycles + np.where(self.mistaken, turned, 0.0)
        few = ops.convolution & (ops.contraction <= FEW_CHANNELS * ops.taps)
        passed = 2 * (ops.bytes_written + np.where(few, 0.0, ops.data_read))
        passes = constants.cpu_reorder_pass * passed * self._per_byte(passed / 2)
        return np.asarray(cycles / (self.cores * self.hertz) + np.where(self.planar, passes, 0.0))

    def _hits(self, distance: Array) -> Array | float:
        """Chance that data last touched so many bytes ago is in a cache."""
        return hit_rate(distance, self.cache) if self.on("residency") else 0.0

    def _per_byte(self, distance: Array) -> Array:
        """Seconds per byte for data last touched so many bytes ago."""
        return np.asarray(self.far - self.nearer * self._hits(distance))

    def memory(self) -> Array:
        """Time to move every operator's bytes."""
        ops, constants = self.ops, self.constants
        written, kept = ops.bytes_written, self._hits(ops.bytes_written)
        reads = ops.data_read * (
            ops.first_share * self._per_byte(ops.first_distance)
            + ops.second_share * self._per_byte(ops.second_distance)
            + np.maximum(1 - ops.first_share - ops.second_share, 0) * self.far
        )
        writes = written * (self.far - self.nearer * kept)
        if self.on("allocate"):
            writes = writes + written * ~ops.in_place * ((1 - kept) * self.far)
        weights = ops.weight_bytes * self._per_byte(ops.whole_run)
        total = reads + writes + weights
        if self.on("passes"):
            total = total + constants.fused_reread * ops.reduces * reads
        if self.on("attention"):
            scores = 4 * ops.batches * ops.rows * ops.columns
            traffic = np.where(ops.unfused, constants.score_traffic * 4 * scores, 0.0)
            total = total + traffic * self._per_byte(2 * scores)
        return np.asarray(total)

    def _repacked(self) -> Array:
        """Whether a convolution rearranges its weights; those of 1x1 kernels need it hardly."""
        ops = self.ops
        return np.asarray(self.blocked & (ops.taps > 1) & ~ops.depthwise & ~ops.frozen)

    def new_pages(self) -> Array:
        """Time of the system to hand out memory for large tensors."""
        ops, constants = self.ops, self.constants
        if not self.on("pages"):
            return np.zeros((1, 1, 1))

        def fresh(size: Array) -> Array:
            kept = hit_rate(size, np.asarray(constants.cpu_kept_memory))
            return np.asarray(size * (1 - kept))

        packed = np.where(self._repacked(), 2 * fresh(ops.weight_bytes), 0.0)
        written = fresh(ops.bytes_written)
        total = packed + written * ~ops.in_place
        if self.rearranged:
            total = total + self.planar * (written + fresh(ops.data_read))
        return np.asarray(total / PAGE * constants.cpu_page_fault)

    def launch(self) -> Array:
        """Time to dispatch an operator, spread it over the cores and wait for the last."""
        ops, constants = self.ops, self.constants
        if not self.on("launch"):
            return np.zeros((1, 1, 1))
        fork = np.where(self.spread, self.fork, 0.0)
        dispatch = np.where(ops.compiled & ~ops.frozen, 0.0, constants.cpu_launch)
        dispatch = np.where(self.known_launch > 0, self.known_launch, dispatch)
        # One to prepare and one to run; planar images take two more. Packed weights save the time
        # of packing, but no call: 75 us for a kernel of 27 on two cores of Zen 4, else 85.
        calls = np.where(self.planar, 4.0, 2.0) * self.convolves
        return np.asarray(dispatch + fork + constants.cpu_convolution_launch * calls)
