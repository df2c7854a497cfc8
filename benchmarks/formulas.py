"""Evaluating one formula over a million variants, against hand-written NumPy for the same cost.

    python benchmarks/formulas.py [--variants 1000000] [--repeats 7]

Prints JSON: seconds of both (the median of the repeats, taken in turns) and their ratio, for each
formula; exits with 1 if a ratio is above 3. Results are checked to be equal first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from costmodel.formulas import get_formula

Array = np.ndarray


def conv2d(
    n: Array, c_in: Array, c_out: Array, h_in: Array, w_in: Array, h_out: Array, w_out: Array,
    k_h: Array, k_w: Array, g: Array, bias: Array, b_x: Array, b_w: Array, b_y: Array,
) -> tuple[Any, ...]:  # fmt: skip
    """What one would write by hand: MACs, other FLOPs, bytes read and written, weights."""
    weights = k_h * k_w * c_in * c_out / g
    parameters = weights + bias * c_out
    outputs = n * c_out * h_out * w_out
    inputs = n * c_in * np.minimum(h_in, h_out * k_h) * np.minimum(w_in, w_out * k_w)
    weight_bytes = parameters * b_w
    return (
        n * h_out * w_out * weights,
        bias * outputs,
        inputs * b_x + weight_bytes,
        outputs * b_y,
        weight_bytes,
        parameters,
    )


def pconv(
    n: Array, c_p: Array, h: Array, w: Array, k: Array, b_x: Array, b_w: Array, b_y: Array
) -> tuple[Any, ...]:
    elements, weights = n * c_p * h * w, k**2 * c_p**2
    read = elements * b_x + weights * b_w
    return n * h * w * weights, 0, read, elements * b_y, weights * b_w, weights


def attention(
    b: Array, heads: Array, heads_kv: Array, l: Array, s: Array, d: Array, d_v: Array,  # noqa: E741
    causal: Array, e_mask: Array, b_x: Array, b_y: Array,
) -> tuple[Any, ...]:  # fmt: skip
    square = np.minimum(l, s)
    seen = square * (square + 1) / 2 + (l - square) * s
    pairs = b * heads * ((1 - causal) * l * s + causal * seen)
    keys = (1 - causal) * s + causal * square
    return (
        pairs * (d + d_v),
        pairs * 16,
        (b * heads * l * d + b * heads_kv * keys * (d + d_v) + e_mask) * b_x,
        b * heads * l * d_v * b_y,
        0,
        0,
    )


BY_HAND: Mapping[str, Callable[..., tuple[Any, ...]]] = {
    "conv2d": conv2d,
    "pconv": pconv,
    "attention": attention,
}


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variants", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    report = {}
    for name, by_hand in BY_HAND.items():
        formula = get_formula(name)
        values = {
            symbol: random.integers(0, 2, options.variants).astype(float)
            if symbol in ("bias", "causal", "e_mask")
            else random.integers(1, 64, options.variants).astype(float)
            for symbol in formula.symbols
        }
        cost = formula(**values)
        fields = [getattr(cost, field) for field in cost.__slots__]
        for ours, theirs in zip(fields, by_hand(**values), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        pairs = [
            (seconds(lambda: formula(**values)), seconds(lambda: by_hand(**values)))  # noqa: B023
            for _ in range(options.repeats)
        ]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        report[name] = {
            "formula_seconds": round(ours, 4),
            "numpy_seconds": round(theirs, 4),
            "ratio": round(ours / theirs, 2),
        }
    print(json.dumps({"variants": options.variants, "formulas": report}, indent=2))
    return int(any(entry["ratio"] > 3 for entry in report.values()))


if __name__ == "__main__":
    sys.exit(main())
