"""Text with units: what is read, what is refused, what is printed."""

import subprocess
import sys

import pytest

from costmodel.errors import UsageError
from costmodel.units import format_bytes, format_si, format_time, parse


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("312 TFLOP/s", "FLOP/s", 312e12),
        ("128 TOP/s", "OP/s", 128e12),
        ("900 GB/s", "B/s", 900e9),
        ("900 GiB/s", "B/s", 900 * 2**30),
        ("900 Gb/s", "B/s", 900e9 / 8),
        ("40 GiB", "B", 40 * 2**30),
        ("40 GB", "B", 40e9),
        ("40 Gb", "B", 5e9),
        ("384 bit", "b", 384),
        ("19.5 Gb/s", "b/s", 19.5e9),
        ("1.53 GHz", "Hz", 1.53e9),
        ("1530MHz", "Hz", 1.53e9),
        ("300 W", "W", 300),
        ("5 us", "s", 5e-6),
        ("5 µs", "s", 5e-6),
        ("1e3 ms", "s", 1),
    ],
)
def test_parse(text, unit, value):
    assert parse(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("900 GB/s", "FLOP/s"),
        ("312 TFLOP/s", "OP/s"),
        ("312 TFLOP", "FLOP/s"),
        ("900 GHz", "B/s"),
        ("900 GB", "B/s"),
        ("40 s", "B"),
        ("3 barn", "B"),
        ("3 kiloB", "B"),
        ("3 B + 2 B", "B"),
        ("3 GB*GB", "B"),
        ("1,5 GB/s", "B/s"),
        ("1 2 GB", "B"),
        ("nan GB/s", "B/s"),
        ("inf GB/s", "B/s"),
        ("1e400 B", "B"),
        ("", "B"),
        ("GB", "B"),
    ],
)
def test_refused(text, unit):
    with pytest.raises(UsageError, match="expected a quantity in"):
        parse(text, unit)


@pytest.mark.parametrize("value", ["900", 900, 900.0, None, True])
def test_a_bare_number_is_refused(value):
    with pytest.raises(UsageError, match="without a unit"):
        parse(value, "B/s")


@pytest.mark.parametrize(
    ("text", "unit", "remedy"),
    [
        ("312 TFLOPS", "FLOP/s", "TFLOP/s"),
        ("900 GBps", "B/s", "GB/s"),
        ("10 Gbps", "b/s", "Gb/s"),
        ("1530 Mhz", "Hz", "MHz"),
        ("5 KHz", "Hz", "kHz"),
    ],
)
def test_common_misspellings_are_named(text, unit, remedy):
    with pytest.raises(UsageError, match=f"write '{remedy}'"):
        parse(text, unit)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4.09e9, "MAC", "4.09 GMAC"),
        (312e12, "FLOP/s", "312 TFLOP/s"),
        (999.9996e6, "FLOP", "1 GFLOP"),
        (999.4e6, "FLOP", "999 MFLOP"),
        (1234.5, "FLOP", "1.23 kFLOP"),
        (12, "FLOP", "12 FLOP"),
        (0, "FLOP", "0 FLOP"),
        (-5e9, "FLOP/s", "-5 GFLOP/s"),
        (0.5, "FLOP/B", "0.5 FLOP/B"),
    ],
)
def test_format_si(value, unit, text):
    assert format_si(value, unit) == text


def test_format_bytes_is_binary():
    assert format_bytes(2**30) == "1 GiB"
    assert format_bytes(1536) == "1.5 KiB"
    assert format_bytes(12) == "12 B"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(65, "65 s"), (0.00123, "1.23 ms"), (5e-6, "5 us"), (2e-8, "20 ns"), (0, "0 s")],
)
def test_format_time(seconds, text):
    assert format_time(seconds) == text


def test_formatting_does_not_import_pint():
    code = (
        "import sys; from costmodel.units import format_si; format_si(1e9, 'B'); "
        "sys.exit('pint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
