"""The main job on real input: networks and operators on devices you need not own.

    python examples/demo.py

Prints two tables, writes out/roofline.html and suggests what to type next.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from costmodel.estimation import Estimate, estimate
from costmodel.measurement.reproduction.conditions import Condition, condition_of
from costmodel.measurement.reproduction.networks import Networks
from costmodel.published import models, table
from costmodel.reports.model.prediction import notes_of
from costmodel.reports.operators.comparison import compare_operators
from costmodel.reports.operators.page import verdicts
from costmodel.reports.operators.report import heading, operator_report
from costmodel.reports.operators.variants import parse_operator
from costmodel.reports.report import Report, write_text
from costmodel.reports.roofline.page import roofline_page
from costmodel.reports.table import Column, Table
from costmodel.reports.text import show_macs, show_params, show_rate, show_time

SOURCES = [f"zoo:fasternet_{size}" for size in ("t0", "t1", "t2", "s", "m", "l")]
SOURCES += ["zoo:resnet50", "zoo:mobilenet_v2"]
IMAGE = (3, 224, 224)
PUBLISHED = "imagenet"
COLUMNS = ("throughput_v100", "throughput_mi250", "latency_epyc_73f3")
"""Measured columns of that table."""
CASES = {name: found for name in COLUMNS if (found := condition_of(PUBLISHED, name))}
"""Their devices, batches, and ways of running."""
PAGE = Path("out") / "roofline.html"


def predicted(networks: Networks, source: str, case: Condition) -> Estimate:
    """One network on the device of a case, run as the case says."""
    graph = networks.graph(source, IMAGE, folded=case.folded, fused=case.fused)
    return estimate(graph, case.device, case.batch, case.precision)


def overview(rows: dict[str, list[Estimate]]) -> Table:
    """Speed of each network on each device with its interval, beside what was published."""
    columns = (
        Column("model", "model", right=False),
        Column("params", "params", show_params),
        Column("macs", "MACs per image", show_macs),
        Column("device", "device", right=False),
        Column("batch", "batch"),
        Column("predicted", "predicted", right=False),
        Column("interval", "90 % interval", right=False),
        Column("published", "published", right=False),
        Column("bound", "bound by", right=False),
    )
    known = {entry.source: entry.row for entry in models(PUBLISHED)}
    cells = []
    for index, column in enumerate(CASES):
        for source, row in rows.items():
            found = row[index]
            macs = found.total.macs / found.batch
            printed = table(PUBLISHED).column(column).get(known.get(source, ""))
            interval = found.interval
            ends = (interval.high, interval.low) if interval else ()
            alone = found.batch == 1
            fast = [show_time(s) if alone else show_rate(found.batch / s) for s in ends]
            cells.append((
                found.graph.name, found.graph.parameters, macs, found.device, found.batch,
                show_time(found.latency) if alone else f"{show_rate(found.throughput)} images/s",
                " to ".join(reversed(fast) if alone else fast),
                None if printed is None else f"{printed:g} ms" if alone else f"{printed:,g}",
                found.bound,
            ))  # fmt: skip
    return Table("Networks, predicted in float32", columns, tuple(cells))


def main() -> None:
    networks = Networks(progress=partial(print, file=sys.stderr))
    rows = {source: [predicted(networks, source, case) for case in CASES.values()]
            for source in SOURCES}  # fmt: skip
    flat = [found for row in rows.values() for found in row]
    said = (
        "published: the paper of PartialNet, which leaves precision and software open; taken here "
        f"to be {'; '.join(case.label for case in CASES.values())} (`costmodel reproduce` sets "
        "every table beside ours)"
    )
    Report({}, (overview(rows),), (said, *notes_of(flat, energy=False))).print()

    print("\nOperators: fewer FLOPs are not always faster\n")
    operators = [parse_operator(name) for name in ("conv", "dwconv", "pconv:1/4")]
    compared = [
        compare_operators(operators, [32, 64, 128, 256, 512], 56, 3, [case.device], [case.batch])
        for case in CASES.values()
    ]
    findings = [f"{heading(one)}: {text}" for (one,) in compared for text in verdicts(one)]
    Report({}, operator_report(compared[0]).tables, tuple(findings)).print()

    PAGE.parent.mkdir(exist_ok=True)
    drawn = ("zoo:fasternet_t2", "zoo:resnet50", "zoo:mobilenet_v2")
    write_text(PAGE, roofline_page([found for source in drawn for found in rows[source]]))
    print(
        f"\nwrote {PAGE}: open it in a browser, no network needed\n\n"
        "Next (after `source .venv/bin/activate`):\n"
        "  costmodel report zoo:fasternet_t2 -d v100-sxm2 -o out/report.html   all about a model\n"
        "  costmodel report FILE.py:factory -d v100-sxm2 -o out/mine.html      all about yours:\n"
        "      `factory` is a function in your FILE.py that returns a torch.nn.Module;\n"
        "      add --input 1x28x28 if a sample is no image of 3x224x224\n"
        "  costmodel compare -m zoo:fasternet_t2 -m zoo:mobilenet_v2 -d v100-sxm2   side by side\n"
        "  costmodel devices list                                  other devices\n"
        "  costmodel predict zoo:fasternet_t2 -d all -p fp16       everywhere, in half precision\n"
        "  costmodel summary zoo:fasternet_t2                      where its MACs and bytes are\n"
        "  costmodel explain pconv                                 the formula behind an operator\n"
        "  costmodel compare-ops conv dwconv pconv:1/4 -d v100-sxm2 -o out/operators.html\n"
    )


if __name__ == "__main__":
    main()
