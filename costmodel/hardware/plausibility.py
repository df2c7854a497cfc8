"""What a device of each kind can be like: ranges that catch a wrong prefix.

The ranges are wide, for they are no opinion on devices yet to come; but each is narrower than a
factor of about 1000, so that MHz written for GHz or GB for TB falls outside. Where the number is
tied to others (peak, memory bandwidth) `checks.py` also compares them, to within 3 %.
"""

from __future__ import annotations

CLOCK_HZ = {
    "gpu": (100e6, 6e9),
    "cpu": (300e6, 9e9),
    "npu": (100e6, 5e9),
    "tpu": (100e6, 5e9),
    "mcu": (10e6, 2e9),
}
POWER_W = {
    "gpu": (2.0, 1999.0),
    "cpu": (1.0, 999.0),
    "npu": (0.05, 49.0),
    "tpu": (10.0, 1500.0),
    "mcu": (0.01, 5.0),
}
LEAST_IDLE_SHARE = 0.1
"""Static power of a device over the board power of the smallest of its kind."""
UNITS = {
    "gpu": (1, 600),
    "cpu": (1, 512),
    "npu": (1, 256),
    "tpu": (1, 64),
    "mcu": (1, 8),
}
# Operations per second over all dtypes and engines: float64 on a consumer GPU is the low end,
# fp4 on a matrix engine the high one. That is more than a factor of 1000, but all except NPUs
# must also state per_clock, which pins the peak.
PEAK = {
    "gpu": (1e9, 100e15),
    "cpu": (1e9, 900e12),
    "npu": (50e9, 200e12),
    "tpu": (1e12, 50e15),
    "mcu": (5e6, 5e12),
}
# float32 on the vector engine over dram bandwidth, FLOP/B.
VECTOR_RIDGE = {
    "gpu": (2.0, 300.0),
    "cpu": (0.5, 100.0),
}
CAPACITY_B = {
    ("l1", "gpu"): (8 * 2**10, 2 * 2**20),
    ("l1", "cpu"): (8 * 2**10, 512 * 2**10),
    ("l1", "mcu"): (1 * 2**10, 128 * 2**10),
    ("l2", "gpu"): (160 * 2**10, 160 * 2**20),
    ("l2", "cpu"): (128 * 2**10, 64 * 2**20),
    ("llc", "gpu"): (1 * 2**20, 1000 * 2**20),
    ("llc", "cpu"): (512 * 2**10, 500 * 2**20),
    ("dram", "gpu"): (1 * 2**30, 1000 * 2**30),
    ("dram", "npu"): (0.25 * 2**30, 200 * 2**30),
    ("dram", "tpu"): (4 * 2**30, 1000 * 2**30),
    ("dram", "mcu"): (1 * 2**20, 1 * 2**30),
    ("sram", "mcu"): (16 * 2**10, 16 * 2**20),
    ("sram", "npu"): (16 * 2**10, 256 * 2**20),
    ("sram", "tpu"): (1 * 2**20, 1000 * 2**20),
    ("flash", "mcu"): (64 * 2**10, 64 * 2**20),
}
BANDWIDTH_BPS = {
    ("dram", "gpu"): (10e9, 9.9e12),
    ("dram", "cpu"): (1e9, 990e9),
    ("dram", "npu"): (0.5e9, 499e9),
    ("dram", "tpu"): (20e9, 19e12),
    ("dram", "mcu"): (10e6, 9e9),
    ("l1", "gpu"): (10e9, 9e12),
    ("l1", "cpu"): (5e9, 4e12),
    ("l1", "mcu"): (50e6, 40e9),
    ("l2", "gpu"): (30e9, 29e12),
    ("l2", "cpu"): (5e9, 4e12),
    ("llc", "gpu"): (100e9, 90e12),
    ("llc", "cpu"): (20e9, 19e12),
    ("sram", "npu"): (1e9, 999e9),
    ("sram", "mcu"): (50e6, 40e9),
    ("flash", "mcu"): (10e6, 9e9),
}
# A CPU's memory per core, which spans less than the memory of phones and servers does.
CAPACITY_PER_CORE_B = (0.125 * 2**30, 128 * 2**30)
LINK_BPS = (1e9, 2e12)
USB_BPS = (10e6, 10e9)
LAUNCH_S = (50e-9, 49e-6)
SCRATCHPAD_B = (8 * 2**10, 2 * 2**20)
BUS_BITS = (8, 16384)
VECTOR_BITS = (32, 4096)
DATA_RATE_BPS = (100e6, 64e9)
