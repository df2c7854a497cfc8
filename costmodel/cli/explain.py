"""`costmodel explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from costmodel.cli import options
from costmodel.cli.output import chosen_format, emit
from costmodel.errors import UsageError


def explain(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="FORMULA|MODEL", help="A formula such as pconv; or a model, with --op."
        ),
    ] = None,
    op: Annotated[
        str | None,
        typer.Option("--op", metavar="NAME", help="Operator of the model: layer1.0.conv2."),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SYMBOL=N", help="Value of a symbol; repeat."),
    ] = None,
    batch: Annotated[str, typer.Option("--batch", "-b", metavar="N", help="Batch size.")] = "1",
    input_shape: options.InputShape = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Show a formula in symbols, LaTeX and numbers; without a name, list all formulas."""
    form = chosen_format(format, output)
    size = options.whole_number("batch", batch)
    given = _assignments(values)

    if op is not None:
        if what is None:
            raise UsageError("--op needs a model: costmodel explain MODEL --op NAME")
        if given:
            raise UsageError("--set goes with a formula; an operator of a model has its shapes")
        (graph,) = options.load_models([what], input_shape, size)
        from costmodel.reports.explanation import explain_operator

        emit(explain_operator(graph, op), form, output)
        return
    if what is not None and ":" in what:
        raise UsageError(f"{what} is a model: add --op NAME, or name a formula such as conv2d")
    from costmodel.formulas import get_formula
    from costmodel.reports.explanation import explain_formula, formulas_report

    report = formulas_report() if what is None else explain_formula(get_formula(what), given)
    emit(report, form, output)


def _assignments(values: list[str] | None) -> dict[str, float]:
    result: dict[str, float] = {}
    for text in options.listed(values):
        name, equals, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not equals or not 0 <= value < float("inf"):
            raise UsageError(f"--set {text!r}: expected SYMBOL=NUMBER, such as c_in=256")
        result[name.strip()] = value
    return result
