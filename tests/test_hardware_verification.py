"""How far numbers were checked: the counting, and the README's list of what was not."""

import re
import runpy
from collections import Counter

import pytest

from costmodel.errors import UsageError
from costmodel.hardware import catalogue_folder, device_ids, list_devices, load_device
from costmodel.hardware.profile import numbers
from costmodel.hardware.validation import parse_profile
from costmodel.hardware.verification import (
    ALONE,
    BEGIN,
    END,
    LEVELS,
    count_levels,
    level_of,
    number_name,
    readme_block,
    replace_block,
    single,
    unverified,
)

TEXT = """\
name: A GPU of two units
vendor: Nobody
kind: gpu
year: 2020
microarchitecture: None
sources:
  maker: {title: A datasheet, publisher: Nobody, section: all, date: 2020, verified: vendor}
  press: {title: A review, publisher: Someone, section: all, date: 2020, verified: secondary}
  memory: {title: A memory, publisher: Nobody, section: all, date: 2020, verified: unverified}
compute:
  unit_name: SM
  units: {value: 2, source: maker, kind: datasheet}
  clocks:
    base: {value: 800 MHz, source: press, kind: datasheet}
    boost: {value: 1 GHz, source: [maker, press], kind: datasheet}
    sustained: {value: null, reason: not published}
  others:
    - name: small
      units: {value: 4, source: press, kind: datasheet}
      clock: {value: 900 MHz, source: memory, kind: datasheet}
peaks:
  - {dtype: float32, engine: vector, value: 256 GFLOP/s, per_clock: 128, source: maker,
     kind: datasheet}
  - {dtype: float16, engine: matrix, accumulate: float32, value: 1 TFLOP/s, per_clock: 512,
     source: [press, memory], kind: datasheet}
memory:
  - name: dram
    scope: device
    capacity: {value: 4 GiB, source: maker, kind: datasheet}
    bandwidth: {value: 32 GB/s, source: memory, kind: datasheet}
board_power: {value: 20 W, source: press, kind: datasheet}
interconnect:
  - {name: PCIe 3.0 x16, bandwidth: {value: 15.75 GB/s, source: memory, kind: datasheet}}
launch_overhead: {value: null, reason: not timed}
"""


@pytest.fixture(scope="module")
def device():
    return parse_profile("two", TEXT)


@pytest.fixture(params=device_ids())
def profile(request):
    return load_device(request.param)


@pytest.fixture(scope="module")
def devices():
    return list_devices()


def test_a_number_is_as_good_as_its_weakest_source(device):
    clocks = device.compute.clocks
    assert level_of(device, device.compute.units) == "vendor"
    assert level_of(device, clocks.base) == "secondary"
    assert level_of(device, clocks.boost) == "secondary"
    assert level_of(device, device.peaks[1]) == "unverified"
    assert level_of(device, clocks.sustained) is None


def test_counts_are_those_counted_by_hand(device):
    assert count_levels([device]) == {"vendor": 3, "secondary": 4, "unverified": 4}
    assert count_levels([device, device]) == {"vendor": 6, "secondary": 8, "unverified": 8}


def test_unverified_numbers_are_named_in_words(device):
    assert list(unverified(device)) == [
        ("memory", "small clock"),
        ("memory", "float16 matrix float32"),
        ("memory", "dram bandwidth"),
        ("memory", "PCIe 3.0 x16"),
    ]
    assert number_name(device, "compute.clocks.boost") == "boost"
    assert number_name(device, "board_power") == "board power"


def test_numbers_that_rest_on_one_text_by_others_are_named(device):
    assert list(single(device)) == [
        ("press", "base"),
        ("press", "small units"),
        ("press", "board power"),
    ]


def test_every_number_of_a_device_has_a_name_of_its_own(profile):
    names = [number_name(profile, path) for path, _ in numbers(profile)]
    assert len(names) == len(set(names))


SOURCE = re.compile(r"^  (\w+):\n(?:    .*\n)*?    verified: (\w+)$", re.MULTILINE)
CITATION = re.compile(r"\bsource:\s*(?:\[([^]]*)\]|((?:- \w+\s+)+)|(\w+))")


def levels_cited(text):
    """Yield the level of each document that a number cites, by key, from a file's bare text."""
    sources, _, body = text.partition("\ncompute:")
    levels = dict(SOURCE.findall(sources))
    for match in CITATION.finditer(body):
        keys = re.findall(r"\w+", match[1] or match[2] or match[3])
        yield {key: levels[key] for key in keys}


def rows(table):
    """Return how many numbers each row of a table of the README names, by device and document."""
    found = re.findall(r"^\| (\S+) \| (\w+) \| (.+) \|$", table, re.M)[1:]
    return {(device_id, key): len(names.split(", ")) for device_id, key, names in found}


def test_the_readme_lists_exactly_what_is_unverified_or_rests_on_one_text(devices):
    text = (catalogue_folder() / "README.md").read_text(encoding="utf-8")
    block = text.partition(BEGIN)[2].partition(END)[0]
    first, _, second = block.partition(ALONE)
    found, alone, levels = Counter(), Counter(), Counter()
    for path in catalogue_folder().glob("*.yaml"):
        for marks in levels_cited(path.read_text(encoding="utf-8")):
            levels[next(x for x in LEVELS if x in marks.values())] += 1
            found.update((path.stem, key) for key, mark in marks.items() if mark == "unverified")
            if list(marks.values()) == ["secondary"]:
                alone.update((path.stem, key) for key in marks)
    assert rows(first) == dict(found), "run python -m costmodel.hardware.verification --write"
    assert rows(second) == dict(alone), "run python -m costmodel.hardware.verification --write"
    assert levels == count_levels(devices)
    printed = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", first)[:4]]
    assert printed == [levels.total(), *(levels[x] for x in reversed(LEVELS))]
    assert int(re.findall(r"For (\d+) numbers", second)[0]) == sum(alone.values())


def test_the_readme_is_the_generated_one(devices):
    text = (catalogue_folder() / "README.md").read_text(encoding="utf-8")
    assert replace_block(text, readme_block(devices)) == text


def test_a_readme_without_the_block_is_refused():
    with pytest.raises(UsageError, match="no block to replace"):
        replace_block("# Device profiles\n", "block")


def test_a_calculated_number_is_no_better_verified_than_what_it_is_made_of(profile):
    compute = profile.compute
    clocks = [clock for _, clock in numbers(compute.clocks) if clock.si is not None]
    for path, number in numbers(profile):
        if number.kind != "derived":
            continue
        parts = [x for x in clocks if re.search(rf"(?<![\d.]){re.escape(x.value)}$", number.how)]
        if re.match(rf"{compute.units.value:g} ", number.how):
            parts.append(compute.units)
        level = LEVELS.index(level_of(profile, number))
        for part in parts:
            assert level <= LEVELS.index(level_of(profile, part)), path


# Those of which timings are at hand: what they rest on must have been looked at.
TIMED = (
    *("p4", "p100-pcie", "v100-pcie-32gb", "v100-sxm2", "t4", "a100-pcie-40gb", "rtx-3090"),
    *("rtx-4090", "mi250-gcd", "mi250"),
)


def test_devices_with_timings_rest_on_documents_that_were_seen():
    for name in TIMED:
        assert list(unverified(load_device(name))) == [], name


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_the_module_prints_the_counts(devices, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["verification"])
    runpy.run_module("costmodel.hardware.verification", run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["device", "vendor", "secondary", "unverified"]
    assert len(lines) == len(devices) + 2
    counts = count_levels(devices)
    assert lines[-1].split() == ["total", *(str(counts[x]) for x in reversed(LEVELS))]
