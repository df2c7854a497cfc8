"""Run the validations of accuracy.toml on a folder of measured files and record what comes out.

    python benchmarks/accuracy.py DATA                      all of them, into docs/accuracy.json
    python benchmarks/accuracy.py DATA --only '*4090*'      some; the others are kept as they are
    python benchmarks/accuracy.py DATA --limit 20 -o x.json a quick look, elsewhere

Each is a `costmodel validate` command, which the record holds. Traced graphs are cached, so that
only the first run takes long (minutes per thousand models). Then docs/accuracy.md is written anew.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tomllib
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from costmodel import __version__
from costmodel.cli import main as costmodel
from costmodel.measurement.validation.accuracy import AccuracyRun, joined, read_accuracy, run_of
from costmodel.reports.accuracy.page import accuracy_page

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"


def validated(run: dict[str, Any], data: Path, limit: int | None) -> AccuracyRun | None:
    """The record of one validation, None where it could not be made."""
    options = shlex.split(run["options"]) + (["--limit", str(limit)] if limit else [])
    with TemporaryDirectory() as folder:
        written = Path(folder) / "validation.json"
        ours = run["file"].startswith("benchmarks/")
        words = ["validate", "--against", str((HERE.parent if ours else data) / run["file"])]
        words += options
        if costmodel([*words, "-o", str(written)]) != 0:
            return None
        document = json.loads(written.read_text(encoding="utf-8"))
    where = f"{'' if ours else 'DATA/'}{run['file']}"
    command = shlex.join(["costmodel", "validate", "--against", where, *options])
    return run_of(document, run["test"], run["kind"], command, run.get("target", ""))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of measured files")
    parser.add_argument("-o", "--output", type=Path, default=DOCS / "accuracy.json")
    parser.add_argument("--only", default="*", metavar="GLOB", help="tests of such a name")
    parser.add_argument("--limit", type=int, help="at most N rows of each file")
    chosen = parser.parse_args()
    listed = tomllib.loads((HERE / "accuracy.toml").read_text(encoding="utf-8"))["run"]
    found, failed = [], 0
    for run in listed:
        if not fnmatch(run["test"], chosen.only):
            continue
        print(f"{run['test']} ...", file=sys.stderr, flush=True)
        record = validated(run, chosen.data, chosen.limit)
        failed += record is None
        if record is not None:
            found.append(record)
            print(f"{record.test}: n {record.n}, mean error {record.mape:.1%}", flush=True)
    before = read_accuracy(chosen.output) if chosen.output.exists() else None
    table = joined(before, found, __version__, date.today().isoformat())
    chosen.output.write_text(table.model_dump_json(indent=1) + "\n", encoding="utf-8")
    chosen.output.with_suffix(".md").write_text(accuracy_page(table), encoding="utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
