"""float32 convolutions: the library's algorithms, of which an autotuned run takes the fastest.

- implicit GEMM: a product of (pixels x channels k k) by (channels k k x filters) whose left
  operand is read from the image as it is needed;
- fused Winograd F(2x2, 3x3): 16 multiplications for 4 outputs instead of 36; a block covers 32
  output tiles and 32 filters, which is a 128 x 128 tile of multiplications (Lavin and Gray, 2016);
- unfused Winograd F(4x4, 3x3): 36 products for 16 outputs instead of 144, between two kernels
  that transform the tensors through memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.bandwidth import is_pascal, memory_time, stream_bandwidth
from costmodel.roofline.laws.gemm import Product, Tile, blocks_time, main_loop, stacked
from costmodel.roofline.laws.library import implicit_kernels, winograd_kernels
from costmodel.roofline.laws.matrix import leading_axis
from costmodel.roofline.laws.overlap import p_norm
from costmodel.roofline.laws.selection import Offer, fastest_time

Array = np.ndarray

WINOGRAD_BLOCKS = ((1, 4, 8), (2, 4, 4), (2, 2, 8), (4, 1, 8), (4, 2, 4), (4, 4, 2))
"""Images x rows x columns of the 2 x 2 output tiles that a block covers, 32 in all. The names of
Pascal's kernels hold all of them, those of later ones the first alone."""
WINOGRAD_FILTERS = 32
POINTS = 36.0
"""Products of unfused Winograd."""
ALGORITHMS = ("implicit", "fused winograd", "unfused winograd")


@dataclass(frozen=True)
class Convolution:
    """Sizes of dense convolutions, arrays (ops,) or what broadcasts with them."""

    images: Array
    channels: Array
    filters: Array
    taps: Array
    """Elements of the kernel, 9 for 3 x 3."""
    out: Array
    """Side of the output, the root of its pixels."""
    input_bytes: Array
    unfolding: Array
    """Times that an input element is used per filter: taps over the area of the stride."""
    suits_winograd: Array
    """3 x 3 with stride 1."""

    @staticmethod
    def square(
        images: Array,
        channels: Array,
        filters: Array,
        kernel: Array,
        size: Array,
        stride: Array,
        padding: Array,
    ) -> Convolution:
        """From the sides of a square image and a square kernel."""
        return Convolution(
            images=images,
            channels=channels,
            filters=filters,
            taps=kernel**2,
            out=(size + 2 * padding - kernel) // stride + 1,
            input_bytes=4.0 * images * channels * size**2,
            unfolding=np.maximum(1.0, kernel**2 / stride**2),
            suits_winograd=(kernel == 3) & (stride == 1),
        )

    def take(self, rows: Array) -> Convolution:
        """Some of the convolutions, by index."""
        sizes = (
            self.images, self.channels, self.filters, self.taps, self.out, self.input_bytes,
            self.unfolding, self.suits_winograd,
        )  # fmt: skip
        return Convolution(*(size.take(rows, -1) for size in sizes))

    @property
    def count(self) -> int:
        """Number of convolutions."""
        return int(self.out.shape[-1])

    @property
    def output_bytes(self) -> Array:
        """Bytes of the output."""
        size: Array = 4.0 * self.images * self.filters * self.out**2
        return size

    @property
    def weight_bytes(self) -> Array:
        """Bytes of the weights."""
        size: Array = 4.0 * self.channels * self.filters * self.taps
        return size


def algorithm_times(
    conv: Convolution,
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
    boost_rate: Array | None = None,
    beside: Array | bool = False,
) -> Array:
    """Seconds of each of `ALGORITHMS`, (algorithms, devices, ops); infinite where it can't be.

    An autotuned run takes the fastest.

    Args:
        conv: sizes.
        unit_rate: FLOP/s of one unit at the clock that dense work leaves.
        device: columns of the devices.
        constants: of the laws.
        boost_rate: the same at the boost clock, by default that of the vector lanes.
        beside: where other lanes than those that multiply work out the indices of implicit GEMM.
    """
    boost = 2 * device.vector_lanes * device.clock if boost_rate is None else boost_rate
    indexed = np.where(beside, 1.0, constants.implicit_rate)
    rate = unit_rate * np.where(conv.taps > 1, indexed, 1.0)
    product, offers = implicit_product(conv), [Offer(implicit_kernels(device), conv.count)]
    (rows,) = np.asarray(np.atleast_2d(conv.suits_winograd).any(axis=0)).nonzero()
    if rows.size:
        some = conv.take(rows)
        own, boost = (r if r.shape[-1] == 1 else r[..., rows] for r in (unit_rate, boost))
        product = stacked([product, winograd_product(some)])
        offers.append(Offer(winograd_kernels(device), len(rows)))
        rate = np.concatenate([rate, own * np.ones(len(rows))], axis=-1)
    products = fastest_time(product, offers, rate, device, constants)
    times = np.full((len(ALGORITHMS), *products.shape[:-1], conv.count), np.inf)
    times[0] = products[..., : conv.count]
    if rows.size:
        times[1][..., rows] = fused_winograd_time(some, own, device, constants)
        multiply = products[..., conv.count :]
        times[2][..., rows] = unfused_winograd_time(some, multiply, own, boost, device, constants)
    return times


def implicit_product(conv: Convolution) -> Product:
    """The product of implicit GEMM."""
    return Product(
        batches=np.ones_like(conv.images),
        rows=conv.images * conv.out**2,
        columns=conv.filters,
        contraction=conv.channels * conv.taps,
        unfolding=conv.unfolding,
    )


def winograd_product(conv: Convolution) -> Product:
    """The products of unfused Winograd F(4x4, 3x3)."""
    patches = conv.images * np.ceil(conv.out / 4) ** 2
    return Product(
        batches=np.full_like(patches, POINTS),
        rows=conv.filters,
        columns=patches,
        contraction=conv.channels,
    )


def fused_winograd_time(
    conv: Convolution, unit_rate: Array, device: DeviceColumns, constants: Constants
) -> Array:
    """Seconds of fused Winograd F(2x2, 3x3) with the best block shape; inf where it can't be."""
    pascal = is_pascal(device)
    offered = WINOGRAD_BLOCKS if pascal.any() else WINOGRAD_BLOCKS[:1]
    images, down, across = leading_axis(offered, np.ndim(conv.images))
    counts = np.ceil(conv.images / images) * np.ceil(conv.out / (2 * down))
    counts = counts * np.ceil(conv.out / (2 * across))
    blocks = np.where(pascal, counts.min(axis=0), counts[0]) if len(offered) > 1 else counts[0]
    tiles = blocks * np.ceil(conv.filters / WINOGRAD_FILTERS)
    tile = Tile(128, 128, 256)
    loop, rate = main_loop(tile, constants), unit_rate * constants.winograd_rate
    compute = blocks_time(tiles, tile.threads, loop, conv.channels, rate, device, constants)
    traffic = conv.input_bytes + conv.output_bytes + conv.weight_bytes * 16 / 9
    memory = memory_time(traffic, traffic, device, constants)
    time = p_norm(compute, memory, constants.product_overlap)
    time = time + _weight_transform(conv, 16.0, device, constants) + constants.kernel_latency
    allowed: Array = np.where(conv.suits_winograd, time, np.inf)
    return allowed


def unfused_winograd_time(
    conv: Convolution,
    multiply: Array,
    unit_rate: Array,
    boost_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds of Winograd F(4x4, 3x3) in four kernels; inf where it can't be.

    `multiply` are the seconds of its products at `unit_rate`, the other arguments as above.
    """
    patches = conv.images * np.ceil(conv.out / 4) ** 2
    stream = stream_bandwidth(device, constants)
    around = 4 * POINTS * patches * (conv.channels + conv.filters)
    images = (conv.input_bytes + around + conv.output_bytes) / constants.image_transform_share
    weights = _weight_transform(conv, POINTS, device, constants)
    transform = images / stream + weights + 3 * constants.kernel_latency
    time = _at_shared_power(multiply, transform, unit_rate, boost_rate) + transform
    allowed: Array = np.where(conv.suits_winograd, time, np.inf)
    return allowed


def _weight_transform(
    conv: Convolution, points: float, device: DeviceColumns, constants: Constants
) -> Array:
    """Seconds of the kernel that makes `points` values of the 9 weights of each 3 x 3 filter."""
    moved = conv.weight_bytes * (1 + points / 9) / constants.weight_transform_share
    return np.asarray(moved / stream_bandwidth(device, constants))


def _at_shared_power(
    multiply: Array, transform: Array, unit_rate: Array, boost_rate: Array
) -> Array:
    """Time of the products when the transforms, bound by memory, leave them power to spare."""
    share = multiply / (multiply + transform)
    time: Array = multiply * unit_rate / np.minimum(boost_rate, unit_rate / share)
    return time
