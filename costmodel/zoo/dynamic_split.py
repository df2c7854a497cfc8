"""What a setting of DPConv's gates means and costs, as numbers.

Source: "Partial Channel Network: Compute Fewer, Perform Better", section on learnable dynamic
partial convolution. K binary gates g_k build a relation U = U_1 (x) ... (x) U_K of 2^K input to
2^K output channels (Eq. 2), with U_k all ones where g_k = 1 and the 2 x 2 identity where g_k = 0
(Eq. 3). With every identity before every block of ones, U is block-diagonal with dense blocks of
2^(sum g) channels, and the mask m keeps the first block: a partial convolution over
c_p = 2^(sum g) of c = 2^K channels.

Two of the paper's equations do not mean what their symbols say, so both readings are here:

* Eq. 5 prints r_p = 2^(sum(1 - g)) / c_in and keeps the channels i < 1 / r_p. That r_p is 1 / c_p.
  The split ratios of the paper's Figure 7, and r_p everywhere else in it, are c_p / c.
* Eq. 6 counts the ones of U before the mask, c * c_p; Eq. 7 is c_p^2, the ones after it. Only the
  former makes theta = 4 equal to r_p = 1/4, as the text says, and all fifteen learnt settings of
  Figure 7 keep their budget even by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from costmodel.errors import UsageError


@dataclass(frozen=True)
class DynamicSplit:
    """The binary gates of one layer, first factor of the Kronecker product first."""

    gates: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.gates or any(gate not in (0, 1) for gate in self.gates):
            raise UsageError(f"DPConv gates {self.gates}: expected one or more zeros and ones")

    @classmethod
    def of_ratio(cls, channels: int, ratio: Fraction | float) -> DynamicSplit:
        """The ordered gates that convolve `ratio` of `channels`; both must be powers of two."""
        total = gate_count(channels)
        active = Fraction(ratio) * channels
        if active.denominator != 1 or active < 1 or active > channels:
            raise UsageError(f"split ratio {ratio} of {channels} channels is no whole channel")
        ones = gate_count(int(active)) if active > 1 else 0
        return cls((0,) * (total - ones) + (1,) * ones)

    @property
    def channels(self) -> int:
        """c = 2^K."""
        return int(2 ** len(self.gates))

    @property
    def active(self) -> int:
        """c_p = 2^(sum g), the channels that are convolved."""
        return int(2 ** sum(self.gates))

    @property
    def split_ratio(self) -> Fraction:
        """c_p / c, the split ratio of the paper's Figure 7."""
        return Fraction(self.active, self.channels)

    @property
    def printed_split_ratio(self) -> Fraction:
        """r_p as Eq. 5 prints it, 2^(sum(1 - g)) / c = 1 / c_p."""
        return Fraction(2 ** (len(self.gates) - sum(self.gates)), self.channels)

    @property
    def zeta(self) -> int:
        """Eq. 7: connections that the mask keeps, c_p^2."""
        return self.active**2

    @property
    def zeta_unmasked(self) -> int:
        """Eq. 6: ones in U before the mask, c * c_p."""
        return self.channels * self.active

    @property
    def ordered(self) -> bool:
        """Whether all identities come before all blocks of ones, so that c_p are contiguous."""
        return list(self.gates) == sorted(self.gates)

    def macs(self, height: int, width: int, kernel_size: int = 3) -> int:
        """Multiply-accumulates of the partial convolution, h w k^2 c_p^2."""
        return height * width * kernel_size**2 * self.zeta


def gate_count(channels: int) -> int:
    """K = log2(c). Raises UsageError unless c is a power of two above one."""
    count = channels.bit_length() - 1
    if channels < 2 or channels != 2**count:
        raise UsageError(f"DPConv needs a power of two of channels, at least 2; got {channels}")
    return count


def kappa(channels: list[int], theta: float) -> float:
    """Desired complexity of a network of DPConv layers: the sum of c^2 / theta."""
    return sum(c * c for c in channels) / theta
