"""The page: which controls and panels it has, before anything is in them.

The id of a control is the name of its field in `State`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dash import dcc, html

from costmodel.hardware.catalogue import device_files, scan_aliases
from costmodel.reports import theme
from costmodel.units import format_bytes
from costmodel.workbench.components import chart, panel
from costmodel.workbench.state import COMMON, TABS, controls_of, default_state
from costmodel.workbench.values import Amount, Choice, Steps

SLIDERS = ("depth", "width", "resolution", "kernel", "channels", "size", "phi")
DESIGN = ("block", "depth", "width", "resolution", "ratio", "expansion", "patch")
"""The controls that a task changes."""

LABELS = {
    "device": "Device", "others": "Compare with", "precision": "Precision", "batch": "Batch",
    "latency": "Latency, ms", "memory": "Memory, MiB", "task": "Task",
    "block": "Block", "depth": "Depth, blocks", "width": "Width, channels",
    "resolution": "Resolution, pixels", "ratio": "Partial ratio", "expansion": "Expansion",
    "patch": "Patch, pixels", "kernel": "Kernel", "channels": "Channels, in and out",
    "size": "Spatial size, height and width", "part": "Partial ratio", "phi": "Scale φ",
    "alpha": "α, depth", "beta": "β, width", "gamma": "γ, resolution",
}  # fmt: skip

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
            html.Nav(_radio("tab", TABS), className="tabs", **{"aria-label": "View"}),
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
            _group("Where it runs", _row("device", _devices("device")),
                   _row("precision", _choice("precision")), _row("batch", _number("batch"))),
            _group("Budget for a batch", _row("latency", _number("latency", "none")),
                   _row("memory", _number("memory", "none")), side_by_side=True),
            _group("Network", _row("task", _choice("task")), _row("block", _choice("block")),
                   *(_slider(name) for name in ("depth", "width", "resolution")),
                   *(_row(name, _choice(name)) for name in ("ratio", "expansion", "patch"))),
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
        panel("Latency and capacity", chart("pareto", "Capacity against latency by kind of block"),
              lead="The best designs of each kind of block on this device. Capacity is "
              "sqrt(parameters x MACs), a proxy: how well a block learns is not known here. The "
              "dashed line is the latency budget; designs over the memory budget are left out."),
        panel("Roofline", chart("roofline", "Operators of the network under the device's roofs"),
              lead="A dot is an operator, its area the share of the time."),
        panel("Time by block", chart("blocks", "Time of each block by kind of operator")),
        panel("Export", html.Div(exports, className="apply"), html.Div(id="design-notes")),
    ]  # fmt: skip


def _calculator_panels() -> list[Any]:
    controls = [_slider(name) for name in ("kernel", "channels", "size")]
    return [
        panel("One layer, five ways", html.Div([*controls, _row("part", _choice("part"))],
                                               className="inline-controls"),
              chart("calculator-figure", "MACs and time relative to a standard convolution"),
              html.Div(id="calculator"),
              lead="From the formula book: multiply-accumulates, parameters and bytes of a layer "
              "with as many channels out as in. Times are for the device, precision and batch on "
              "the left."),
    ]  # fmt: skip


def _scaling_panels() -> list[Any]:
    amounts = [_row(name, _number(name)) for name in ("alpha", "beta", "gamma")]
    return [
        panel("Compound scaling", html.Div([_slider("phi"), *amounts], className="inline-controls"),
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
              html.Div(_row("others", _devices("others", several=True)),
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
              "precision and the batch on the left, and for the devices it is compared with."),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------- controls


def _group(title: str, *rows: Any, side_by_side: bool = False) -> Any:
    return html.Fieldset(
        [html.Legend(title), html.Div(rows, className="pairs" if side_by_side else "rows")]
    )


def _row(name: str, control: Any) -> Any:
    return html.Div(
        [html.Label(LABELS[name], htmlFor=name, id=f"label-{name}"), control],
        id=f"row-{name}", className="row",
    )  # fmt: skip


def _slider(name: str) -> Any:
    spec = controls_of(default_state().task)[name]
    low, high = (spec.low, spec.high) if isinstance(spec, (Steps, Amount)) else (0, 1)
    step = getattr(spec, "step", 1)
    return html.Div(
        [
            html.Label(
                [html.Span(LABELS[name]), html.Span(id=f"shown-{name}", className="shown")],
                htmlFor=name,
            ),
            dcc.Input(
                id=name, type="range", min=low, max=high, step=step, value=spec.default,
                className="slider",
            ),
        ],
        id=f"row-{name}", className="row",
    )  # fmt: skip


def _number(name: str, placeholder: str = "") -> Any:
    spec = COMMON[name]
    assert isinstance(spec, (Steps, Amount))
    return dcc.Input(
        id=name, type="number", min=spec.low, max=spec.high, step=spec.step, value=spec.default,
        placeholder=placeholder, className="number-input",
    )  # fmt: skip


def _choice(name: str) -> Any:
    spec = controls_of(default_state().task)[name]
    assert isinstance(spec, Choice)
    return _radio(name, spec.labels, spec.default)


def _radio(name: str, labels: Mapping[str, str], value: str | None = None) -> Any:
    return dcc.RadioItems(
        id=name, options=options_of(labels), value=value or next(iter(labels)), inline=True,
        className="segments",
    )  # fmt: skip


def options_of(labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Choices as Dash has them."""
    return [{"label": label, "value": value} for value, label in labels.items()]


def _devices(name: str, several: bool = False) -> Any:
    default = COMMON[name].default
    return dcc.Dropdown(
        id=name, options=device_options(), value=list(default) if several else default,
        multi=several, clearable=several, searchable=True,
    )  # fmt: skip


_NAME = re.compile(r"^name:\s*[\"']?(.+?)[\"']?\s*(?:#.*)?$", re.M)
_KIND = re.compile(r"^kind:\s*(\w+)", re.M)


def device_options() -> list[dict[str, str]]:
    """All devices by name, found by their aliases too; of CPUs also one core alone.

    The names are taken from the text of the profiles: parsing them all takes seconds.
    """
    options = []
    for device, path in device_files().items():
        text = path.read_text(encoding="utf-8", errors="replace")
        found, kind = _NAME.search(text), _KIND.search(text)
        name = found[1] if found else device
        search = " ".join((name, device, *scan_aliases(text)))
        options.append({"label": f"{name} · {device}", "value": device, "search": search})
        if kind and kind[1] == "cpu":
            label = f"{name}, one core · {device}@1"
            options.append({"label": label, "value": f"{device}@1", "search": f"{search} one core"})
    return options


_SELECTORS: dict[theme.Mode, str] = {"light": "", "dark": "[data-mode=dark]"}

INDEX = (
    """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{%title%}</title>
<link rel="icon" href="data:,">
<style>"""
    + "".join(
        f":root{selector} {{ "
        + "; ".join(f"--{name}: {colour}" for name, colour in theme.PALETTE[mode].items())
        + f"; color-scheme: {mode} }}\n"
        for mode, selector in _SELECTORS.items()
    )
    + f":root {{ --font: {theme.FONT}; --accent: {theme.BLUE} }}\n"
    + """</style>
{%css%}
</head>
<body>
{%app_entry%}
<footer hidden>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""
)
"""The document around the page; `theme` gives its colours."""
