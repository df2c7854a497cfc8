"""A design as PyTorch code of its own: one file that needs torch and nothing of this package.

The code of the modules is taken from their source here: what a name stands for is followed from
module to module, and everything that is met is written out once, before it is used.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from costmodel.zoo.families.family import Cell, Family
from costmodel.zoo.families.keeping import Keeping

OURS = "costmodel"


def pytorch_code(family: Family, parameters: Mapping[str, Any], note: str = "") -> str:
    """Code with a function `design()` that returns the network, in evaluation mode.

    It carries the shape of a sample as `input_shape`; where one tensor of numbers is not all that
    the network takes, a function of the batch that gives all of it as `inputs`.
    """
    values = family.complete(parameters)
    cells = family.cells(**values)
    source = _Source()
    for _, cell, _ in cells:
        source.need(*_home(cell))
    keeps = " + ".join(f"{n} * [{len(cell.kept)}]" for _, cell, n in cells)
    keeping = any(cell.kept for _, cell, _ in cells)
    if keeping:
        source.need(Keeping.__module__, Keeping.__qualname__)
    simple = not keeping and cells[0][1].dtype == "float32"
    stated = "\n".join(f"    {name} = {value!r}" for name, value in values.items())
    lines = [f'    network.add_module("{name}", {_made(cell, n)})' for name, cell, n in cells]
    return "\n".join(
        [
            f'"""A {family.name} design.{f" {note}" if note else ""}\n\n{stated}\n"""',
            "",
            "from __future__ import annotations",
            "",
            *sorted(source.imports | {"import torch", "from torch import nn"}),
            "",
            "",
            *(f"{text}\n\n" for text in source.texts),
            "def design() -> nn.Module:",
            '    """The network, in evaluation mode."""',
            f"    network = {f'Keeping({keeps})' if keeping else 'nn.Sequential()'}",
            *lines,
            "    return network.eval()",
            "",
            "",
            *([f"design.input_shape = {cells[0][1].shape!r}"] if simple else _inputs(cells)),
            "",
            'if __name__ == "__main__":',
            "    model = design()",
            f"    inputs = {'(torch.zeros(1, *design.input_shape),)' if simple else 'inputs()'}",
            "    print(model(*inputs).shape, sum(p.numel() for p in model.parameters()))",
            "",
        ]
    )


def _home(cell: Cell) -> tuple[str, str]:
    build = cell.build.func if isinstance(cell.build, partial) else cell.build
    return build.__module__, build.__qualname__


def _made(cell: Cell, count: int) -> str:
    arguments = ", ".join(map(repr, cell.arguments))
    call = f"{_home(cell)[1]}({arguments})"
    return call if count == 1 else f"nn.Sequential(*({call} for _ in range({count})))"


def _inputs(cells: Sequence[tuple[str, Cell, int]]) -> list[str]:
    """A function that gives everything a network takes, as `Family.inputs` does."""
    first = cells[0][1]
    kept = [
        f"        *(torch.zeros((batch, *shape)) for _ in range({n}) for shape in {cell.kept!r}),"
        for _, cell, n in cells
        if cell.kept
    ]
    return [
        "def inputs(batch: int = 1) -> tuple[torch.Tensor, ...]:",
        '    """Zeros as it takes them: its input, then what modules keep from run to run."""',
        "    return (",
        f"        torch.zeros((batch, *{first.shape!r}), dtype=torch.{first.dtype}),",
        *kept,
        "    )",
        "",
        "",
        "design.inputs = inputs",
    ]


class _Source:
    """Statements in the order they are needed."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.imports: set[str] = set()
        self._seen: set[tuple[str, str]] = set()

    def need(self, module: str, name: str) -> None:
        """Write out what a name of a module stands for, after all that it uses."""
        if (module, name) in self._seen:
            return
        self._seen.add((module, name))
        statement = _statements(module).get(name)
        if statement is None:
            return  # a builtin, a local or an attribute
        if isinstance(statement, ast.Import):
            self.imports.add(ast.unparse(statement))
        elif isinstance(statement, ast.ImportFrom):
            alias = next(a for a in statement.names if (a.asname or a.name) == name)
            home = statement.module or ""
            if home.split(".")[0] == OURS:
                self.need(home, alias.name)
            elif home != "__future__":
                self.imports.add(ast.unparse(ast.ImportFrom(home, [alias], 0)))
        else:
            for used in ast.walk(statement):
                if isinstance(used, ast.Name) and used.id != name:
                    self.need(module, used.id)
            self.texts.append(ast.unparse(statement))


@cache
def _statements(module: str) -> dict[str, ast.stmt]:
    """The statement that defines each name at the top of a module of this package."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found: dict[str, ast.stmt] = {}
    for statement in tree.body:
        match statement:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found.update({alias.asname or alias.name: statement for alias in names})
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = statement
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = statement
    return found
