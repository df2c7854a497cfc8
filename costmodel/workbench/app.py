"""The Dash layer: which control calls what, and where the answer goes. Nothing is worked out here.

A change of a control takes one request for the numbers, which also gives the state as a query;
what takes longer to draw (charts, the recommendation, the other tabs) follows from the query.
"""

from __future__ import annotations

from pathlib import Path

from dash import ClientsideFunction, Dash, Input, Output, State

from costmodel.workbench import answers
from costmodel.workbench.answers import APPLIED, CHOICES, CONTROLS, Onnx
from costmodel.workbench.document import INDEX
from costmodel.workbench.exports import add_exports
from costmodel.workbench.layout import DESIGN, DRAWN_IN_SIGHT, PAINTED, SLIDERS, page
from costmodel.workbench.protection import protect
from costmodel.workbench.state import TABS
from costmodel.workbench.uploads import MAX_BYTES, Uploads


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
    )
    app.layout = page(max_upload)
    _in_the_browser(app)
    _steering(app)
    _design(app)
    _other_tabs(app)
    _onnx(app, Onnx(Uploads(max_upload)))
    add_exports(app.server)
    protect(app.server, app.csp_hashes(), max_upload)
    return app


def _in_the_browser(app: Dash) -> None:
    """What needs no server: `assets/workbench.js`."""
    app.clientside_callback(
        ClientsideFunction("workbench", "shown"),
        *(Input(name, "value") for name in SLIDERS),
    )
    for places in PAINTED:
        app.clientside_callback(
            ClientsideFunction("workbench", "paint"),
            *(Input(f"painted-{name}", "data") for name in places),
            prevent_initial_call=True,
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
        Input("query", "data"),
    )
    for name in DRAWN_IN_SIGHT:
        app.clientside_callback(
            ClientsideFunction("workbench", "in_sight"),
            Output(name, "figure"),
            Input(f"drawn-{name}", "data"),
            State(name, "id"),
            prevent_initial_call=True,
        )


def _steering(app: Dash) -> None:
    """What sets controls: the address, another task, and the Apply buttons."""
    app.callback(
        *(Output(name, "value") for name in CONTROLS),
        *(Output(name, end) for name in answers.SLIDERS for end in ("min", "max", "step")),
        *(Output(name, "options") for name in CHOICES),
        *(Output(f"row-{name}", "hidden") for name in DESIGN),
        Output("upload", "data"),
        Output("problems", "children"),
        Input("url", "search"),
        Input("task", "value"),
        *(Input(name, "n_clicks") for name in APPLIED),
        *(State(name, "data") for name in ("best", "nearest", "scaled")),
        State("query", "data"),
    )(answers.steer)


def _design(app: Dash) -> None:
    app.callback(
        Output("painted-cards", "data"),
        Output("painted-design-notes", "data"),
        Output("query", "data"),
        *(Input(name, "value") for name in CONTROLS),
        Input("upload", "data"),
    )(answers.show)
    app.callback(
        Output("drawn-roofline", "data"),
        Output("drawn-blocks", "data"),
        Input("at-design", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )(answers.draw)
    app.callback(
        Output("painted-advice", "data"),
        Output("painted-by-kind", "data"),
        Output("nearest-text", "children"),
        Output("nearest-row", "hidden"),
        Output("best-row", "hidden"),
        Output("best", "data"),
        Output("nearest", "data"),
        Output("drawn-pareto", "data"),
        Input("at-design", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )(answers.recommend)


def _other_tabs(app: Dash) -> None:
    app.callback(
        Output("painted-calculator", "data"),
        Output("calculator-figure", "figure"),
        Input("at-calculator", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )(answers.calculate)
    app.callback(
        Output("scaling-headline", "children"),
        Output("painted-scaling", "data"),
        Output("scaling-figure", "figure"),
        Output("scaled", "data"),
        Input("at-scaling", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )(answers.scale)
    app.callback(
        Output("devices-problems", "children"),
        Output("painted-devices", "data"),
        Output("painted-devices-table", "data"),
        Output("devices-figure", "figure"),
        Input("at-devices", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )(answers.compare)


def _onnx(app: Dash, onnx: Onnx) -> None:
    app.callback(
        Output("upload", "data", allow_duplicate=True),
        Output("onnx-problem", "children", allow_duplicate=True),
        Input("file", "contents"),
        State("file", "filename"),
        prevent_initial_call=True,
    )(onnx.receive)
    app.callback(
        Output("onnx-problem", "children"),
        Output("painted-onnx", "data"),
        Output("painted-onnx-operators", "data"),
        Output("onnx-figure", "figure"),
        Input("at-onnx", "data"),
        Input("screen", "data"),
        prevent_initial_call=True,
    )(onnx.predict)
