"""Damaged measured files: refused in a line that names the file, wherever the damage lies."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from costmodel.cli import main
from costmodel.documents import read_file
from costmodel.errors import CostModelError, SpecError, UsageError
from costmodel.measurement.fitting.fit import read_constants
from costmodel.measurement.tables.kernels import read_kernels
from costmodel.measurement.tables.timm import read_timm_table
from costmodel.measurement.tables.transformers import read_transformers
from costmodel.measurement.validation.measured_files import file_kind

KERNELS = b"opname,latency_ms,device,kernel_name,grid_x,grid_y,grid_z,b,h\n"
KERNEL = b"add,0.5,Tesla T4,k,1,1,1,4096,1024\n"
STEPS = b"device,model,mode,seq_len,batch,option,latency_ms,forward_ms,backward_ms\n"
TIMM = b"model,infer_img_size,infer_batch_size,infer_step_time,param_count\n"
WHOLE = gzip.compress(KERNELS + KERNEL * 500)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", KERNELS + KERNEL + b"add,0.5,\xff\xfe,k,1,1,1,1,1\n", "cannot be read.*utf-8"),
        ("a.csv", KERNELS + KERNEL + b"x" * 200_000 + b",1\n", "cannot be read.*field larger"),
        ("a.csv", KERNELS + b"add,0.5\n", ":2: grid_x is ''; expected a positive number"),
        ("a.csv", KERNELS + b"add,0.5,T4,k,1,1,1,4096,1e400\n", ":2: h is '1e400'"),
        ("a.csv", KERNELS + b"add,0.5,T4,k,1,1,1,1e30,1\n", ":2: b is '1e30'"),
        ("a.csv.gz", WHOLE[:-9], "cannot be read"),
        ("a.csv.gz", WHOLE[:40] + b"\0\0\0" + WHOLE[43:], "cannot be read"),
        ("a.csv.gz", KERNELS, "cannot be read.*[Nn]ot a gzipped file"),
    ],
)
def test_tables_of_kernels(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"{name}.*{said}"):
        read_kernels(path)


@pytest.mark.parametrize(
    "row", [b"Tesla_T4\n", b"\xff,m,inf,1,1,,1,1,1\n", b"T4,m,inf,1\n", b",\n"]
)
def test_tables_of_transformers(tmp_path: Path, row: bytes) -> None:
    path = tmp_path / "steps.csv"
    path.write_bytes(STEPS + row)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "m.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match=str(tmp_path)):
        read_transformers(path)


@pytest.mark.parametrize(
    "row",
    [b"m,224\n", b"m,224,1,inf,1\n", b"m,224,1,nan,1\n", b"m,2\xff4,1,1,1\n", b"m,1e3,1,1,1\n"],
)
def test_tables_of_timm(tmp_path: Path, row: bytes) -> None:
    path = tmp_path / "timm.csv"
    path.write_bytes(TIMM + row)
    with pytest.raises(UsageError, match=r"timm\.csv"):
        read_timm_table(path)


@pytest.mark.parametrize("content", [b"a" * 2**21, b'"' + b"a" * 200_000, b"\x80", b""])
def test_first_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"table\.csv"):
        file_kind(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"constants": {"launch": ' + "9" * 5000 + "}}"])
def test_constants(tmp_path: Path, text: str) -> None:
    path = tmp_path / "constants.json"
    path.write_text(text)
    with pytest.raises(CostModelError):
        read_constants(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no file here is without an end")
def test_a_file_without_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    endless = Path("/dev/zero")
    with pytest.raises(SpecError, match="expected at most"):
        read_file(endless)
    with pytest.raises(UsageError):
        read_constants(endless)
    assert main(["fit", f"{endless}@t4"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
