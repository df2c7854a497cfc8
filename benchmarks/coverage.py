"""Which operators of a model zoo have no formula: trace every model and list what is left.

    python benchmarks/coverage.py timm                    every timm model (minutes)
    python benchmarks/coverage.py timm --every 20         one in twenty
    python benchmarks/coverage.py torchvision             classification and segmentation
    python benchmarks/coverage.py timm:resnet50 timm:swin_tiny_patch4_window7_224

Prints JSON: models, operators, the uncovered ones with counts and an example, failures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator

from costmodel.errors import CostModelError
from costmodel.formulas import columns  # noqa: F401  (registers every binding)
from costmodel.formulas.registry import binder_of
from costmodel.tracing.source import load_graph


def sources(wanted: list[str], every: int) -> Iterator[str]:
    """Model sources of whole zoos, or as given."""
    for name in wanted:
        if name == "timm":
            import timm

            yield from (f"timm:{model}" for model in timm.list_models()[::every])
        elif name == "torchvision":
            from torchvision import models

            tasks = ("detection", "video", "optical_flow")
            for model in models.list_models()[::every]:
                if not any(t in models.get_model_builder(model).__module__ for t in tasks):
                    yield f"torchvision:{model}"
        else:
            yield name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--every", type=int, default=1, help="take one model in so many")
    options = parser.parse_args()
    operators: Counter[str] = Counter()
    example: dict[str, str] = {}
    failures: dict[str, str] = {}
    models = 0
    for source in sources(options.sources, options.every):
        models += 1
        try:
            graph = load_graph(source)
        except CostModelError as error:
            failures[source] = str(error)
            continue
        for op in graph.ops:
            if not op.is_view:
                operators[op.target] += 1
                example.setdefault(op.target, source)
    uncovered = {t: n for t, n in operators.most_common() if binder_of(t) is None}
    report = {
        "models": models,
        "failures": failures,
        "operators": sum(operators.values()),
        "distinct": len(operators),
        "uncovered": {t: {"count": n, "first": example[t]} for t, n in uncovered.items()},
    }
    print(json.dumps(report, indent=2))
    return 1 if uncovered or failures else 0


if __name__ == "__main__":
    sys.exit(main())
