"""The Dash layer: controls in, view models out. Nothing is worked out here.

A change of a control takes one request for the numbers, which also gives the state as a query;
what takes longer to draw (charts, the recommendation, the other tabs) follows from the query.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, html, no_update

from costmodel.errors import CostModelError
from costmodel.workbench import figures
from costmodel.workbench.advice import Advice, advise
from costmodel.workbench.calculator import calculator_view
from costmodel.workbench.comparison import ComparisonView, comparison_view
from costmodel.workbench.components import cards_of, notes_of, table_of
from costmodel.workbench.design import design_view
from costmodel.workbench.exports import add_exports
from costmodel.workbench.layout import DESIGN, EXPORTS, INDEX, SLIDERS, options_of, page
from costmodel.workbench.networks import network_graph
from costmodel.workbench.scaling import scaling_view
from costmodel.workbench.screen import screen_of
from costmodel.workbench.server import protect
from costmodel.workbench.state import (
    TABS,
    Reading,
    controls_of,
    default_state,
    read_query,
    read_values,
)
from costmodel.workbench.state import State as PageState
from costmodel.workbench.tasks import TASKS
from costmodel.workbench.uploads import MAX_BYTES, Uploads
from costmodel.workbench.values import Choice, Steps

CONTROLS = tuple(name for name in default_state().values() if name != "upload")
EMPTY: dict[str, Any] = {"data": [], "layout": {"xaxis": {"visible": False},
                                               "yaxis": {"visible": False}}}  # fmt: skip


def create_app(max_upload: int = MAX_BYTES) -> Dash:
    """The page as a Dash application; `.server` is its Flask application.

    Args:
        max_upload: bytes of the largest file that is taken.
    """
    app = Dash(
        __name__,
        title="costmodel workbench",
        assets_folder=str(Path(__file__).with_name("assets")),
        serve_locally=True,
        update_title="",
        index_string=INDEX,
        suppress_callback_exceptions=False,
    )
    app.layout = page(max_upload)
    _steering(app)
    _design(app)
    _tabs(app)
    _onnx(app, Uploads(max_upload))
    add_exports(app.server)
    protect(app.server, app.csp_hashes(), max_upload)
    return app


# ------------------------------------------------------------------------------ what steers


def _ranges() -> list[Output]:
    sliders = ("depth", "width", "resolution")
    return [
        *(Output(name, part) for name in sliders for part in ("min", "max", "step")),
        *(Output(name, "options") for name in ("block", "ratio", "expansion", "patch")),
        *(Output(f"row-{name}", "hidden") for name in DESIGN),
    ]


def _range_values(state: PageState) -> list[Any]:
    specs = controls_of(state.task)
    values: list[Any] = []
    for name in ("depth", "width", "resolution"):
        spec = specs[name]
        assert isinstance(spec, Steps)
        values += [spec.low, spec.high, spec.step]
    for name in ("block", "ratio", "expansion", "patch"):
        spec = specs[name]
        assert isinstance(spec, Choice)
        values.append(options_of(spec.labels))
    return [*values, *(name in TASKS[state.task].hidden for name in DESIGN)]


def _control_values(state: PageState) -> list[Any]:
    values = state.values()
    return [list(v) if isinstance(v := values[name], tuple) else v for name in CONTROLS]


def _steering(app: Dash) -> None:
    """What sets controls: the address, another task, and the Apply buttons."""

    @app.callback(
        *(Output(name, "value") for name in CONTROLS),
        *_ranges(),
        Output("upload", "data"),
        Output("problems", "children"),
        Input("url", "search"),
        Input("task", "value"),
        Input("apply-best", "n_clicks"),
        Input("apply-nearest", "n_clicks"),
        Input("apply-scaled", "n_clicks"),
        State("best", "data"),
        State("nearest", "data"),
        State("scaled", "data"),
        State("query", "data"),
    )
    def steer(
        search: str, task: str, _best: int, _nearest: int, _scaled: int,
        best: str, nearest: str, scaled: str, query: str,
    ) -> list[Any]:  # fmt: skip
        targets = {"apply-best": best, "apply-nearest": nearest, "apply-scaled": scaled}
        if ctx.triggered_id in targets:
            reading = read_query(targets[ctx.triggered_id] or "")
        elif ctx.triggered_id == "task":
            reading = Reading(_other_task(read_query(query or "").state, task), ())
        else:
            reading = read_query(search or "")
        state = reading.state
        told = [html.P(problem) for problem in reading.problems]
        return [*_control_values(state), *_range_values(state), state.upload, told]

    app.clientside_callback(
        ClientsideFunction("workbench", "shown"),
        *(Output(f"shown-{name}", "children") for name in SLIDERS),
        *(Input(name, "value") for name in SLIDERS),
    )
    app.clientside_callback(
        ClientsideFunction("workbench", "screen"),
        Output("screen", "data"),
        Output("stored-mode", "data"),
        Output("mode", "children"),
        Input("mode", "n_clicks"),
        State("stored-mode", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("workbench", "route"),
        *(Output(f"at-{tab}", "data") for tab in TABS),
        *(Output(f"export-{name}", "href") for name in EXPORTS),
        Output("workbench", "data-tab"),
        Input("query", "data"),
        State("tab", "value"),
    )


def _other_task(state: PageState, task: str) -> PageState:
    """The same conditions with another task, and that task's own network."""
    if task == state.task:
        return state
    kept = {name: value for name, value in state.values().items() if name not in DESIGN}
    return read_values({**kept, "task": task}).state


# --------------------------------------------------------------------------------- the design


def _design(app: Dash) -> None:
    @app.callback(
        Output("cards", "children"),
        Output("design-notes", "children"),
        Output("query", "data"),
        *(Input(name, "value") for name in CONTROLS),
        Input("upload", "data"),
    )
    def show(*values: Any) -> Any:
        given = dict(zip((*CONTROLS, "upload"), values, strict=True))
        state, problems = read_values(given)
        query = state.to_query()
        if state.tab != "design":
            return no_update, no_update, query
        told = [html.P(problem, className="problem") for problem in problems]
        try:
            view = design_view(state)
        except CostModelError as error:
            return [*told, html.P(str(error), className="problem")], [], query
        return [*cards_of(view.cards), *told], notes_of(view.notes), query

    @app.callback(
        Output("roofline", "figure"),
        Output("blocks", "figure"),
        Input("at-design", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )
    def draw(query: str | None, screen: Any) -> Any:
        if query is None or screen is None:
            return no_update, no_update
        try:
            view = design_view(read_query(query).state)
        except CostModelError:
            return EMPTY, EMPTY
        shown = screen_of(screen)
        return figures.roofline(view, shown), figures.blocks(view, shown)

    @app.callback(
        Output("advice", "children"),
        Output("by-block", "children"),
        Output("nearest-text", "children"),
        Output("nearest-row", "hidden"),
        Output("best-row", "hidden"),
        Output("best", "data"),
        Output("nearest", "data"),
        Output("pareto", "figure"),
        Input("at-design", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )
    def recommend(query: str | None, screen: Any) -> Any:
        if query is None or screen is None:
            return (no_update,) * 8
        state = read_query(query).state
        try:
            advice = advise(state)
        except CostModelError as error:
            return [html.P(str(error))], [], "", True, True, "", "", EMPTY
        best, nearest = advice.recommended, advice.nearest
        return (
            _advice(advice),
            table_of(advice.by_block()) if advice.budgets and advice.fits.any() else [],
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


# ----------------------------------------------------------------------------- the other tabs


def _tabs(app: Dash) -> None:
    @app.callback(
        Output("calculator", "children"),
        Output("calculator-figure", "figure"),
        Input("at-calculator", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )
    def calculate(query: str | None, screen: Any) -> Any:
        if query is None:
            return no_update, no_update
        try:
            view = calculator_view(read_query(query).state)
        except CostModelError as error:
            return html.P(str(error), className="problem"), EMPTY
        formulas = [
            html.Li([html.B(layer.name), ": ", html.Code(layer.formula)]) for layer in view.layers
        ]
        return (
            [table_of(view.table(), 0), html.Ul(formulas, className="formulas"),
             *notes_of(view.notes)],
            figures.calculator(view, screen_of(screen)),
        )  # fmt: skip

    @app.callback(
        Output("scaling-headline", "children"),
        Output("scaling", "children"),
        Output("scaling-figure", "figure"),
        Output("scaled", "data"),
        Input("at-scaling", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )
    def scale(query: str | None, screen: Any) -> Any:
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
        return view.headline, table, figures.scaling(view, screen_of(screen)), applied

    @app.callback(
        Output("devices-problems", "children"),
        Output("devices", "children"),
        Output("devices-table", "children"),
        Output("devices-figure", "figure"),
        Input("at-devices", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )
    def compare(query: str | None, screen: Any) -> Any:
        if query is None:
            return (no_update,) * 4
        state = read_query(query).state
        view = comparison_view(state, network_graph(state))
        return (
            [html.P(problem) for problem in view.problems],
            _compared(view),
            table_of(view.devices()),
            figures.comparison(view, screen_of(screen)) if view.estimates else EMPTY,
        )


def _compared(view: ComparisonView) -> list[Any]:
    return [table_of(view.table(), 0), *notes_of(view.notes)]


# ------------------------------------------------------------------------------------ uploads


def _onnx(app: Dash, uploads: Uploads) -> None:
    @app.callback(
        Output("upload", "data", allow_duplicate=True),
        Output("onnx-problem", "children", allow_duplicate=True),
        Input("file", "contents"),
        State("file", "filename"),
        prevent_initial_call=True,
    )
    def receive(content: str | None, name: str | None) -> Any:
        if content is None:
            return no_update, no_update
        try:
            return uploads.add(content, name or "").digest, []
        except CostModelError as error:
            return no_update, [html.P(str(error))]

    @app.callback(
        Output("onnx-problem", "children"),
        Output("onnx", "children"),
        Output("onnx-operators", "children"),
        Output("onnx-figure", "figure"),
        Input("at-onnx", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )
    def predict(query: str | None, screen: Any) -> Any:
        if query is None:
            return (no_update,) * 4
        state = read_query(query).state
        if not state.upload:
            return no_update, html.P("No file yet.", className="lead"), [], EMPTY
        found = uploads.get(state.upload)
        if found is None:
            gone = "The file is no longer here: upload it again."
            return [html.P(gone)], [], [], EMPTY
        view = comparison_view(state, found.graph)
        problems = [html.P(problem) for problem in view.problems]
        if not view.estimates:
            return problems, [], [], EMPTY
        slowest = table_of(view.slowest())
        return (
            problems,
            [html.P(view.headline, className="headline"), *_compared(view)],
            slowest,
            figures.comparison(view, screen_of(screen)),
        )
