"""What the page gets for a state: view models as components and figures, one function per callback.

Each takes the query of the state (or the controls' values) and what is known of the screen, and
gives the values of its outputs in order. Errors of the package become sentences on the page.
"""

from __future__ import annotations

from typing import Any

from dash import ctx, html, no_update

from costmodel.errors import CostModelError
from costmodel.workbench import figures, tab_figures
from costmodel.workbench.advice import Advice, advise
from costmodel.workbench.calculator import calculator_view
from costmodel.workbench.comparison import comparison_view
from costmodel.workbench.components import EMPTY, cards_of, notes_of, table_of
from costmodel.workbench.controls import options_of
from costmodel.workbench.design import design_view
from costmodel.workbench.layout import DESIGN
from costmodel.workbench.networks import network_graph
from costmodel.workbench.scaling import scaling_view
from costmodel.workbench.screen import screen_of
from costmodel.workbench.state import (
    Reading,
    State,
    controls_of,
    default_state,
    read_query,
    read_values,
)
from costmodel.workbench.tasks import TASKS
from costmodel.workbench.uploads import Uploads
from costmodel.workbench.values import Choice, Steps

CONTROLS = tuple(name for name in default_state().values() if name != "upload")
"""Names of all controls, in the order in which their values are handed over."""
SLIDERS = ("depth", "width", "resolution", "context")
CHOICES = ("block", "attention", "ratio", "expansion", "patch")
APPLIED = ("apply-best", "apply-nearest", "apply-scaled")


def steer(search: str | None, task: str, *rest: Any) -> list[Any]:
    """All controls' values and ranges, after the address, the task or an Apply button changed.

    Args:
        search: query of the address.
        task: the control.
        rest: clicks of the buttons `APPLIED`, the queries that they apply, the present query.
    """
    *queries, present = rest[len(APPLIED) :]
    if ctx.triggered_id in APPLIED:
        reading = read_query(queries[APPLIED.index(ctx.triggered_id)] or "")
        now = read_query(present or "")
        if reading.state.task != now.state.task:  # advice that is still that of another task
            reading = now
    elif ctx.triggered_id == "task":
        reading = Reading(other_task(read_query(present or "").state, task), ())
    else:
        reading = read_query(search or "")
    state = reading.state
    values = state.values()
    held = [list(v) if isinstance(v := values[name], tuple) else v for name in CONTROLS]
    return [*held, *_ranges(state), state.upload, _problems(reading.problems)]


def _ranges(state: State) -> list[Any]:
    specs = controls_of(state.task)
    values: list[Any] = []
    for name in SLIDERS:
        spec = specs[name]
        assert isinstance(spec, Steps)
        values += [spec.low, spec.high, spec.step]
    for name in CHOICES:
        choice = specs[name]
        assert isinstance(choice, Choice)
        values.append(options_of(choice.labels))
    return [*values, *(name in TASKS[state.task].hidden for name in DESIGN)]


def other_task(state: State, task: str) -> State:
    """The same conditions with another task, and that task's own network."""
    if task == state.task:
        return state
    kept = {name: value for name, value in state.values().items() if name not in DESIGN}
    return read_values({**kept, "task": task}).state


def _problems(lines: tuple[str, ...] | list[str]) -> list[Any]:
    return [html.P(line, className="problem") for line in lines]


def show(*values: Any) -> Any:
    """Cards, notes and the query of the controls' values, `CONTROLS` and the upload."""
    state, problems = read_values(dict(zip((*CONTROLS, "upload"), values, strict=True)))
    query = state.to_query()
    if state.tab != "design":
        return no_update, no_update, query
    try:
        view = design_view(state)
    except CostModelError as error:
        return _problems([*problems, str(error)]), [], query
    return [*cards_of(view.cards), *_problems(problems)], notes_of(view.notes), query


def draw(query: str | None, screen: Any) -> Any:
    """The charts of the network: roofline, and time by block."""
    if query is None or screen is None:
        return no_update, no_update
    try:
        view = design_view(read_query(query).state)
    except CostModelError:
        return EMPTY, EMPTY
    shown = screen_of(screen)
    return figures.roofline(view, shown), figures.blocks(view, shown)


def recommend(query: str | None, screen: Any) -> Any:
    """The recommendation, what its buttons apply, and the chart of all designs."""
    if query is None or screen is None:
        return (no_update,) * 8
    state = read_query(query).state
    try:
        advice = advise(state)
    except CostModelError as error:
        return _problems([str(error)]), [], "", True, True, "", "", EMPTY
    best, nearest = advice.recommended, advice.nearest
    return (
        _advice(advice),
        table_of(advice.by_kind()) if advice.budgets and advice.fits.any() else [],
        advice.nearest_text,
        nearest is None,
        best is None or advice.is_best,
        state.changed(**best.changes).to_query() if best else "",
        state.changed(**nearest.changes).to_query() if nearest else "",
        figures.pareto(advice, screen_of(screen)),
    )


def _advice(advice: Advice) -> list[Any]:
    reasons = [html.Li(reason) for reason in advice.reasons]
    listed = [html.Ul(reasons, className="reasons")] if reasons else []
    return [html.P(advice.headline, className="headline"), *listed]


def calculate(query: str | None, screen: Any) -> Any:
    """The FLOP calculator: table and chart."""
    if query is None:
        return no_update, no_update
    try:
        view = calculator_view(read_query(query).state)
    except CostModelError as error:
        return _problems([str(error)]), EMPTY
    formulas = [
        html.Li([html.B(layer.name), ": ", html.Code(layer.formula)]) for layer in view.layers
    ]
    table = table_of(view.table(), 0)
    listed = html.Ul(formulas, className="formulas")
    return [table, listed, *notes_of(view.notes)], tab_figures.calculator(view, screen_of(screen))


def scale(query: str | None, screen: Any) -> Any:
    """Compound scaling: headline, table, chart, and what its button applies."""
    if query is None:
        return (no_update,) * 4
    state = read_query(query).state
    try:
        view = scaling_view(state)
        chosen = [i for i, step in enumerate(view.steps) if step.phi == state.phi]
        table = table_of(view.table(), chosen[0] if chosen else None)
    except CostModelError as error:
        return str(error), [], EMPTY, ""
    applied = state.changed(**view.chosen.changes, phi=0, tab="design").to_query()
    return view.headline, table, tab_figures.scaling(view, screen_of(screen)), applied


def compare(query: str | None, screen: Any) -> Any:
    """The device comparison: problems, table, table of the devices, chart."""
    if query is None:
        return (no_update,) * 4
    state = read_query(query).state
    view = comparison_view(state, network_graph(state), TASKS[state.task].sample)
    return (
        _problems(view.problems),
        [table_of(view.table(), 0), *notes_of(view.notes)] if view.estimates else [],
        table_of(view.devices()) if view.estimates else [],
        tab_figures.comparison(view, screen_of(screen)) if view.estimates else EMPTY,
    )


class Onnx:
    """The answers about uploaded files."""

    def __init__(self, uploads: Uploads) -> None:
        self.uploads = uploads

    def receive(self, content: str | None, name: str | None) -> Any:
        """Digest of a file that came, and what was wrong with it."""
        if content is None:
            return no_update, no_update
        try:
            return self.uploads.add(content, name or "").digest, []
        except CostModelError as error:
            return no_update, _problems([str(error)])

    def predict(self, query: str | None, screen: Any) -> Any:
        """Problems, table, slowest operators and chart of the file of a state."""
        if query is None:
            return (no_update,) * 4
        state = read_query(query).state
        if not state.upload:
            return no_update, html.P("No file yet.", className="lead"), [], EMPTY
        found = self.uploads.get(state.upload)
        if found is None:
            return _problems(["The file is no longer here: upload it again."]), [], [], EMPTY
        view = comparison_view(state, found.graph)
        problems = _problems(view.problems)
        if not view.estimates:
            return problems, [], [], EMPTY
        headline = html.P(view.headline, className="headline")
        return (
            problems,
            [headline, table_of(view.table(), 0), *notes_of(view.notes)],
            table_of(view.slowest()),
            tab_figures.comparison(view, screen_of(screen)),
        )
