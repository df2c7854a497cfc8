"""Where results go: whole files or none, one clear error where there is no room or no reader."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main
from costmodel.errors import UsageError
from costmodel.files import replace_file
from costmodel.measurement.tables import records
from costmodel.measurement.tables.records import Machine, Record, append_record, read_records
from costmodel.reports.report import write_text

COMMAND = [sys.executable, "-m", "costmodel.cli"]
QUICK = ["devices", "list", "-f", "json"]

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


def called(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], stderr=subprocess.PIPE, text=True, **options)


# ----------------------------------------------------------------- standard output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_a_redirection() -> None:
    with open("/dev/full", "w") as full:
        done = called(*QUICK, stdout=full)
    assert done.returncode == 2
    assert done.stderr == f"error: {os.strerror(errno.ENOSPC)}\n"


@posix
def test_a_reader_that_stops_is_no_error() -> None:
    with subprocess.Popen(
        [*COMMAND, *QUICK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0


def test_an_encoding_without_our_signs() -> None:
    done = called(
        "explain", "pconv", stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0
    assert done.stderr == ""


@posix
def test_no_standard_output_at_all() -> None:
    line = f"exec '{sys.executable}' -m costmodel.cli devices list >&-"
    done = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True)
    assert "Traceback" not in done.stderr


# --------------------------------------------------------------------------- files


def test_a_file_is_replaced_whole_and_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text("old")
    file.chmod(0o600)
    replace_file(file, b"new")
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["r.json"]


def test_a_link_keeps_pointing_where_it_does(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("existing", [True, False])
def test_a_full_disk_leaves_no_broken_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    file = tmp_path / "r.html"
    if existing:
        file.write_text("old")

    def full(path: Any, target: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_text(file, "new")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"] * existing


def _limited(size: int) -> Any:
    """What a child runs first: its files may have so many bytes, a full disk in small."""

    def limit() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@posix
@pytest.mark.parametrize("existing", [True, False])
def test_a_command_that_runs_out_of_room_leaves_no_broken_file(
    tmp_path: Path, existing: bool
) -> None:
    file = tmp_path / "devices.json"
    if existing:
        file.write_text("old")
    done = called(*QUICK, "-o", str(file), stdout=subprocess.PIPE, preexec_fn=_limited(10_000))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"error: cannot write '{file}': {os.strerror(errno.EFBIG)}\n"
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"] * existing


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no/such/folder.json", "no folder"), (".", "folder"), ("x" * 300 + ".json", "too long")],
)
def test_places_that_cannot_be_written_to(
    tmp_path: Path, name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "-o", str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "cannot write" in err
    assert reason in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------- measured lines


def record(source: str) -> Record:
    return Record(
        source=source, batch=1, precision="fp32", execution="eager", device="cpu", threads=1,
        seconds=1.0, low=0.9, high=1.1, runs=12, confident=True, started="2024-01-01T00:00:00",
        machine=Machine(processor="p", cores=1, system="s", software={}),
    )  # fmt: skip


def test_a_measured_line_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.jsonl"
    append_record(path, record("op:first"))
    before, write = path.read_bytes(), os.write
    monkeypatch.setattr(records.os, "write", lambda handle, data: write(handle, data[:40]))
    with pytest.raises(UsageError, match="No space left on device"):
        append_record(path, record("op:second"))
    assert path.read_bytes() == before
    monkeypatch.undo()
    append_record(path, record("op:third"))
    assert [found.source for found in read_records(path)] == ["op:first", "op:third"]


APPEND = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.test_hardening_output import record
from costmodel.measurement.tables.records import append_record
for number in range(40):
    append_record(Path(sys.argv[1]), record(f"op:{sys.argv[2]} n={number}"))
"""


def test_processes_that_measure_into_one_file_lose_nothing(tmp_path: Path) -> None:
    path, root = tmp_path / "m.jsonl", str(Path(__file__).parents[1])
    running = [
        subprocess.Popen([sys.executable, "-c", APPEND, str(path), name, root]) for name in "abc"
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    found = {entry.source for entry in read_records(path)}
    assert found == {f"op:{name} n={number}" for name in "abc" for number in range(40)}


# --------------------------------------------------------------------- interruption


def interrupted_after(line: str, *words: str) -> tuple[int, list[str]]:
    """Press Ctrl-C once a command has written a certain line; its code and what else it said."""
    with subprocess.Popen(
        [*COMMAND, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a shell ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as running:
        assert running.stderr is not None
        for said in running.stderr:
            if line in said:
                break
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read().splitlines()
    return running.returncode, rest


@posix
def test_measuring_that_is_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    sizes = "1,2,3,4,5,6,7,8"
    words = ["measure", f"op:linear n={sizes} c_in=8 c_out=8", "-o", str(path)]
    quick = ["--tolerance", "99", "--max-seconds", "1"]
    code, said = interrupted_after("op:linear n=1", *words, *quick)
    assert code == 130
    (last,) = [line for line in said if line.startswith("interrupted")]
    kept = len(read_records(path))
    assert f"measured {kept} of 8" in last
    assert 0 < kept < 8
    assert "Traceback" not in "".join(said)
    done = called(*words, *quick, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert f"measured {8 - kept}, {kept} were there already" in done.stderr
    assert len(read_records(path)) == 8


@pytest.mark.parametrize(
    "words",
    [["devices", "list"], ["predict", "zoo:fasternet_t0", "-d", "v100-sxm2", "--no-cache"]],
)
def test_ctrl_c_is_one_line_and_its_own_code(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("costmodel.hardware.list_devices", pressed)
    monkeypatch.setattr("costmodel.tracing.source.load_graph", pressed)
    assert main(words) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("", "interrupted\n")
