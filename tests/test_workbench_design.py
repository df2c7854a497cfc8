"""The workbench's numbers: those of the Python API for the network that the controls describe."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

import costmodel as cm
from costmodel.errors import UsageError
from costmodel.reports.text import show_bytes, show_macs, show_params, show_rate, show_time
from costmodel.workbench.blocks import block_times
from costmodel.workbench.design import design_view
from costmodel.workbench.networks import network_graph, parameters_of
from costmodel.workbench.scaling import scaling_view
from costmodel.workbench.state import State, default_state, read_query
from costmodel.workbench.tasks import TASKS
from costmodel.zoo.families import family

QUERIES = [
    "",
    "block=patconv&width=48&depth=17&batch=1&precision=fp16",
    "block=inverted&expansion=4&device=epyc-73f3@1&batch=2",
    "task=detection&block=separable&depth=7&width=32&resolution=320&batch=3",
    "task=segmentation&block=dwconv&depth=5&width=16&resolution=256",
    "task=vit&depth=3&width=192&patch=32&device=t4&precision=fp16",
    "task=llm&depth=5&width=1024&attention=mqa&context=8192&batch=8&precision=fp16",
    "task=llm&depth=4&width=2048&attention=mha&expansion=8/3&batch=1",
]


def traced(state: State) -> cm.Graph:
    """The graph of the whole module, built with the family's own parameters."""
    found, parameters = family(TASKS[state.task].family().name), parameters_of(state)
    with torch.device("meta"):
        model = found.build(**parameters)
    return cm.trace(model, *found.inputs(min(state.batch, 2), **parameters))


@pytest.mark.parametrize("query", QUERIES)
def test_a_joined_graph_is_the_traced_one(query: str) -> None:
    state = read_query(query).state
    joined, whole = network_graph(state), traced(state)
    assert [op.target for op in joined.ops] == [op.target for op in whole.ops]
    assert joined.op_names == whole.op_names
    assert joined.parameters == whole.parameters
    assert [s.shape for s in joined.outputs_of(joined.ops[-1])] == [
        s.shape for s in whole.outputs_of(whole.ops[-1])
    ]
    shown = design_view(state).estimate
    expected = cm.estimate(whole, state.device, state.batch, state.precision)
    assert shown.latency == expected.latency
    assert shown.peak_memory == expected.peak_memory
    assert shown.total == expected.total
    assert shown.time_by_bound == expected.time_by_bound


def test_the_cards_are_the_apis_numbers() -> None:
    state = read_query("batch=8&device=t4&precision=fp16&width=64").state
    expected = cm.estimate(traced(state), "t4", 8, "fp16")
    cards = {card.key: card for card in design_view(state).cards}
    assert cards["latency"].value == show_time(expected.latency)
    assert cards["bound"].value == expected.bound
    assert cards["throughput"].value == show_rate(expected.throughput)
    assert cards["memory"].value == show_bytes(expected.peak_memory)
    assert cards["parameters"].value == show_params(float(expected.total.parameters))
    assert cards["macs"].value == show_macs(float(expected.total.macs) / 8)


def test_the_fresh_page_is_fasternet_t2() -> None:
    # Published: 15.0 M parameters, 1.91 G multiply-accumulates with batch norm and pooling counted.
    total = design_view(default_state()).estimate.total
    assert float(total.parameters) == pytest.approx(14.98e6, rel=1e-3)
    assert float(total.macs) / 16 == pytest.approx(1.904e9, rel=1e-3)
    assert float(total.parameters) == cm.load_graph("zoo:fasternet_t2").parameters


def test_a_budget_shows_headroom_or_excess() -> None:
    state = default_state()
    latency = design_view(state).estimate.latency
    tight = design_view(state.changed(latency=latency * 1e3 / 2)).cards[0]
    assert tight.tone == "bad"
    assert "(2x)" in tight.detail
    assert tight.share == pytest.approx(2)
    roomy = design_view(state.changed(latency=latency * 1e3 * 4)).cards[0]
    assert roomy.tone == "good"
    assert "(75 %)" in roomy.detail
    free = design_view(state.changed(latency=None)).cards[0]
    assert (free.tone, free.share) == ("", None)


def test_time_by_block_adds_up_and_follows_the_network() -> None:
    view = design_view(default_state())
    found = block_times(view.estimate)
    assert sum(block.total for block in found) == pytest.approx(view.estimate.latency)
    # Stem, 1-2-8-2 blocks with a merge before each later stage, classifier.
    assert len(found) == 1 + 1 + (1 + 2) + (1 + 8) + (1 + 2) + 1
    assert (found[0].path, found[-1].path) == ("stem", "classifier")


def test_a_precision_that_a_device_lacks_is_one_clear_error() -> None:
    state = default_state().changed(device="edge-tpu")
    with pytest.raises(UsageError, match="edge-tpu"):
        design_view(state)


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_tasks_share_a_backbone(task: str) -> None:
    state = read_query(f"task={task}&resolution=384&width=32&depth=4&batch=1").state
    backbone = network_graph(read_query(f"{state.to_query()}&task=detection").state)
    assert network_graph(state).op_names[: len(backbone.ops)] == backbone.op_names


def test_the_segmenter_scores_every_pixel() -> None:
    graph = network_graph(read_query("task=segmentation&width=16&depth=4&resolution=256").state)
    assert graph.tensors[graph.outputs[0]].shape == (2, 21, 256, 256)
    # Its head by hand: 3x3 from 128 to 32, batch norm of 32, 1x1 to 21 classes with bias.
    backbone = network_graph(read_query("task=detection&width=16&depth=4&resolution=320").state)
    assert graph.parameters - backbone.parameters == 9 * 128 * 32 + 2 * 32 + 32 * 21 + 21


def test_tokens_are_told_as_such_and_pay_for_their_cache() -> None:
    state = read_query("task=llm&batch=8&precision=fp16&device=h100-sxm5").state
    cards = {card.key: card for card in design_view(state).cards}
    told = [cards[key].label for key in ("throughput", "macs", "energy")]
    assert told == ["Tokens per second", "Per token", "Energy per token"]
    assert "image" not in " ".join(f"{card.label} {card.detail}" for card in cards.values())

    def memory(**changes: Any) -> float:
        return design_view(state.changed(**changes)).estimate.peak_memory

    # 16 blocks with keys and values of 2 bytes; 16 query heads of 128 channels share 4, 2 or 1.
    token = 8 * 16 * 2 * 4 * 128 * 2
    assert memory(context=8192) - memory(context=4096) == 4096 * token
    layer = 16 * (2048 * 4 * 128) * 2 * 2  # of weights, and of that in fp16
    assert memory(attention="gqa4") - memory(attention="gqa8") == pytest.approx(
        4096 * token / 2 + layer / 2, rel=1e-3
    )


def test_a_language_model_scales_without_a_resolution() -> None:
    view = scaling_view(read_query("task=llm&batch=1&alpha=2&beta=2&gamma=2&depth=8").state)
    step = view.step(1.0)
    assert step.changes == {"depth": 16, "width": 4096}
    assert not step.clipped
    assert view.product == 2 * 2**2
    assert "α · β² = 8," in view.headline


def test_the_partial_ratio_reaches_the_convolutions() -> None:
    def pconv_macs(ratio: str) -> float:
        view = design_view(default_state().changed(ratio=ratio))
        return sum(
            o.macs for o in view.estimate.operators if ".pconv" in o.name or "mixer" in o.name
        )

    assert pconv_macs("1/4") > 0
    share = Fraction(1, 4) / Fraction(1, 2)
    assert pconv_macs("1/4") == pytest.approx(float(share**2) * pconv_macs("1/2"))


def test_several_users_do_not_share_state() -> None:
    """Eight threads asking for different pages at once get what each would get alone."""
    from concurrent.futures import ThreadPoolExecutor

    states = [
        default_state().changed(width=width, depth=depth, device=device)
        for width in (24, 40)
        for depth in (5, 9)
        for device in ("t4", "v100-sxm2")
    ]

    def numbers(state: State) -> Any:
        view = design_view(state)
        return view.estimate.latency, view.estimate.peak_memory, view.cards

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(numbers, states * 3))
    alone = [numbers(state) for state in states]
    assert together == alone * 3
    assert len(set(alone)) == len(alone)
    for state, (latency, _, _) in zip(states, alone, strict=True):
        assert latency == cm.estimate(traced(state), state.device, 16).latency
