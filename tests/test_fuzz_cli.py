"""The command line met with hostile words and files, in any order, by a machine of rules.

Whatever is typed: an exit code of 0, 1 or 2; no traceback; JSON that parses; a file that is whole
or as it was before; nothing left lying about.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from costmodel.hardware import catalogue_folder
from tests.fuzzing import ODD_WORDS as ODD
from tests.fuzzing import cases, check_command, drew

DEVICES = st.sampled_from(["v100-sxm2", "epyc-73f3@1", "t4", "stm32h743", "all", "edge-tpu"])
MODELS = st.sampled_from(["zoo:fasternet_t0", "zoo:mobilenet_v2"])
PROFILE = (catalogue_folder() / "t4.yaml").read_text()

OPTIONS: dict[str, tuple[str, ...]] = {
    "predict": (
        "-d", "-b", "-p", "-i", "--threads", "--without", "--baseline", "--top", "--strict",
        "--compiled", "--max-latency", "--max-memory", "-f", "-o", "--devices", "--timeout",
    ),
    "summary": ("-b", "-i", "--depth", "--strict", "-f", "-o"),
    "roofline": ("-d", "-b", "-p", "-i", "--threads", "--without", "--strict", "-f", "-o"),
    "report": ("-d", "-b", "-p", "-i", "-o"),
    "compare": ("-d", "-b", "-p", "-i", "-f", "-o"),
    "timeline": ("-d", "-b", "-p", "-i", "-o"),
    "explain": ("--op", "--set", "-b", "-i", "-f", "-o"),
    "compare-ops": ("-d", "-c", "-s", "-k", "-b", "-p", "--threads", "--without", "-f", "-o"),
    "devices list": ("--kind", "--vendor", "--year", "--columns", "--devices", "-f", "-o"),
    "devices show": ("--devices", "-f", "-o"),
    "devices compare": ("--devices", "-f", "-o"),
    "devices validate": ("--devices", "-f", "-o"),
    "devices new": ("-o",),
    "devices schema": ("-o",),
    "cache info": ("-f", "-o"),
    "validate": ("-a", "-d", "-p", "--layout", "--few-shot", "--limit", "--max-mape", "-f", "-o"),
    "measure": ("--grid", "-o", "-b", "-p", "--layout", "--execution", "--tolerance"),
    "reproduce imagenot": ("-f", "-o"),
}  # fmt: skip
"""Commands and the options that are tried with them."""

FLAGS = {"--strict", "--compiled"}
USUAL = {
    "-d": DEVICES,
    "-b": st.sampled_from(["1", "2,3", "256"]),
    "-p": st.sampled_from(["fp32", "fp16", "bf16"]),
    "-i": st.sampled_from(["3x64x64", "3x32x32"]),
    "-f": st.sampled_from(["table", "json", "csv", "md"]),
    "-o": st.sampled_from(["r.json", "r.html", "r.csv", "r.txt", "r", "r.yaml", "no/r.json"]),
    "--threads": st.sampled_from(["1", "2"]),
    "--op": st.sampled_from(["stem", "stages.0.0.mixer", "classifier"]),
    "--set": st.sampled_from(["c_in=64", "n=1,k_h=3"]),
}
SOURCES = {
    "explain": st.sampled_from(["conv2d", "pconv", "attention", "zoo:fasternet_t0"]),
    "compare-ops": st.sampled_from(["conv", "dwconv", "pconv:1/4", "gconv:4", "separable"]),
    "measure": st.sampled_from(["op:conv2d", "zoo:none", "op:linear n=0 c_in=1 c_out=1"]),
}


class CommandLine(RuleBasedStateMachine):
    """A folder of files, good and bad, and commands that meet them."""

    files: Bundle[str] = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place = Path(self.folder.name)
        self.before = os.getcwd()
        os.chdir(self.place)

    def teardown(self) -> None:
        os.chdir(self.before)
        self.folder.cleanup()

    @initialize(target=files)
    def good_files(self) -> Any:
        (self.place / "good.yaml").write_text(PROFILE)
        (self.place / "weights.pt").write_bytes(b"\x80\x04N.")
        (self.place / "folder.yaml").mkdir()
        return multiple("good.yaml", "weights.pt", "folder.yaml", "none.yaml")

    @rule(
        target=files,
        name=st.sampled_from(["a.yaml", "b.json", "c.csv", "d.onnx", "e.pt2", "f.jsonl", "g.gz"]),
        content=st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [
                    b"", b"{", b"[" * 5000, b'{"model_type": "bert", "num_hidden_layers": 1e9}',
                    b"a: &a [1]\nb: *a\n", b"model,infer_step_time\nresnet50,1\n", b"\x1f\x8b\x08",
                    b'{"schema_version": 1}\n', b"\xff\xfe", b"PK\x03\x04",
                ]
            ),
        ),
    )  # fmt: skip
    def bad_file(self, name: str, content: bytes) -> str:
        (self.place / name).write_bytes(content)
        return name

    @rule(
        target=files,
        cut=st.tuples(st.integers(0, len(PROFILE)), st.integers(0, 60)),
        put=st.sampled_from(["", "-", "&a ", "{", "\t", "9" * 30, "null", "value: 1 GB", "\x1b"]),
    )
    def damaged_profile(self, cut: tuple[int, int], put: str) -> str:
        start, length = cut
        (self.place / "damaged.yaml").write_text(PROFILE[:start] + put + PROFILE[start + length :])
        return "damaged.yaml"

    @rule(data=st.data(), command=st.sampled_from(sorted(OPTIONS)), file=files)
    def call(self, data: st.DataObject, command: str, file: str) -> None:
        drew("command lines")
        words = command.split()
        for _ in range(data.draw(st.integers(0, 2))):
            words.append(data.draw(st.one_of(SOURCES.get(command, MODELS), st.just(file), ODD)))
        for option in data.draw(st.lists(st.sampled_from(OPTIONS[command]), max_size=4)):
            words.append(option)
            if option not in FLAGS:
                usual = USUAL.get(option, st.just(file))
                words.append(data.draw(st.one_of(usual, usual, st.just(file), ODD)))
        if command in ("predict", "roofline", "compare-ops") and "-d" not in words:
            words += ["-d", data.draw(DEVICES)]
        check_command(words, self.place)


CommandLine.TestCase.settings = cases(25, stateful_step_count=12)
TestCommandLine = CommandLine.TestCase
