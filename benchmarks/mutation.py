"""Mutation testing of costmodel/formulas: do the tests notice when a formula is wrong?

    python benchmarks/mutation.py --sample 300        a seeded sample (minutes)
    python benchmarks/mutation.py --all               every mutant (long)
    python benchmarks/mutation.py --module attention  every mutant of one file

A mutant is one change: an operator or comparison for its opposite, a number one larger, a truth
value turned, `and` for `or`, a `not` dropped. Each runs the formula tests in a process of its own
until the first failure. Prints JSON with the share killed and every survivor (explained in
mutation.md); exits with 1 below 90 %.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import json
import multiprocessing
import os
import random
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import hypothesis
import numpy  # noqa: F401  (loaded once, here, for all children)
import pytest
import sympy  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
FORMULAS = ROOT / "costmodel" / "formulas"
TESTS = ("families", "bindings", "convolution", "blocks", "primitives", "worked")
FIRST = {
    "primitives": ("activation", "elementwise", "primitives"),
    "convolution": (
        "convolution", "convolution_backward", "transposed_convolution", "valid_taps", "partial",
    ),
    "bindings": ("columns", "gather", "movement", "optimizer", "registry", "resize", "sizes"),
    "blocks": ("blocks", "patconv"),
    "worked": ("scaling",),
    "explain": ("algebra", "explain", "formula", "notation", "symbols"),
}  # fmt: skip
"""The test file that knows most about a module runs first; the others follow if it passes."""
SECONDS = 300

OPPOSITE: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip


class Mutant(NamedTuple):
    module: str
    number: int
    line: int
    change: str


class Mutator(ast.NodeTransformer):
    """Applies the change of one number, and lists all it could have made."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted, self.found = wanted, []  # type: ignore[var-annotated]

    def _offer(self, node: Any, changed: Any, shown: str) -> Any:
        self.found.append((node.lineno, shown))
        return changed if len(self.found) - 1 == self.wanted else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if type(node.op) in OPPOSITE:
            changed = copy.copy(node)
            changed.op = OPPOSITE[type(node.op)]()  # type: ignore[assignment]
            return self._offer(node, changed, f"{ast.unparse(node)} -> {ast.unparse(changed)}")
        return node

    visit_BoolOp = visit_BinOp  # type: ignore[assignment]  # noqa: N815

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        changed = copy.copy(node)
        changed.ops = [OPPOSITE[type(node.ops[0])](), *node.ops[1:]]  # type: ignore[list-item]
        return self._offer(node, changed, f"{ast.unparse(node)} -> {ast.unparse(changed)}")

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        shown = f"{ast.unparse(node)} -> {ast.unparse(node.operand)}"
        return self._offer(node, node.operand, shown)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if not isinstance(value, (bool, int, float)):
            return node
        changed = ast.copy_location(
            ast.Constant(not value if isinstance(value, bool) else value + 1), node
        )
        return self._offer(node, changed, f"{value} -> {changed.value}")

    def visit_If(self, node: ast.If) -> ast.AST:
        return node if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node  # annotations

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        returns, node.returns = node.returns, None
        self.generic_visit(node)
        node.returns = returns
        return node


def mutants_of(path: Path) -> list[Mutant]:
    mutator = Mutator()
    mutator.visit(ast.parse(path.read_text()))
    return [Mutant(path.stem, n, *found) for n, found in enumerate(mutator.found)]


class Import(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module changed."""

    def __init__(self, mutant: Mutant) -> None:
        path = FORMULAS / f"{mutant.module}.py"
        tree = ast.fix_missing_locations(Mutator(mutant.number).visit(ast.parse(path.read_text())))
        self.name, self.code = f"costmodel.formulas.{mutant.module}", compile(tree, path, "exec")

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def survives(mutant: Mutant) -> tuple[Mutant, bool]:
    """Whether all tests pass with the change; a test that hangs fails."""
    sys.meta_path.insert(0, Import(mutant))
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    signal.alarm(SECONDS)
    hypothesis.settings.register_profile("fixed", derandomize=True, database=None)
    hypothesis.settings.load_profile("fixed")
    first = next((test for test, stems in FIRST.items() if mutant.module in stems), TESTS[0])
    for name in dict.fromkeys((first, *TESTS)):
        code = pytest.main(
            ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore:Module already imported",
             "-k", "not on_a_device", str(ROOT / "tests" / f"test_formulas_{name}.py")]
        )  # fmt: skip
        if code != 0:
            return mutant, False
    return mutant, True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--module", action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    paths = [p for p in sorted(FORMULAS.glob("*.py")) if p.stem in (options.module or [p.stem])]
    everything = chosen = [m for path in paths for m in mutants_of(path)]
    if not options.all and not options.module:
        sample = min(options.sample, len(everything))
        chosen = random.Random(options.seed).sample(everything, sample)
    survivors = []
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        _, passes = pool.apply(survives, (Mutant("cost", -1, 0, "nothing changed"),))
        if not passes:
            sys.exit("the tests fail without any change: nothing to learn from mutants")
        for done, (mutant, alive) in enumerate(pool.imap_unordered(survives, chosen), 1):
            if alive:
                survivors.append(mutant)
                print(f"alive: {mutant}", file=sys.stderr)
            print(f"{done}/{len(chosen)}, {len(survivors)} alive", file=sys.stderr)
    killed = 1 - len(survivors) / len(chosen)
    report = {
        "mutants": len(everything),
        "run": len(chosen),
        "killed_share": round(killed, 4),
        "survivors": [f"{m.module}.py:{m.line}: {m.change}" for m in sorted(survivors)],
    }
    print(json.dumps(report, indent=2, ensure_ascii=False))
    return int(killed < 0.9)


if __name__ == "__main__":
    sys.exit(main())
