"""The page: which controls and panels it has, before anything is in them.

The id of a control is the name of its field in `State`.
"""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from costmodel.units import format_bytes
from costmodel.workbench.components import chart, panel
from costmodel.workbench.controls import choice, devices, group, number, radio, row, slider
from costmodel.workbench.state import TABS

DESIGN_SLIDERS = ("depth", "width", "resolution", "context")
DESIGN_CHOICES = ("attention", "ratio", "expansion", "patch")
SLIDERS = (*DESIGN_SLIDERS, "kernel", "channels", "size", "phi")
DESIGN = ("block", *DESIGN_SLIDERS, *DESIGN_CHOICES)
"""The controls that a task changes."""

DRAWN_IN_SIGHT = ("roofline", "blocks", "pareto")
"""Charts that are drawn when they are seen: drawing takes longer than working out what to draw."""

PAINTED = (
    ("cards", "design-notes"),
    ("advice", "by-kind"),
    ("calculator",),
    ("scaling",),
    ("devices", "devices-table"),
    ("onnx", "onnx-operators"),
)
"""Places that `assets/workbench.js` fills, those together whose content comes together: hundreds of
components of Dash would slow every change."""

EXPORTS = {
    "yaml": "Design as YAML",
    "csv": "Operators as CSV",
    "py": "Network as PyTorch",
}


def page(max_bytes: int) -> Any:
    """The whole page."""
    return html.Div(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="screen"),
            dcc.Store(id="stored-mode", storage_type="local"),
            *(dcc.Store(id=name) for name in ("query", "best", "nearest", "scaled")),
            *(dcc.Store(id=f"at-{tab}") for tab in TABS),
            *(dcc.Store(id=f"drawn-{name}") for name in DRAWN_IN_SIGHT),
            *(dcc.Store(id=f"painted-{name}") for places in PAINTED for name in places),
            dcc.Store(id="upload", data=""),
            html.Header(
                [
                    html.Div(
                        [
                            html.H1("costmodel workbench"),
                            html.P(
                                "Design a network for a device and a budget. Everything is "
                                "predicted from operator shapes and device peaks; nothing is "
                                "measured and nothing leaves this machine.",
                                className="lead",
                            ),
                        ]
                    ),
                    html.Button("Dark", id="mode", type="button"),
                ]
            ),
            html.Nav(radio("tab", TABS), className="tabs", **{"aria-label": "View"}),
            html.Div(id="problems", className="problems", role="status"),
            html.Div(id="cards", className="cards", **{"aria-live": "polite"}),
            html.Div([_aside(), _main(max_bytes)], className="workspace"),
            html.Footer(
                [
                    "The address of this page holds its whole state: keep it or send it on. ",
                    html.Span(id="ready", className="quiet"),
                ]
            ),
        ],
        id="workbench",
        **{"data-tab": "design"},
    )


def _aside() -> Any:
    return html.Aside(
        [
            group("Where it runs", row("device", devices("device")),
                   row("precision", choice("precision")), row("batch", number("batch"))),
            group("Budget for a batch", row("latency", number("latency", "none")),
                   row("memory", number("memory", "none")), side_by_side=True),
            group("Network", row("task", choice("task")), row("block", choice("block")),
                   *(slider(name) for name in DESIGN_SLIDERS),
                   *(row(name, choice(name)) for name in DESIGN_CHOICES)),
        ],
        className="controls",
        **{"aria-label": "Controls"},
    )  # fmt: skip


def _main(max_bytes: int) -> Any:
    return html.Main(
        [
            html.Div(_design_panels(), className="tab-design"),
            html.Div(_calculator_panels(), className="tab-calculator"),
            html.Div(_scaling_panels(), className="tab-scaling"),
            html.Div(_device_panels(), className="tab-devices"),
            html.Div(_onnx_panels(max_bytes), className="tab-onnx"),
        ]
    )


def _design_panels() -> list[Any]:
    exports = [
        html.A(label, id=f"export-{name}", href="", download="", className="button")
        for name, label in EXPORTS.items()
    ]
    return [
        panel("Recommendation", html.Div(id="advice"),
              html.Div([
                  html.Button("Apply the recommendation", id="apply-best", type="button",
                              className="primary"),
              ], id="best-row", className="apply", hidden=True),
              html.Div([
                  html.P(id="nearest-text"),
                  html.Button("Apply the nearest", id="apply-nearest", type="button"),
              ], id="nearest-row", className="apply", hidden=True),
              html.Div(id="by-kind"), name="recommendation"),
        panel("Latency and capacity", chart("pareto", "Capacity against latency by kind of design"),
              lead="The best designs of each kind on this device. Capacity is "
              "sqrt(parameters x MACs), a proxy: how well a kind learns is not known here. The "
              "dashed line is the latency budget; designs over the memory budget are left out."),
        panel("Roofline", chart("roofline", "Operators of the network under the device's roofs"),
              lead="A dot is an operator, its area the share of the time."),
        panel("Time by block", chart("blocks", "Time of each block by kind of operator")),
        panel("Export", html.Div(exports, className="apply"), html.Div(id="design-notes")),
    ]  # fmt: skip


def _calculator_panels() -> list[Any]:
    controls = [slider(name) for name in ("kernel", "channels", "size")]
    return [
        panel("One layer, five ways", html.Div([*controls, row("part", choice("part"))],
                                               className="inline-controls"),
              chart("calculator-figure", "MACs and time relative to a standard convolution"),
              html.Div(id="calculator"),
              lead="From the formula book: multiply-accumulates, parameters and bytes of a layer "
              "with as many channels out as in. Times are for the device, precision and batch "
              'under "Where it runs".'),
    ]  # fmt: skip


def _scaling_panels() -> list[Any]:
    amounts = [row(name, number(name)) for name in ("alpha", "beta", "gamma")]
    return [
        panel("Compound scaling", html.Div([slider("phi"), *amounts], className="inline-controls"),
              html.P(id="scaling-headline", className="headline"),
              html.Div(html.Button("Apply this φ to the design", id="apply-scaled", type="button"),
                       className="apply"),
              chart("scaling-figure", "Growth of MACs and latency with the scale"),
              html.Div(id="scaling"),
              lead="Depth, width and resolution of the present design grow by α^φ, β^φ and γ^φ "
              "(Tan and Le, EfficientNet, 2019), rounded to what the controls take."),
    ]  # fmt: skip


def _device_panels() -> list[Any]:
    return [
        panel("The design on several devices",
              html.Div(row("others", devices("others", several=True)),
                       className="inline-controls"),
              html.Div(id="devices-problems", className="problems"),
              chart("devices-figure", "Latency by device with 90 % intervals"),
              html.Div(id="devices")),
        panel("The devices", html.Div(id="devices-table")),
    ]  # fmt: skip


def _onnx_panels(max_bytes: int) -> list[Any]:
    upload = dcc.Upload(
        html.Button("Choose or drop an .onnx file", type="button", className="drop"),
        id="file", accept=".onnx", max_size=max_bytes, multiple=False, className="upload",
    )  # fmt: skip
    return [
        panel("Your own model", upload, html.Div(id="onnx-problem", className="problems"),
              html.Div(id="onnx"),
              chart("onnx-figure", "Latency by device with 90 % intervals"),
              html.Div(id="onnx-operators"),
              lead=f"Up to {format_bytes(max_bytes)}. The file is read as a graph and deleted; it "
              "is never run, its weights are not loaded. It is predicted for the device, the "
              'precision and the batch under "Where it runs", and for the devices it is compared '
              "with."),
    ]  # fmt: skip
