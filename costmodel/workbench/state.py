"""The state of the page: what every control holds, and its form as the query of a URL.

A state is a value. Two users with the same link see the same page, and nothing of either is kept
on the server. Text that makes no sense (a link from elsewhere, a half-typed number) never fails:
the default stands in, and a sentence says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from costmodel.errors import CostModelError
from costmodel.roofline.precision import PRECISIONS
from costmodel.workbench.tasks import DEFAULT_TASK, RATIOS, TASKS
from costmodel.workbench.values import Amount, Choice, Device, Devices, Digest, Steps, Value

TABS = {
    "design": "Design",
    "calculator": "FLOP calculator",
    "scaling": "Compound scaling",
    "devices": "Compare devices",
    "onnx": "ONNX file",
}

LONGEST_QUERY = 4000
"""Characters of a link that are read."""

COMMON: Mapping[str, Value] = {
    "tab": Choice(TABS, "design"),
    "task": Choice({name: task.title for name, task in TASKS.items()}, DEFAULT_TASK),
    "device": Device("v100-sxm2"),
    "others": Devices(("t4", "jetson-orin-nano", "epyc-73f3@1")),
    "precision": Choice({name: name for name in PRECISIONS}, "fp32"),
    "batch": Steps(1, 4096, 1, 16),
    "latency": Amount(0.001, 100_000, 10.0, optional=True),
    "memory": Amount(0.001, 10_000_000, None, optional=True),
    "kernel": Steps(1, 11, 2, 3),
    "channels": Steps(8, 1024, 8, 256),
    "size": Steps(4, 224, 4, 56),
    "part": Choice(RATIOS, "1/4"),
    "phi": Amount(0, 7, 1.0, 0.5),
    "alpha": Amount(1, 2, 1.2, 0.01),
    "beta": Amount(1, 2, 1.1, 0.01),
    "gamma": Amount(1, 2, 1.15, 0.01),
    "upload": Digest(),
}
"""The controls that are the same whatever the task."""


@dataclass(frozen=True)
class State:
    """What every control holds. Defaults are those of the default task."""

    tab: str
    task: str
    device: str
    """The device that is designed for, by its label."""
    others: tuple[str, ...]
    """Devices it is compared with."""
    precision: str
    batch: int
    latency: float | None
    """Budget in ms for one batch."""
    memory: float | None
    """Budget in MiB."""
    block: str
    depth: int
    """Blocks in all stages together."""
    width: int
    """Channels of the first stage; of every layer of a transformer."""
    resolution: int
    """Pixels of a side."""
    ratio: str
    """Share of the channels that a partial convolution works on."""
    expansion: str
    patch: str
    attention: str
    """How many query heads share a key and value head."""
    context: int
    """Tokens of a sequence, the new one among them."""
    kernel: int
    channels: int
    size: int
    part: str
    phi: float
    alpha: float
    beta: float
    gamma: float
    upload: str

    def to_query(self) -> str:
        """The query of its URL: what differs from the defaults, in the order of the controls."""
        specs = controls_of(self.task)
        changed = {
            name: _text(value)
            for name, value in self.values().items()
            if value != specs[name].default
        }
        return urlencode(changed, safe=",@/")

    def values(self) -> dict[str, Any]:
        """Every control's value by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def changed(self, **changes: Any) -> State:
        """The state after some controls were set to something else.

        Raises:
            UsageError: for a value that a control refuses.
        """
        values = {name: _text(value) for name, value in {**self.values(), **changes}.items()}
        specs = controls_of(values["task"])
        return State(**{name: specs[name].read(text) for name, text in values.items()})


class Reading(NamedTuple):
    """A state that was read, and what had to be left out."""

    state: State
    problems: tuple[str, ...]


def controls_of(task: str) -> Mapping[str, Value]:
    """What each control may hold for a task."""
    return {**COMMON, **TASKS[task].controls}


def read_query(query: str) -> Reading:
    """The state of a URL's query, with or without the leading question mark."""
    text = query.removeprefix("?")
    cut = ("the link was too long and cut off",) if len(text) > LONGEST_QUERY else ()
    pairs = parse_qsl(text[:LONGEST_QUERY], keep_blank_values=True)
    reading = read_values(dict(pairs))
    return Reading(reading.state, cut + reading.problems)


def read_values(values: Mapping[str, Any]) -> Reading:
    """The state of some controls' values, as text or as a form has them; the others' defaults."""
    given = {name: _text(value) for name, value in values.items()}
    problems = [f"no control is called {name[:40]!r}" for name in given if name not in _NAMES]
    task = given.get("task", DEFAULT_TASK)
    specs = controls_of(task if task in TASKS else DEFAULT_TASK)
    found = {}
    for name, spec in specs.items():
        found[name] = spec.default
        if name in given:
            try:
                found[name] = spec.read(given[name])
            except CostModelError as error:
                shown = f"{given[name][:40]!r}" if given[name] else "empty"
                stands = _text(spec.default) or "none"
                problems.append(f"{name} {shown}: {error}; {stands} stands in")
    return Reading(State(**found), tuple(problems))


def default_state(task: str = DEFAULT_TASK) -> State:
    """A fresh page of a task."""
    return read_values({"task": task}).state


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value)


_NAMES = frozenset(field.name for field in fields(State))
