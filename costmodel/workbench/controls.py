"""The controls as Dash components; the id of each is the name of its field in `State`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dash import dcc, html

from costmodel.hardware.catalogue import device_files, scan_aliases
from costmodel.workbench.state import COMMON, controls_of, default_state
from costmodel.workbench.values import Amount, Choice, Steps

LABELS = {
    "device": "Device", "others": "Compare with", "precision": "Precision", "batch": "Batch",
    "latency": "Latency, ms", "memory": "Memory, MiB", "task": "Task",
    "block": "Block", "depth": "Depth, blocks", "width": "Width, channels",
    "resolution": "Resolution, pixels", "ratio": "Partial ratio", "expansion": "Expansion",
    "patch": "Patch, pixels", "attention": "Attention", "context": "Context, tokens",
    "kernel": "Kernel", "channels": "Channels, in and out",
    "size": "Spatial size, height and width", "part": "Partial ratio", "phi": "Scale φ",
    "alpha": "α, depth", "beta": "β, width", "gamma": "γ, resolution",
}  # fmt: skip


def group(title: str, *rows: Any, side_by_side: bool = False) -> Any:
    """Rows of controls under a heading."""
    return html.Fieldset(
        [html.Legend(title), html.Div(rows, className="pairs" if side_by_side else "rows")],
        className=title.split()[0].lower(),
    )


def row(name: str, control: Any) -> Any:
    """A control under its label."""
    return html.Div(
        [html.Label(LABELS[name], htmlFor=name, id=f"label-{name}"), control],
        id=f"row-{name}", className="row",
    )  # fmt: skip


def slider(name: str) -> Any:
    """A slider for a whole number, or a scale, with its value beside the label."""
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


def number(name: str, placeholder: str = "") -> Any:
    """A field for a number; what is written in it stands for none while it is empty."""
    spec = COMMON[name]
    assert isinstance(spec, (Steps, Amount))
    return dcc.Input(
        id=name, type="number", min=spec.low, max=spec.high, step=spec.step, value=spec.default,
        placeholder=placeholder, className="number-input",
    )  # fmt: skip


def choice(name: str) -> Any:
    """The choices of a control as buttons."""
    spec = controls_of(default_state().task)[name]
    assert isinstance(spec, Choice)
    return radio(name, spec.labels, spec.default)


def radio(name: str, labels: Mapping[str, str], value: str | None = None) -> Any:
    """One of a few, as buttons that the arrow keys move between."""
    return dcc.RadioItems(
        id=name, options=options_of(labels), value=value or next(iter(labels)), inline=True,
        className="segments",
    )  # fmt: skip


def options_of(labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Choices as Dash has them."""
    return [{"label": label, "value": value} for value, label in labels.items()]


def devices(name: str, several: bool = False) -> Any:
    """A search box for devices of the catalogue."""
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
