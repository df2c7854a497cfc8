"""Numbers of channels written as text: "32:512", "32:512:32", "48,96,192"."""

from __future__ import annotations

from costmodel.errors import UsageError

MOST = 4096
"""How many numbers of channels one comparison may hold."""


def parse_channels(text: str) -> list[int]:
    """Numbers of channels: a range that doubles, a range in steps, or a list.

    Raises:
        UsageError: if it is none of them, or holds too many.
    """
    try:
        parts = [int(part) for part in text.replace(",", ":").split(":")]
    except ValueError:
        raise UsageError(
            f"channels {text!r}: expected a range 32:512, with a step 32:512:32, or a list 48,96"
        ) from None
    if any(part < 1 for part in parts):
        raise UsageError(f"channels {text!r}: expected numbers of at least 1")
    if ":" not in text:
        return sorted(set(parts))
    if "," in text or len(parts) > 3:
        raise UsageError(f"channels {text!r}: expected FROM:TO or FROM:TO:STEP")
    low, high = parts[:2]
    if low > high:
        raise UsageError(f"channels {text!r}: {low} is above {high}")
    if len(parts) == 2:
        return [low << i for i in range((high // low).bit_length())]
    if (high - low) // parts[2] >= MOST:
        raise UsageError(f"channels {text!r}: more than {MOST} of them; take a larger step")
    return list(range(low, high + 1, parts[2]))


def dense_channels(counts: list[int], text: str, multiple: int = 1) -> list[int]:
    """The same range for a figure: one that doubles gets three more numbers in each doubling.

    Args:
        counts: what `parse_channels` made of the text.
        text: as given.
        multiple: what every number must be a multiple of, so that groups and parts come out even.
    """
    if text.count(":") != 1:
        return counts
    between = {count * part // 4 for count in counts for part in (4, 5, 6, 7)}
    fits = {count for count in between if count % multiple == 0 and count <= counts[-1]}
    return sorted({*counts, *fits})
