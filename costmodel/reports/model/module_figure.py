"""Time by module as a treemap: a box per module, inside the box of the module that holds it."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from costmodel.reports import theme
from costmodel.reports.model.module_times import ModuleTime
from costmodel.reports.page import plain
from costmodel.reports.text import count, percent, show_bytes, show_macs, show_time

SMALL = 0.002
"""Share of the time below which boxes of one module are drawn as one."""


def module_figure(root: ModuleTime, run: int = 0) -> Any:
    """A plotly treemap; areas are shares of the time, colours the kind of operator.

    Args:
        root: of the tree.
        run: which run's times.
    """
    total = float(root.times[run]) or 1.0
    boxes: list[tuple[str, str, str, float, str, str]] = []

    def add(node: ModuleTime, parent: str) -> None:
        time = float(node.times[run])
        is_leaf = not node.children
        colour = theme.mark_of(node.kind or "").colour if is_leaf else theme.BOX
        own = time if is_leaf else 0.0
        boxes.append((node.path or "/", node.name, parent, own, colour, _hover(node, time, total)))
        small = [child for child in node.children if child.times[run] < SMALL * total]
        for child in node.children:
            if len(small) < 2 or child.times[run] >= SMALL * total:
                add(child, node.path or "/")
        if len(small) >= 2:
            rest = float(sum(child.times[run] for child in small))
            label = f"{len(small)} smaller"
            hover = f"<b>{label}</b><br>{show_time(rest)}, {percent(rest / total)} of the time"
            boxes.append((f"{node.path}/smaller", label, node.path or "/", rest, theme.GREY, hover))

    add(root, "")
    ids, labels, parents, values, colours, hovers = (
        list(column) for column in zip(*boxes, strict=True)
    )
    figure = go.Figure(
        go.Treemap(
            ids=[plain(path) for path in ids],
            labels=[plain(label) for label in labels],
            parents=[plain(path) for path in parents],
            values=values,
            branchvalues="remainder",
            marker={
                "colors": colours,
                "line": {"width": 1},
                "pad": {"t": 20, "l": 3, "r": 3, "b": 3},
            },
            texttemplate="%{label} %{percentRoot:.1%}",
            hovertext=hovers,
            hovertemplate="%{hovertext}<extra></extra>",
            tiling={"pad": 1},
            pathbar={"thickness": 22},
            root={"color": theme.BOX},
            sort=False,
        )
    )
    figure.update_layout(
        template=theme.template("light"),
        height=560,
        margin={"l": 0, "r": 0, "t": 30, "b": 0},
    )
    return theme.fit_narrow(figure, 0)


def _hover(node: ModuleTime, time: float, total: float) -> str:
    lines = [
        f"<b>{plain(node.path or node.name)}</b>",
        plain(node.what),
        f"{show_time(time)}, {percent(time / total)} of the time",
        f"{show_macs(node.macs)}, {show_bytes(node.bytes)} moved, "
        f"{count(node.operators, 'operator')}",
    ]
    return "<br>".join(line for line in lines if line)
