"""The examples: short, each answers its question when it is run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("torch")

EXAMPLES = Path(__file__).parent.parent / "examples"
LONGEST = 40
DEMO = "demo"
"""The main job on real input, for `make demo`; run by its own command."""

SAYS = {
    "calibrate_from_few": r"used: True(.|\n)*resnet50, profile alone:.*\n.*resnet50, refined:",
    "device_nobody_has": r"Estimate\('fasternet_t0' on imagined-npu, batch 1, fp16: [\d.]+ ms",
    "does_it_fit": r"t4 +up to batch +\d+: +[\d.]+ GiB",
    "formula_of_an_operator": r"7,225,344 MACs.*2,304 weights(.|\n)*MACs: 1/16",
    "how_fast_there": r"v100-sxm2 .*ms, 90 % between .*images/s",
    "onnx_file": r"164,298 parameters(.|\n)*aten::linear",
    "sweep_batches": r"  256 +[\d.]+ +[\d,]+ +[\d.]+ +[\d,]+\n",
    "three_networks_three_devices": r"resnet50 +4\.09 +[\d,]+/s +1\.00x",
    "what_limits_it": r"memory bound(.|\n)*slowest operators:",
    "which_operator": r"v100-sxm2: equal at 124 channels",
}
"""A part of what each prints: the part that answers the question."""


def test_every_example_is_listed() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*SAYS, DEMO}


@pytest.mark.parametrize("name", sorted(SAYS))
def test_an_example_is_short_and_answers(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "onnx_file":
        pytest.importorskip("onnxscript", reason="torch writes ONNX files by onnxscript")
    path = EXAMPLES / f"{name}.py"
    source = path.read_text()
    assert len(source.splitlines()) <= LONGEST
    assert re.match(r'""".*\?.*"""\n', source), "its first line asks a question"
    monkeypatch.setattr("sys.argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    assert re.search(SAYS[name], capsys.readouterr().out)
