"""How many of something: the whole numbers that a batch, a size or a limit can be."""

from __future__ import annotations

from costmodel.errors import UsageError

LARGEST = 2**53
"""Beyond it floating point does not tell whole numbers apart."""


def check_count(what: str, count: int) -> int:
    """`count`, if it is from 1 to `LARGEST`.

    Raises:
        UsageError: for any other number, which the message calls `what`.
    """
    if not 1 <= count <= LARGEST:
        expected = f"at most {LARGEST:,}" if count > LARGEST else "at least 1"
        raise UsageError(f"{what} {str(count)[:20]}: expected {expected}")
    return count
