"""How far the numbers of the catalogue were checked against their documents.

python -m costmodel.hardware.verification            prints the counts by level and device
python -m costmodel.hardware.verification --write    writes them into hardware_specs/README.md, too
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from costmodel.errors import UsageError
from costmodel.hardware.catalogue import catalogue_folder, list_devices
from costmodel.hardware.parts import Verified
from costmodel.hardware.profile import DeviceProfile, numbers
from costmodel.hardware.quantity import Number

LEVELS: tuple[Verified, ...] = ("unverified", "secondary", "vendor")
"""From the weakest to the strongest."""

README = "README.md"
BEGIN = "<!-- unverified: written by python -m costmodel.hardware.verification --write -->"
END = "<!-- end of unverified -->"
ALONE = "## One secondary text only"


def cited(number: Number) -> tuple[str, ...]:
    """Return the keys of the documents that a number cites."""
    if isinstance(number.source, tuple):
        return number.source
    return () if number.source is None else (number.source,)


def level_of(profile: DeviceProfile, number: Number) -> Verified | None:
    """Return how far a number was checked: as far as the weakest document it cites.

    None for a number that is not known, which cites nothing.
    """
    levels = [profile.sources[key].verified for key in cited(number)]
    return None if number.si is None else min(levels, key=LEVELS.index)


def count_levels(profiles: Iterable[DeviceProfile]) -> Counter[Verified]:
    """Return how many known numbers of the profiles there are at each level."""
    counts: Counter[Verified] = Counter(dict.fromkeys(LEVELS, 0))
    for profile in profiles:
        for _, number in numbers(profile):
            level = level_of(profile, number)
            if level is not None:
                counts[level] += 1
    return counts


def unverified(profile: DeviceProfile) -> Iterator[tuple[str, str]]:
    """Yield each unverified document and a number citing it, such as ("guide", "l1 bandwidth")."""
    for path, number in numbers(profile):
        for key in cited(number):
            if number.si is not None and profile.sources[key].verified == "unverified":
                yield key, number_name(profile, path)


def single(profile: DeviceProfile) -> Iterator[tuple[str, str]]:
    """Yield each document by others that a number cites alone, and the number, where it takes two.

    A vendor's own document is enough by itself, as is what is listed as unverified already.
    """
    for path, number in numbers(profile):
        if level_of(profile, number) == "secondary" and len(cited(number)) == 1:
            yield cited(number)[0], number_name(profile, path)


def number_name(profile: DeviceProfile, path: str) -> str:
    """Return a number's path in words: memory[0].capacity is "l1 capacity"."""
    match = re.fullmatch(r"(\w+)\[(\d+)\]\.?(.*)", path.removeprefix("compute."))
    if match is None:
        return path.rpartition(".")[2].replace("_", " ")
    group, index, rest = match[1], int(match[2]), match[3].replace("_", " ")
    if group == "peaks":
        row = profile.peaks[index]
        return " ".join(part for part in (row.dtype, row.engine, row.accumulate) if part)
    if group == "interconnect":
        return profile.interconnect[index].name
    owner = profile.memory[index] if group == "memory" else profile.compute.others[index]
    return f"{owner.name} {rest}"


def table(
    profiles: Iterable[DeviceProfile], pick: Callable[[DeviceProfile], Iterable[tuple[str, str]]]
) -> list[str]:
    """Return the lines of a Markdown table of numbers by device and document, as `pick` has it.

    An empty line comes before it; where no number is picked, there is no line at all.
    """
    lines: list[str] = []
    for profile in profiles:
        by_source: dict[str, list[str]] = {}
        for key, name in pick(profile):
            by_source.setdefault(key, []).append(name)
        lines += [f"| {profile.id} | {key} | {', '.join(n)} |" for key, n in by_source.items()]
    return ["", "| device | source | numbers |", "|---|---|---|", *lines] if lines else []


def readme_block(profiles: Iterable[DeviceProfile]) -> str:
    """Return the part of the catalogue's README that lists what was checked least, as Markdown."""
    profiles = list(profiles)
    counts = count_levels(profiles)
    alone = sum(len(list(single(profile))) for profile in profiles)
    lines = [
        BEGIN,
        "",
        f"{counts.total():,} numbers are known: {counts['vendor']} checked against the vendor's "
        f"text, {counts['secondary']} against a",
        f"secondary source, {counts['unverified']} not checked.",
        *table(profiles, unverified),
        "",
        ALONE,
        "",
        f"Where there is no text of the vendor, it takes two by others. For {alone} numbers only "
        "one was found.",
        *table(profiles, single),
    ]
    return "\n".join([*lines, "", END])


def replace_block(text: str, block: str) -> str:
    """Return the text of a README with another block; raises UsageError if it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"{README} has no block to replace: expected {BEGIN!r} and {END!r}")
    return before + block + after


def report(profiles: Iterable[DeviceProfile]) -> str:
    """Return the counts of each profile and of all, one line each."""
    profiles = list(profiles)
    rows = [(profile.id, count_levels([profile])) for profile in profiles]
    rows.append(("total", count_levels(profiles)))
    width = max(len(name) for name, _ in rows)
    lines = [f"{'device':<{width}}" + "".join(f"{level:>12}" for level in reversed(LEVELS))]
    for name, counts in rows:
        lines.append(f"{name:<{width}}" + "".join(f"{counts[x]:>12}" for x in reversed(LEVELS)))
    return "\n".join(lines)


def write_readme(path: Path, profiles: Iterable[DeviceProfile]) -> None:
    """Bring the generated part of a README up to date."""
    text = path.read_text(encoding="utf-8")
    path.write_text(replace_block(text, readme_block(profiles)), encoding="utf-8")


if __name__ == "__main__":
    devices = list_devices()
    if "--write" in sys.argv[1:]:
        write_readme(catalogue_folder() / README, devices)
    print(report(devices))
