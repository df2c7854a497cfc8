"""A state as files: the design for `predict`, its operators as a table, its network as code.

Each is a link that holds the whole state, so that it can be kept, sent on, or fetched by a script.
"""

from __future__ import annotations

from typing import Any

from costmodel.errors import CostModelError
from costmodel.reports.model.prediction import slowest_operators
from costmodel.workbench.design import design_view
from costmodel.workbench.networks import parameters_of
from costmodel.workbench.state import State, read_query
from costmodel.workbench.tasks import TASKS


def design_yaml(state: State) -> str:
    """A file that every command takes for a model: `costmodel predict design.yaml -d ...`."""
    from costmodel.zoo.families import design_text

    note = f"{TASKS[state.task].title}; workbench?{state.to_query()}"
    return design_text(TASKS[state.task].family(), parameters_of(state), note)


def operators_csv(state: State) -> str:
    """All operators of the network on the device, slowest first; SI units in the header."""
    found = design_view(state).estimate
    return slowest_operators(found, len(found.operators)).to_csv()


def network_code(state: State) -> str:
    """A file of PyTorch code that builds the network and needs nothing else."""
    from costmodel.zoo.families import pytorch_code

    family = TASKS[state.task].family()
    return pytorch_code(family, parameters_of(state), f"Designed for {state.device}.")


FILES = {
    "design.yaml": (design_yaml, "application/yaml"),
    "design.csv": (operators_csv, "text/csv"),
    "design.py": (network_code, "text/x-python"),
}
"""What can be downloaded: how it is written, and its media type."""


def add_exports(server: Any) -> None:
    """Answer `/export/NAME?STATE` on a Flask application."""
    from flask import Response, request

    def export(name: str) -> Any:
        if name not in FILES:
            return Response(f"there is no {name[:40]}; expected {', '.join(FILES)}\n", 404)
        write, media = FILES[name]
        try:
            text = write(read_query(request.query_string.decode("utf-8", "replace")).state)
        except CostModelError as error:
            return Response(f"{error}\n", 400, mimetype="text/plain")
        headers = {"Content-Disposition": f"attachment; filename={name}"}
        return Response(text, mimetype=media, headers=headers)

    server.add_url_rule("/export/<name>", "export", export)
