"""The workbench's state: a value, its URL, and text that makes no sense."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.errors import UsageError
from costmodel.workbench.state import (
    LONGEST_QUERY,
    controls_of,
    default_state,
    read_query,
    read_values,
)
from costmodel.workbench.tasks import TASKS, stage_depths
from costmodel.workbench.values import Amount, Choice, Device, Devices, Digest, Steps, Value

DEVICES = ("v100-sxm2", "epyc-73f3@1", "t4", "jetson-orin-nano")


def values_of(spec: Value) -> st.SearchStrategy[Any]:
    match spec:
        case Steps():
            return st.sampled_from(spec.all)
        case Amount():
            numbers = st.floats(spec.low, spec.high).map(lambda x: float(f"{x:.6g}"))
            inside = numbers.filter(lambda x: spec.low <= x <= spec.high)
            return st.none() | inside if spec.optional else inside
        case Choice():
            return st.sampled_from(sorted(spec.labels))
        case Device():
            return st.sampled_from(DEVICES)
        case Devices():
            return st.lists(st.sampled_from(DEVICES), unique=True).map(tuple)
        case Digest():
            return st.sampled_from(["", "0f" * 32])
    raise AssertionError(spec)


@st.composite
def states(draw: st.DrawFn) -> Any:
    task = draw(st.sampled_from(sorted(TASKS)))
    held = {name: draw(values_of(spec)) for name, spec in controls_of(task).items()}
    return read_values({**held, "task": task})


@given(states())
def test_a_query_gives_the_state_back(reading: Any) -> None:
    assert reading.problems == ()
    again = read_query("?" + reading.state.to_query())
    assert again == reading


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_fresh_page_has_the_shortest_address(task: str) -> None:
    fresh = default_state(task)
    assert fresh.to_query() == ("" if task == "classification" else f"task={task}")


@given(st.text(max_size=300))
def test_any_query_gives_a_page(text: str) -> None:
    state, _ = read_query(text)
    assert read_query(state.to_query()).state == state


@given(st.dictionaries(st.sampled_from(sorted(controls_of("vit"))), st.text(max_size=60)))
def test_any_value_of_a_control_gives_a_page(values: dict[str, str]) -> None:
    state, problems = read_values(values)
    assert read_query(state.to_query()) == (state, ())
    assert all("\n" not in problem for problem in problems)


def test_what_is_left_out_is_said() -> None:
    state, problems = read_query("?width=97&depth=&colour=red&batch=1e9&latency=nan&task=poetry")
    assert (state.width, state.depth, state.batch, state.latency) == (96, 13, 16, 10)
    told = "\n".join(problems)
    for part in (
        "colour", "width '97': expected a whole number from 16 to 192 in steps of 8; 96 stands in",
        "depth empty", "batch '1e9'", "latency 'nan'", "task 'poetry'",
    ):  # fmt: skip
        assert part in told
    assert len(problems) == 6


def test_an_empty_budget_is_none_and_stays_so() -> None:
    state = read_query("latency=").state
    assert state.latency is None
    assert read_query(state.to_query()).state.latency is None


@pytest.mark.parametrize(
    "device",
    ["/etc/passwd", "../t4.yaml", "t4.yaml", "hardware_specs/t4.yaml", "t4@2", "epyc-73f3@999",
     "epyc-73f3@-1", "epyc-73f3@", "", "t4,t4"],
)  # fmt: skip
def test_a_link_names_devices_of_the_catalogue_only(device: str) -> None:
    state, problems = read_values({"device": device})
    assert state.device == "v100-sxm2"
    assert len(problems) == 1


def test_a_long_link_is_cut_and_says_so() -> None:
    _, problems = read_query("width=64&" + "x" * LONGEST_QUERY)
    assert "too long" in problems[0]


def test_a_value_that_a_control_refuses_cannot_be_set() -> None:
    with pytest.raises(UsageError, match="from 4 to 40"):
        default_state().changed(depth=41)


def test_stage_depths_are_fasternets_proportions() -> None:
    # The published depths of FasterNet-T0 to T2 are 1-2-8-2.
    assert stage_depths(13) == (1, 2, 8, 2)
    for blocks in range(4, 65):
        depths = stage_depths(blocks)
        assert sum(depths) == blocks
        assert min(depths) >= 1
