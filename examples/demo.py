"""The main job on real input: networks and operators on devices you need not own.

    python examples/demo.py

Prints two tables, writes out/roofline.html and suggests what to type next.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from costmodel.estimation import Estimate, estimate
from costmodel.graph import Graph
from costmodel.reports.operator_comparison import compare_operators
from costmodel.reports.operator_page import verdicts
from costmodel.reports.operator_report import heading, operator_report
from costmodel.reports.operator_variants import parse_operator
from costmodel.reports.prediction import notes_of
from costmodel.reports.report import Report, write_text
from costmodel.reports.roofline_page import roofline_page
from costmodel.reports.table import Column, Table
from costmodel.reports.text import show_macs, show_params, show_rate, show_time
from costmodel.tracing.source import load_graph

FASTERNETS = [f"zoo:fasternet_{size}" for size in ("t0", "t1", "t2", "s", "m", "l")]
PEERS = ["resnet50", "mobilenetv2_100"]
PEERS_OF_OUR_OWN = ["zoo:resnet50", "zoo:mobilenet_v2"]
CASES = (("v100-sxm2", 256), ("mi250-gcd", 256), ("epyc-73f3@1", 1))
PAGE = Path("out") / "roofline.html"


def sources() -> list[str]:
    """FasterNet in all sizes, and two well-known networks: timm's, or ours where it is missing."""
    peers = [f"timm:{name}" for name in PEERS] if find_spec("timm") else PEERS_OF_OUR_OWN
    return FASTERNETS + peers


def overview(rows: list[list[Estimate]]) -> Table:
    """A line per network; per device the speed and what most of the time is spent on."""
    columns = [
        Column("model", "model", right=False),
        Column("params", "params", show_params),
        Column("macs", "MACs per image", show_macs),
    ]
    for device, batch in CASES:
        show, unit = (show_time, "latency") if batch == 1 else (show_rate, "images/s")
        columns.append(Column(f"{device}_{unit}", f"{device}, batch {batch}: {unit}", show))
        columns.append(Column(f"{device}_bound", "bound by", right=False))
    cells = []
    for row in rows:
        line: list[object] = [row[0].graph.name, row[0].graph.parameters]
        line.append(row[0].total.macs / row[0].batch)
        for found in row:
            line.append(found.latency if found.batch == 1 else found.throughput)
            line.append(found.bound)
        cells.append(tuple(line))
    return Table("Networks, predicted in float32", tuple(columns), tuple(cells))


def main() -> None:
    graphs: list[Graph] = []
    for source in sources():
        print(f"tracing {source}", file=sys.stderr)
        graphs.append(load_graph(source, batch=2))
    rows = [[estimate(g, device, batch) for device, batch in CASES] for g in graphs]
    flat = [found for row in rows for found in row]
    Report({}, (overview(rows),), notes_of(flat)).print()

    print("\nOperators: fewer FLOPs are not always faster\n")
    operators = [parse_operator(name) for name in ("conv", "dwconv", "pconv:1/4")]
    compared = [
        compare_operators(operators, [32, 64, 128, 256, 512], 56, 3, [device], [batch])
        for device, batch in CASES
    ]
    findings = [f"{heading(one)}: {text}" for (one,) in compared for text in verdicts(one)]
    Report({}, operator_report(compared[0]).tables, tuple(findings)).print()

    PAGE.parent.mkdir(exist_ok=True)
    write_text(PAGE, roofline_page([e for row in (rows[2], *rows[6:]) for e in row]))
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
