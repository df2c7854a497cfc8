"""Two thousand damaged profiles: each is still valid or is refused with a clean error.

Damage to the text may do anything but raise something other than SpecError. Damage to a unit or a
prefix must be refused: a number that silently means something else is the worst that can happen.
"""

import copy
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costmodel.documents import Document, read_text
from costmodel.errors import SpecError
from costmodel.hardware.catalogue import device_files
from costmodel.hardware.validation import build_profile, parse_profile

TEXTS = {device: path.read_text() for device, path in device_files().items()}
DATA = {
    device: read_text(TEXTS[device]).data
    for device in (
        "v100-sxm2",
        "rtx-4090",
        "mi300x",
        "epyc-73f3",
        "tpu-v4",
        "stm32h743",
        "myriad-x",
    )
}
UNITS = [
    *("B", "kB", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB", "Kb", "Mb", "Gb", "Gib"),
    *("B/s", "MB/s", "GB/s", "TB/s", "MiB/s", "GiB/s", "Mb/s", "Gb/s", "Gbps", "GBps", "GT/s"),
    *(
        "Hz",
        "kHz",
        "KHz",
        "MHz",
        "GHz",
        "THz",
        "W",
        "mW",
        "kW",
        "ns",
        "us",
        "ms",
        "s",
        "bit",
        "bits",
    ),
    *("MFLOP/s", "GFLOP/s", "TFLOP/s", "PFLOP/s", "FLOP/s", "TFLOPS", "TFLOP", "GFLOPs"),
    *("OP/s", "MOP/s", "GOP/s", "TOP/s", "POP/s", "TOPS", "TMAC/s", ""),
]
EVERYWHERE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SNIPPETS = st.sampled_from(
    [
        *("", " ", "\n", "\n\n", ":", ": ", "- ", "[", "]", "{", "}", ",", "#", "&a ", "*a", "!x "),
        *("-1", "0", "1e999", "true", "nan", "null", "value", "source: 7", "'", '"', "|\n", ">-\n"),
        *("\t", "%", "---\n", "...\n", "? ", "<<: ", "\u2028", "\ufeff", "é", "9" * 30, "sparse"),
    ]
)


def attempt(device, text):
    """Return the profile in a text, None if it is refused cleanly."""
    try:
        return parse_profile(device, text)
    except SpecError as error:
        problems = error.problems
    assert problems
    if len(problems) > 40 and re.fullmatch(r"[^\n]+\.yaml: \d+ more", problems[-1]):
        problems = problems[:-1]
    for problem in problems:
        assert re.match(r"[^\n]+\.yaml:\d+:\d+ [^\n]+: [^\n]+\Z", problem), problem
    return None


@settings(EVERYWHERE, max_examples=400)
@given(st.data())
def test_damaged_text(data):
    device = data.draw(st.sampled_from(sorted(TEXTS)))
    text = TEXTS[device]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 2, 5, 40]))
        text = text[:start] + data.draw(SNIPPETS) + text[start + length :]
    attempt(device, text)


@settings(EVERYWHERE, max_examples=200)
@given(st.text(max_size=200))
def test_any_text(text):
    attempt("any-device", text)


def places(data, path=()):
    """Yield the path of everything in a document."""
    yield path
    if isinstance(data, dict):
        for key, item in data.items():
            yield from places(item, (*path, key))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from places(item, (*path, index))


PLACES = {device: [p for p in places(data) if p] for device, data in DATA.items()}
QUANTITIES = {
    device: [p for p in places(data) if p[-1:] == ("value",)] for device, data in DATA.items()
}


def damaged(device, path, value):
    """Return the problems of a device whose value at a path is another one."""
    data = copy.deepcopy(DATA[device])
    parent = data
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    try:
        build_profile(device, Document(f"{device}.yaml", data))
    except SpecError as error:
        return error.problems
    return []


def value_at(device, path):
    """Return what is at a path of a device's document."""
    found = DATA[device]
    for key in path:
        found = found[key]
    return found


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


@settings(EVERYWHERE, max_examples=700)
@given(st.data())
def test_anything_anywhere(data):
    device = data.draw(st.sampled_from(sorted(DATA)))
    path = data.draw(st.sampled_from(PLACES[device]))
    damaged(device, path, data.draw(ANYTHING))


@settings(EVERYWHERE, max_examples=700)
@given(st.data())
def test_another_unit_is_never_accepted(data):
    device = data.draw(st.sampled_from(sorted(DATA)))
    path = data.draw(st.sampled_from(QUANTITIES[device]))
    text = value_at(device, path)
    if not isinstance(text, str):
        return  # a count, a share or null
    number, _, unit = text.partition(" ")
    other = data.draw(st.sampled_from([other for other in UNITS if other != unit]))
    problems = damaged(device, path, f"{number} {other}".strip())
    assert problems, f"{device} {path}: {text!r} became {number} {other}"


@pytest.mark.parametrize("device", sorted(DATA))
def test_twice_the_peak_is_never_accepted(device):
    for index, row in enumerate(DATA[device]["peaks"]):
        if "per_clock" in row:
            number, _, unit = row["value"].partition(" ")
            assert damaged(device, ("peaks", index, "value"), f"{2 * float(number):g} {unit}")


def test_the_mutations_start_from_valid_profiles():
    for device in DATA:
        assert damaged(device, ("note",), "A note.") == []
