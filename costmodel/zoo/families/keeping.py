"""A chain of modules of which some keep something from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from torch import Tensor, nn


class Keeping(nn.Sequential):
    """Modules one after the other, each given what it keeps, such as keys and values.

    Its children are those modules, or an `nn.Sequential` of equal ones.
    """

    def __init__(self, keeps: Sequence[int]) -> None:
        """`keeps` says of every module, front to back, how many tensors it keeps."""
        super().__init__()
        self.keeps = tuple(keeps)

    def forward(self, x: Tensor, *kept: Tensor) -> Tensor:
        """Run all of them on x; `kept` are the tensors that they keep, front to back."""
        left = iter(kept)
        parts = [m for part in self for m in (part if isinstance(part, nn.Sequential) else [part])]
        for part, keeps in zip(parts, self.keeps, strict=True):
            x = part(x, *islice(left, keeps))
        return x
