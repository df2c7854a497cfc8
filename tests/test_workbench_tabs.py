"""The workbench's other tabs: worked numbers of the lesson and the papers, and the Python API."""

from __future__ import annotations

import pytest

import costmodel as cm
from costmodel.workbench.calculator import calculator_view
from costmodel.workbench.comparison import comparison_view
from costmodel.workbench.networks import network_graph
from costmodel.workbench.scaling import scaling_view
from costmodel.workbench.state import default_state, read_query


def test_the_calculator_has_the_worked_example() -> None:
    """3x3, 256 to 256 channels on 56x56, worked by hand."""
    view = calculator_view(read_query("batch=1").state)
    layers = {layer.name: layer for layer in view.layers}
    assert layers["standard"].macs == 9 * 256 * 256 * 56 * 56 == 1_849_688_064
    assert layers["depthwise"].macs == 9 * 256 * 56 * 56 == 7_225_344
    assert layers["depthwise separable"].macs == 7_225_344 + 256 * 256 * 56 * 56 == 212_746_240
    assert layers["PConv 1/4"].macs == 1_849_688_064 / 16
    assert layers["standard"].parameters == 589_824
    assert layers["depthwise separable"].parameters == 67_840
    # PATConv adds to PConv a mix of the other 192 channels' means and deviations.
    assert layers["PATConv 1/4"].macs == 1_849_688_064 / 16 + 192 * 192 * 2
    texts = view.table().texts()
    assert texts[0][:3] == ["standard", "1,849,688,064", "1x"]
    assert texts[2][2] == "8.69x"  # 9 * 256 / (9 + 256)


def test_the_calculators_times_are_those_of_the_operators() -> None:
    view = calculator_view(read_query("batch=4&device=t4&channels=64&size=28").state)
    from costmodel.tracing.builder import GraphBuilder

    builder = GraphBuilder("conv")
    x = builder.input((1, 64, 28, 28))
    graph = builder.graph(builder.conv2d(x, 64, kernel=3))
    assert view.standard.time == cm.estimate(graph, "t4", 4).latency


def test_compound_scaling_has_the_worked_example() -> None:
    """phi = 3 on 18 layers, 32 channels, 224 pixels: 31, 43 and 341 before rounding."""
    view = scaling_view(read_query("depth=18&width=32&phi=3").state)
    assert view.product == pytest.approx(1.2 * 1.1**2 * 1.15**2)
    ideal = view.chosen.ideal
    assert ideal["depth"] == pytest.approx(31.1, abs=0.05)
    assert ideal["width"] == pytest.approx(42.6, abs=0.05)
    assert ideal["resolution"] == pytest.approx(340.7, abs=0.05)
    assert view.chosen.changes == {"depth": 31, "width": 40, "resolution": 352}
    assert not view.chosen.clipped


def test_every_step_is_predicted_as_built() -> None:
    state = read_query("width=32&depth=8&phi=2&device=t4").state
    view = scaling_view(state)
    for step in (view.steps[0], view.chosen):
        graph = network_graph(state.changed(**step.changes))
        assert step.latency == cm.estimate(graph, "t4", 16).latency
    assert view.chosen == view.steps[2]
    assert view.steps[7].clipped


def test_the_comparison_is_the_api_on_every_device() -> None:
    state = default_state().changed(others=("t4", "epyc-73f3@1"), batch=4)
    graph = network_graph(state)
    view = comparison_view(state, graph)
    assert [e.device for e in view.estimates] == ["v100-sxm2", "t4", "epyc-73f3@1"]
    for found in view.estimates:
        assert found.latency == cm.estimate(graph, found.device, 4).latency
    assert view.table().rows[0][3] == 1
    assert view.table().rows[1][3] == view.estimates[0].latency / view.estimates[1].latency


def test_a_device_that_cannot_compute_it_is_named() -> None:
    state = default_state().changed(others=("edge-tpu",))
    view = comparison_view(state, network_graph(state))
    assert [e.device for e in view.estimates] == ["v100-sxm2"]
    assert len(view.problems) == 1
    assert "edge-tpu" in view.problems[0]


def test_the_devices_stand_side_by_side() -> None:
    state = default_state().changed(others=("t4",))
    table = comparison_view(state, network_graph(state)).devices()
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["dram bandwidth"] == ("900 GB/s", "320 GB/s")
