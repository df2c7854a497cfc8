"""The page of a search: the front, the recommended design, its budgets, its code."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from costmodel.reports import theme
from costmodel.reports.page import Card, Section, html_page, plain
from costmodel.reports.report import Report
from costmodel.reports.search.report import SHOW, front_table, headline, show_budget
from costmodel.reports.text import percent
from costmodel.search.goals import METRICS
from costmodel.search.result import SearchResult, describe


def search_page(result: SearchResult, report: Report) -> str:
    """The page as text."""
    designs, *others = report.tables
    sections = [
        Section("Designs", tables=(designs, *others[:-1]), items=report.notes),
        Section(
            "Pareto front",
            "No other design is better on one axis without being worse on another. Budgets on "
            "the axes do not limit it; dotted lines show them.",
            figure=front_figure(result),
            tables=(front_table(result, 40),),
        ),
    ]
    return html_page("Design search", headline(result), sections, _cards(result))


def _cards(result: SearchResult) -> list[Card]:
    found = result.recommended or (result.nearest[0] if result.nearest else None)
    if found is None:
        return []
    free = {name: found.design[name] for name in result.problem.space.free}
    word = "recommended" if result.best else "nearest, does not fit"
    cards = [Card(word, SHOW["latency"](found.metric("latency")), describe(free))]
    cards += [
        Card(
            METRICS[b.budget.name].title,
            percent(found.use(b.budget)),
            f"of {show_budget(b.budget)}{', binds' if b.binds else ''}",
        )
        for b in result.bindings
    ]
    return cards


def front_figure(result: SearchResult) -> go.Figure:
    """The first two axes of the front, with budgets and the recommended designs."""
    x, y = result.problem.axes[:2]
    front, space = result.front, result.problem.space
    figure = go.Figure()
    hover = [
        plain(describe({name: space.design(code)[name] for name in space.free})).replace(
            ", ", "<br>"
        )
        for code in front.codes
    ]
    figure.add_trace(
        go.Scatter(
            x=front.values[:, 0], y=front.values[:, 1], mode="lines+markers", name="front",
            line={"shape": "hv", "width": 1}, marker={"size": 7, "color": theme.SERIES[0]},
            text=hover, hovertemplate="%{text}<br>%{x:.4s}, %{y:.4s}<extra></extra>",
        )
    )  # fmt: skip
    best = result.best or result.nearest
    names = {x.name, y.name} <= set(METRICS)
    if best and names:
        figure.add_trace(
            go.Scatter(
                x=[_worst(c, x.name, x.maximize) for c in best],
                y=[_worst(c, y.name, y.maximize) for c in best],
                mode="markers", name="recommended" if result.best else "nearest",
                marker={"size": 13, "symbol": "star", "color": theme.SERIES[1]},
                text=[plain(c.name) for c in best], hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    for budget in result.problem.budgets:
        if budget.name == x.name:
            figure.add_vline(x=budget.limit, line={"dash": "dot", "color": theme.ROOF})
        if budget.name == y.name:
            figure.add_hline(y=budget.limit, line={"dash": "dot", "color": theme.ROOF})
    figure.update_xaxes(title=_title(x.name), type="log", exponentformat="SI")
    figure.update_yaxes(title=_title(y.name), type="log", exponentformat="SI")
    figure.update_layout(
        template=theme.template("light"),
        height=560,
        margin={"l": 80, "r": 20, "t": 20, "b": 60},
        hovermode="closest",
    )
    return figure


def _worst(found: Any, name: str, maximize: bool) -> float:
    values = [found.metric(name, index) for index in range(len(found.estimates))]
    return float(np.min(values) if maximize else np.max(values))


def _title(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.title} ({metric.unit})" if metric.unit else metric.title
