"""The arrows of the house: which room may import which, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "costmodel"

LAYERS = [
    {"errors"},
    {"units", "counts", "files", "collection", "documents"},
    {"graph"},
    {"formulas"},
    {"tracing", "passes", "hardware", "zoo", "liveness", "published", "symbolic"},
    {"roofline", "memory"},
    {"energy"},
    {"estimation"},
    {"measurement", "search", "crossovers", "changes"},
    {"reports"},
    {"workbench"},
    {"cli"},
]
"""From the foundation upwards: a room imports from its own layer's own room, and from below."""

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

MEASUREMENT = {"tables": 0, "measuring": 1, "validation": 2, "fitting": 3, "reproduction": 3}
"""Levels of the rooms in measurement; those of one level do not know each other."""

DOORS = {
    ("graph", "estimation"): "Graph.estimate, the fluent API",
    ("graph", "symbolic"): "Graph.cost and Graph.substitute, the fluent API",
    ("estimation", "reports"): "Estimate.roofline, the fluent API; its look in a notebook",
    ("graph", "reports"): "how a graph looks in a notebook",
    ("hardware", "reports"): "how a device looks in a notebook",
    ("tracing", "zoo"): "zoo: is a model source",
    ("graph", "formulas"): "Graph.cost, the fluent API",
}
"""Imports against or beside the arrows, each for a stated reason and only inside functions."""

MAY_IMPORT_TORCH = {"tracing", "zoo", "passes", "measurement"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """(module, whether inside a function) for each import that runs, TYPE_CHECKING left out."""
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.orelse:
                visit(child, inside)
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "costmodel":
                found.extend(
                    (f"costmodel.{alias.name}", inside)
                    for alias in node.names
                    if not alias.name.startswith("__")
                )
            else:
                found.append((node.module, inside))
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text()), False)
    return found


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL, f"{room} has no place in the house: add it to LAYERS"
    for module, inside in imports_of(path):
        parts = module.split(".")
        if parts[0] == "torch" and room not in MAY_IMPORT_TORCH:
            pytest.fail(f"{room} imports torch")
        if parts[0] != "costmodel" or len(parts) < 2:
            continue
        other = parts[1]
        if other == room or LEVEL[other] < LEVEL[room]:
            continue
        allowed = inside and (room, other) in DOORS
        assert allowed, f"{room} imports {other}"


ROOMS = sorted((PACKAGE / "measurement").glob("*/*.py"))


@pytest.mark.parametrize("path", ROOMS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_rooms_of_measurement_follow_the_arrows(path: Path) -> None:
    room = path.parent.name
    for module, _ in imports_of(path):
        if module.startswith("costmodel.measurement."):
            other = module.split(".")[2]
            assert other == room or MEASUREMENT[other] < MEASUREMENT[room], f"imports {other}"


def test_cost_stands_below_the_registry() -> None:
    modules = {module for module, _ in imports_of(PACKAGE / "formulas" / "cost.py")}
    assert not any(module.startswith("costmodel") for module in modules)
