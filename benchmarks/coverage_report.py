"""The tables of `coverage.py`: a page to read, and a compact file with every model."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "hf": "transformers"}
"""Library by the kind of model source."""

COMPLETE = ("timm", "torchvision")
"""Libraries of which every model must be traced; the other holds models that nothing can build."""

LIMIT = 0.005
"""Share of a model's time that may go without a formula, on any device."""

Record = dict[str, Any]

COLUMNS = ("source", "rung", "cpu_s", "operators", "parameters", "gmacs", "uncovered_share",
           "agreement")  # fmt: skip
"""Of the compact file: one row per model; the processor's seconds are of tracing alone."""


def write_report(records: dict[str, Record], folder: Path, totals: dict[str, int]) -> int:
    """Write coverage.md and coverage.json; 1 if a model failed or lacks formulas."""
    traced = [r for r in records.values() if "error" not in r]
    failed = [r for r in records.values() if "error" in r]
    rows = [
        (r["source"], r["rung"], (r["cpu_s"] or [None] * 3)[1], r["operators"], r["parameters"],
         round(r["macs"] / 1e9, 4), max(r["uncovered"].values(), default=0), r["agreement"][:60])
        for r in traced
    ]  # fmt: skip
    document = {
        "versions": _versions(),
        "columns": COLUMNS,
        "models": sorted(rows),
        "failed": {r["source"]: r["error"][:200] for r in failed},
    }
    lines = json.dumps(document, separators=(",", ":")).replace('],["', '],\n["')
    (folder / "coverage.json").write_text(lines + "\n")
    page = "\n".join(
        [*_head(), *_coverage(records, totals), *_agreement(traced), *_gaps(traced, failed)]
    )
    (folder / "coverage.md").write_text(page + "\n")
    lost = any(_library(r) in COMPLETE for r in failed)
    return int(lost or any(share > LIMIT for *_, share, _ in rows))


def _versions() -> dict[str, str]:
    found = {}
    for name in ("torch", "timm", "torchvision", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _head() -> list[str]:
    installed = ", ".join(f"{name} {number}" for name, number in _versions().items())
    return [
        "# Every model of the zoos",
        "",
        f"Written by `make zoo` with {installed}; a row per model is in `coverage.json`.",
        "",
    ]


def _library(record: Record) -> str:
    return LIBRARIES.get(record["source"].partition(":")[0], "files")


def _coverage(records: dict[str, Record], totals: dict[str, int]) -> list[str]:
    lines = [
        "## Coverage",
        "",
        "| library | models there are | looked at so far | traced | "
        "with every operator covered | over 0.5% of the time not | "
        "on meta tensors | with bounded sizes | run for real | tracing, median | "
        "built, traced, estimated, mean |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for library in sorted({_library(r) for r in records.values()}):
        of_library = [r for r in records.values() if _library(r) == library]
        traced = [r for r in of_library if "error" not in r]
        if not traced:
            continue
        rungs = Counter(r["rung"] for r in traced)
        timed = [r["cpu_s"] for r in traced if r["cpu_s"]]
        seconds = [traced_in for _, traced_in, _ in timed]
        mean = statistics.mean(sum(parts) for parts in timed)
        over = sum(max(r["uncovered"].values(), default=0) > LIMIT for r in traced)
        lines.append(
            f"| {library} | {totals.get(library, len(of_library)):,} | {len(of_library):,} | "
            f"{len(traced):,} | "
            f"{sum(not r['uncovered'] for r in traced):,} | {over} | "
            f"{rungs['eager']:,} | {rungs['bounded']:,} | {rungs['cpu']:,} | "
            f"{statistics.median(seconds) * 1e3:.0f} ms | {mean:.2f} s |"
        )
    return [
        *lines,
        "",
        "Times are the processor's. Sizes that depend on values are bounded by what a model's "
        "settings say, and each such graph lists what was assumed. Run for real, on zeros: int8 "
        "models, whose kernels have no "
        "other form, and models that look at values.",
        "",
    ]


def _agreement(traced: list[Record]) -> list[str]:
    lines = [
        "## MACs against torch's FlopCounterMode, parameters against the modules'",
        "",
        "| library | compared | equal | explained to the last MAC | unexplained | counter failed | "
        "parameters equal |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    reasons: Counter[str] = Counter()
    odd: list[Record] = []
    for library in sorted({_library(r) for r in traced}):
        of_library = [r for r in traced if _library(r) == library]
        verdicts = Counter(_verdict(r["agreement"]) for r in of_library)
        compared = len(of_library) - verdicts["failed"]
        parameters = [r["same_parameters"] for r in of_library if "same_parameters" in r]
        lines.append(
            f"| {library} | {compared:,} | {verdicts['equal']:,} | {verdicts['explained']:,} | "
            f"{verdicts['unexplained']} | {verdicts['failed']} | "
            f"{sum(parameters):,} of {len(parameters):,} |"
        )
        for record in of_library:
            if _verdict(record["agreement"]) == "explained":
                reasons.update(record["agreement"].split("; "))
            elif _verdict(record["agreement"]) != "equal":
                odd.append(record)
    lines += ["", "What explains a difference:", "", "| rule | models |", "| --- | ---: |"]
    lines += [f"| {reason} | {count} |" for reason, count in reasons.most_common()]
    if odd:
        lines += ["", "Neither equal nor explained:", "",
                  "| model | MACs | the counter's | |", "| --- | ---: | ---: | --- |"]  # fmt: skip
        for record in odd:
            counter = record.get("counter_macs")
            shown = "" if counter is None else f"{counter / 1e9:.4g} G"
            note = "" if counter is not None else record["agreement"]
            lines.append(
                f"| {record['source']} | {record['macs'] / 1e9:.4g} G | {shown} | {_cell(note)} |"
            )
    return [*lines, ""]


def _verdict(agreement: str) -> str:
    if agreement in ("equal", "unexplained"):
        return agreement
    return "failed" if agreement.startswith("counter failed") else "explained"


def _gaps(traced: list[Record], failed: list[Record]) -> list[str]:
    missing: dict[str, list[float]] = {}
    for record in traced:
        for op, share in record["uncovered"].items():
            missing.setdefault(op, []).append(share)
    lines = ["## Operators without a formula", ""]
    if missing:
        lines += [
            "| operator | models | largest share of a model's time |",
            "| --- | ---: | ---: |",
        ]
        lines += [f"| {op} | {len(s)} | {max(s):.2%} |" for op, s in sorted(missing.items())]
    else:
        lines.append("None.")
    lines += ["", "## Models that could not be traced", ""]
    if not failed:
        return [*lines, "None."]
    reasons: dict[str, list[str]] = {}
    for record in failed:
        reasons.setdefault(_reason(record), []).append(record["source"])
    lines += ["| reason | models | which |", "| --- | ---: | --- |"]
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        lines.append(f"| {_cell(reason)} | {len(names)} | {', '.join(sorted(names))} |")
    return lines


_REASONS = {
    r"for which no example input is known": "needs inputs that are not known here",
    r"a decode step": "keeps another state than keys and values",
    r"requires the .* library": "needs another library",
    r"could not be built": "the library cannot build its default configuration",
    r"not done after": "took too long",
    r"not run for real": "looks at values and is too large to run for real",
}


def _reason(record: Record) -> str:
    for pattern, reason in _REASONS.items():
        if re.search(pattern, record["error"]):
            return reason
    return "its forward fails on the example input"


def _cell(text: str) -> str:
    return text.replace("|", "/")
