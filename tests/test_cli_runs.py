"""Run conditions of `costmodel predict`: autocast, layout, norms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from costmodel.cli.app import main

MODEL = "zoo:fasternet_t0"


def predicted(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["predict", MODEL, "--format", "json", *words]) == 0
    estimates: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["estimates"]
    return estimates


def test_autocast_is_a_precision_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    """It casts: more bytes than float16 throughout, fewer than float32; the MACs are the same."""
    found = predicted(
        capsys, "-d", "rtx-4090", "-b", "8", "-p", "fp32", "-p", "fp16", "-p", "amp-fp16"
    )
    by_policy = {entry["precision"]: entry for entry in found}
    assert list(by_policy) == ["fp32", "fp16", "amp-fp16"]
    assert len({entry["macs"] for entry in found}) == 1
    moved = {
        name: entry["bytes_read"] + entry["bytes_written"] for name, entry in by_policy.items()
    }
    assert moved["fp16"] < moved["amp-fp16"] < moved["fp32"]


def test_cpus_and_gpus_are_traced_apart(capsys: pytest.CaptureFixture[str]) -> None:
    found = predicted(capsys, "-d", "rtx-4090", "-d", "epyc-73f3", "-b", "2", "-p", "amp-bf16")
    assert [entry["device"] for entry in found] == ["rtx-4090", "epyc-73f3"]
    assert {entry["precision"] for entry in found} == {"amp-bf16"}


def test_channels_last_saves_what_16_bit_convolutions_reorder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("-d", "rtx-4090", "-b", "64", "-p", "amp-fp16")
    (planar,) = predicted(capsys, *words)
    (interleaved,) = predicted(capsys, *words, "--layout", "nhwc")
    assert interleaved["latency_s"] < planar["latency_s"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layout", "chwn"], "expected nchw or nhwc"),
        (["-p", "amp-fp8"], "amp-fp8"),
    ],
)
def test_conditions_that_do_not_exist(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["predict", MODEL, "-d", "rtx-4090", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
