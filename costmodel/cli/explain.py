"""`costmodel explain`."""

from typing import Annotated

import typer

from costmodel.cli import loading, options
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
        typer.Option(
            "--op", metavar="NAME", help="Operator or module of the model: layer1.0.conv2."
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SYMBOL=VALUE", help="c_in=256 or c_p=c_in/4; repeat or use commas."
        ),
    ] = None,
    batch: Annotated[str, typer.Option("--batch", "-b", metavar="N", help="Batch size.")] = "1",
    input_shape: options.InputShape = None,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    no_cache: options.NoCache = False,
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
        (graph,) = loading.load_models([what], input_shape, size)
        from costmodel.formulas.explain import explain_operator
        from costmodel.reports.explanation import explanation_report

        emit(explanation_report(explain_operator(graph, op)), form, output)
        return
    if what is not None and ":" in what:
        raise UsageError(f"{what} is a model: add --op NAME, or name a formula such as conv2d")
    from costmodel.formulas import get_formula
    from costmodel.reports.explanation import formula_report, formulas_report

    report = formulas_report() if what is None else formula_report(get_formula(what), given)
    emit(report, form, output)


def _assignments(values: list[str] | None) -> dict[str, str]:
    result: dict[str, str] = {}
    for text in options.listed(values):
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise UsageError(f"--set {text!r}: expected SYMBOL=VALUE, such as c_in=256")
        result[name] = value
    return result
