"""Models built without filling their weights are the models, only without the filling."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from costmodel.tracing.building import WeightsLeftEmpty  # noqa: E402
from costmodel.tracing.source import load_source  # noqa: E402


def test_writes_into_tensors_without_memory_are_left_out():
    weight = torch.empty(3, 4, device="meta")
    with WeightsLeftEmpty():
        for fill in (nn.init.trunc_normal_, nn.init.kaiming_uniform_, nn.init.zeros_):
            assert fill(weight) is weight
        assert weight.mul_(torch.ones(7, device="meta")) is weight  # not even looked at


def test_tensors_with_values_are_filled():
    weight = torch.full((3, 4), 7.0)
    with WeightsLeftEmpty():
        nn.init.zeros_(weight)
        weight.add_(2)
    assert (weight == 2).all()


def test_models_have_the_same_weights_as_when_they_are_filled():
    timm = pytest.importorskip("timm", reason="needs the zoo extra")
    for name in ("convnext_atto", "swin_tiny_patch4_window7_224", "levit_128s"):
        with torch.device("meta"):
            filled = timm.create_model(name)
        left = load_source(f"timm:{name}").model
        expected = {key: (tuple(t.shape), t.dtype) for key, t in filled.state_dict().items()}
        found = {key: (tuple(t.shape), t.dtype) for key, t in left.state_dict().items()}
        assert found == expected
        assert all(t.is_meta for t in left.state_dict().values())
