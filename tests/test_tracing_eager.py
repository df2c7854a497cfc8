"""The eager tracer against the framework itself: shapes, MACs, parameters, paths, aliasing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from costmodel import trace, zoo
from costmodel.errors import TraceError
from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph
from costmodel.tracing.recorder import Recorder, tensors_in
from costmodel.tracing.tape import Tape


def total_macs(graph: Graph) -> float:
    columns = columns_of(graph)
    return float(columns.evaluate().cost.macs @ columns.counts)


def on_meta(build) -> nn.Module:
    with torch.device("meta"):
        return build().eval()


def trace_without_rules(model: nn.Module, x: torch.Tensor) -> Graph:
    """Recorded by the dispatcher alone: every shape comes from the framework's meta kernels."""
    tape = Tape(model)
    with torch.no_grad(), tape.paths.following(), Recorder(tape):
        result = model(x)
    return tape.to_graph("plain", [x], tensors_in(result), batch=x.shape[0])


TIMM = [
    "resnet18", "mobilenetv3_small_100", "efficientnet_b0", "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224", "convnext_atto", "poolformer_s12", "regnetx_002",
    "mobilevit_xxs", "ghostnet_050", "mixer_s32_224", "densenet121",
]  # fmt: skip


def timm_model(name: str) -> tuple[nn.Module, torch.Tensor]:
    timm = pytest.importorskip("timm", reason="needs the zoo extra")
    model = on_meta(lambda: timm.create_model(name))
    size = model.pretrained_cfg["input_size"]
    return model, torch.empty((2, *size), device="meta")


@pytest.mark.parametrize("name", ["fasternet_t0", "fasternet_s"])
def test_zoo_macs_equal_torchs_counter(name: str) -> None:
    model = on_meta(lambda: zoo.create(name))
    x = torch.empty((2, 3, 224, 224), device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert total_macs(trace(model, x)) == counter.get_total_flops() / 2


@pytest.mark.parametrize("name", TIMM)
def test_macs_and_parameters_equal_torchs(name: str) -> None:
    model, x = timm_model(name)
    graph = trace(model, x)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert total_macs(graph) == counter.get_total_flops() / 2
    assert graph.parameters == sum(p.numel() for p in model.parameters())
    assert not columns_of(graph).uncovered.any()


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "convnext_atto",
                                  "swin_tiny_patch4_window7_224", "mobilevit_xxs"])  # fmt: skip
def test_shape_rules_equal_the_frameworks_kernels(name: str) -> None:
    """The same results at every module: shape, strides and dtype, with and without the rules."""
    model, x = timm_model(name)
    recorded: list[list[tuple[str, tuple[int, ...], tuple[int, ...], torch.dtype]]] = [[], []]
    for run in (0, 1):
        hooks = [
            module.register_forward_hook(
                lambda m, _, out, path=path, run=run: recorded[run].extend(
                    (path, tuple(t.shape), t.stride(), t.dtype) for t in tensors_in(out)
                )
            )
            for path, module in model.named_modules()
        ]
        if run == 0:
            trace(model, x)
        else:
            with torch.no_grad():
                model(x)
        for hook in hooks:
            hook.remove()
    assert recorded[0] == recorded[1]
    assert len(recorded[0]) > 20


def test_rules_and_dispatcher_agree_on_the_operators() -> None:
    model = on_meta(lambda: zoo.create("fasternet_t0"))
    x = torch.empty((2, 3, 64, 64), device="meta")
    with_rules, without = trace(model, x), trace_without_rules(model, x)
    assert total_macs(with_rules) == total_macs(without)

    def storages(graph: Graph) -> int:
        # A norm in the dispatcher also returns its statistics, which inference leaves empty.
        return len({graph.tensors[op.outputs[0]].storage for op in graph.ops if not op.is_view})

    assert storages(with_rules) == storages(without)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(8, 8))
        self.second = nn.Sequential(self.first[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)) + F.linear(x, self.first[0].weight)


def test_shared_modules_keep_their_path_and_count_once() -> None:
    graph = trace(Shared(), (3, 8))
    linear = [op.module for op in graph.ops if op.target == "aten::linear"]
    assert linear == ["first.0", "second.0", ""]
    assert graph.parameters == 8 * 8 + 8
    assert total_macs(graph) == 3 * (3 * 8 * 8)


class Attention(nn.Module):
    def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, k, is_causal=True)


def test_attention_is_one_operator_and_causal_is_halved() -> None:
    graph = trace(Attention(), (2, 4, 10, 16), (2, 4, 10, 16))
    (op,) = graph.ops
    assert op.target == "aten::scaled_dot_product_attention"
    visible = sum(i + 1 for i in range(10))
    assert total_macs(graph) == 2 * 4 * visible * (16 + 16)


class WriteSlice(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[:, :1] = y[:, :1] * 2
        return y + 1


def test_a_write_through_a_view_reaches_later_readers() -> None:
    graph = trace(WriteSlice(), (2, 4))
    network = graph.to_networkx()
    targets = [op.target for op in graph.ops]
    assert "aten::alias" in targets, "the reader joins what was and what was written"
    import networkx

    assert networkx.has_path(network, targets.index("aten::copy"), targets.index("aten::add"))
    assert networkx.has_path(network, targets.index("aten::clone"), targets.index("aten::add"))


class Looks(nn.Module):
    """Its Python branches on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) if x.sum().item() == 0 else x


def test_a_model_that_looks_at_values_runs_on_the_last_rung() -> None:
    graph = trace(Looks(), (2, 4))
    assert graph.rung == "cpu"
    assert total_macs(graph) == 2 * 4 * 4


def test_a_failing_forward_is_one_clear_error() -> None:
    model = on_meta(lambda: zoo.create("fasternet_t0"))
    with pytest.raises(TraceError) as error:
        trace(model, (1, 5, 64, 64))
    assert "(1, 5, 64, 64)" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    model[1].eval()
    before = [m.training for m in model.modules()]
    weights = model[0].weight.clone()
    graph = trace(model, (2, 3, 8, 8))
    assert [m.training for m in model.modules()] == before
    assert torch.equal(model[0].weight, weights)
    assert not model[0].weight.is_meta
    assert [op.target for op in graph.ops] == ["aten::convolution", "aten::batch_norm"]


def test_nothing_is_allocated() -> None:
    """A 4 TB layer, traced."""
    model = on_meta(lambda: nn.Linear(1_000_000, 1_000_000))
    graph = trace(model, (1, 1_000_000))
    assert graph.parameters == 10**12 + 10**6


def test_autocast_traces_casts_as_operators() -> None:
    model = on_meta(lambda: nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)))
    graph = trace(model, (2, 8), autocast="float16")
    dtypes = [(op.target, graph.tensors[op.outputs[0]].dtype) for op in graph.ops if not op.is_view]
    assert ("aten::native_layer_norm", "float32") in dtypes, "autocast runs norms in float32"
    assert ("aten::addmm", "float16") in dtypes
    casts = [d for t, d in dtypes if t == "aten::_to_copy"]
    # input and two weights and biases to float16, the norm's input up, its output down
    assert casts.count("float16") == 6
    assert casts.count("float32") == 1


def test_layout_shows_in_the_strides() -> None:
    model = on_meta(lambda: nn.Conv2d(8, 16, 3, padding=1))
    graph = trace(model, (2, 8, 6, 6), layout="nhwc")
    (op,) = (op for op in graph.ops if op.target == "aten::convolution")
    assert graph.tensors[op.outputs[0]].strides == (6 * 6 * 16, 1, 6 * 16, 16)


def copies(model: nn.Module, *shape: int) -> list[tuple[int, ...] | None]:
    """Strides of what every copy of a channels-last run on a GPU writes; None: contiguous."""
    graph = trace(model, shape, layout="nhwc")
    return [graph.tensors[op.outputs[0]].strides for op in graph.ops if op.target == "aten::clone"]


def test_group_norm_leaves_channels_last_and_the_next_convolution_comes_back() -> None:
    """The GPU's group norm reads and writes NCHW alone."""
    convolutions = [on_meta(lambda: nn.Conv2d(8, 8, 3, padding=1)) for _ in range(2)]
    norm = on_meta(lambda: nn.GroupNorm(2, 8))
    model = nn.Sequential(convolutions[0], norm, convolutions[1])
    assert copies(model, 2, 8, 6, 6) == [None, (6 * 6 * 8, 1, 6 * 8, 8)]
    assert copies(nn.Sequential(*convolutions), 2, 8, 6, 6) == []


def test_a_channels_last_convolution_copies_a_slice_of_channels() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.convolution(x[:, :4])

    assert copies(on_meta(Half), 2, 8, 6, 6) == [(6 * 6 * 4, 1, 6 * 4, 4)]


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_batch_scales_without_tracing_again(name: str) -> None:
    """A graph traced at batch 2 and evaluated at 16 costs what a trace at 16 costs."""
    model, x = timm_model(name)
    small = columns_of(trace(model, x))
    large = columns_of(trace(model, torch.empty((16, *x.shape[1:]), device="meta")))
    scaled, traced = small.evaluate(16).cost, large.evaluate().cost
    for field in ("macs", "other_flops", "bytes_read", "bytes_written", "parameters"):
        ours = getattr(scaled, field) @ small.counts
        assert ours == pytest.approx(getattr(traced, field) @ large.counts, rel=1e-12), field
