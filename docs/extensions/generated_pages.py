"""Pages written anew before each build: formula book, commands, laws, examples."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

import costmodel
from costmodel.cli.app import app as command_line
from costmodel.reports.formula_book import formula_book
from costmodel.reports.table import Column, Table
from costmodel.roofline.constants import constant_table
from costmodel.roofline.engine import LAWS


def command_reference() -> str:
    """Every command with its arguments and options, as the program itself describes them."""
    root = get_command(command_line)
    lines = ["# Commands", "", str(root.help), ""]
    lines += ["Exit codes: 0 fine, 1 a budget or threshold was missed, 2 wrong usage or bad input."]
    return "\n".join([*lines, "", *_commands(root, "costmodel")])


def _commands(group: Any, name: str) -> Iterator[str]:
    for command in group.commands.values():
        full = f"{name} {command.name}"
        if hasattr(command, "commands"):
            yield from _commands(command, full)
            continue
        yield from (f"## {full}", "", str(command.help), "")
        yield "```text"
        arguments = [p.metavar or p.name.upper() for p in command.params if not _is_option(p)]
        yield " ".join([full, *arguments, "[OPTIONS]"])
        yield from ("```", "")
        columns = (Column("option", "", right=False), Column("help", "", right=False))
        rows = tuple((_spelled(p), p.help or "") for p in command.params)
        if rows:
            yield Table("", columns, rows).to_markdown()


def _is_option(parameter: Any) -> bool:
    return any(word.startswith("-") for word in parameter.opts)


def _spelled(parameter: Any) -> str:
    if not _is_option(parameter):
        return str(parameter.metavar or parameter.name.upper())
    value = "" if getattr(parameter, "is_flag", False) else f" {parameter.metavar or 'VALUE'}"
    return ", ".join([*parameter.opts, *parameter.secondary_opts]) + value


def law_reference() -> str:
    """The efficiency laws, and every constant they use."""
    laws = Table(
        "",
        (Column("law", "law", right=False), Column("effect", "effect", right=False)),
        tuple(LAWS.items()),
    )
    columns = (
        Column("name", "constant", right=False),
        Column("value", "value", lambda value: f"{value:.4g}"),
        Column("unit", "unit", right=False),
        Column("meaning", "meaning", right=False),
        Column("low", "from", lambda value: f"{value:.3g}"),
        Column("high", "to", lambda value: f"{value:.3g}"),
        Column("source", "source", right=False),
    )
    rows = tuple(
        tuple(getattr(constant, column.key) for column in columns) for constant in constant_table()
    )
    return "\n".join(
        [
            "# Efficiency laws",
            "",
            "With all laws off (`--without all`) the engine is the plain roofline. Each law adds "
            "one named physical effect and can be switched off by its name.",
            "",
            laws.to_markdown(),
            "## Constants",
            "",
            "Universal: the same for every device and every model. A test holds each in the range "
            "in which it is physically plausible.",
            "",
            Table("", columns, rows).to_markdown(),
        ]
    )


def example_page() -> str:
    """The scripts in `examples/`, each under the question it answers."""
    lines = [
        "# Examples",
        "",
        "Each script in `examples/` answers one question and is run by the tests.",
        "",
    ]
    for path in sorted((Path(costmodel.__file__).parents[1] / "examples").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        question, _, rest = (ast.get_docstring(ast.parse(source)) or path.stem).partition("\n")
        lines += [f"## {question}", "", rest.strip(), "", f"`examples/{path.name}`", ""]
        lines += ["```python", source.partition('"""\n')[2].strip(), "```", ""]
    return "\n".join(lines)


PAGES = {
    "commands": command_reference,
    "examples": example_page,
    "formulas": formula_book,
    "laws": law_reference,
}


def write_pages(app: Any, *_: Any) -> None:
    """Write the pages whose text has changed."""
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        path, text = folder / f"{name}.md", page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
