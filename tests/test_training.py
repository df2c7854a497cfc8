"""Training steps: operators, phases and costs, by hand and against the framework's counter."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import costmodel as cm
from costmodel.errors import TraceError, UnknownNameError, UsageError
from costmodel.formulas.columns import columns_of
from costmodel.tracing.checkpointing import repeated_blocks
from costmodel.tracing.training_step import OPTIMIZERS, TrainingStep, step_of


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + F.relu(self.norm(self.conv(x)))


class Small(nn.Module):
    """A stem, two blocks and a head: convolution, norm, residual, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return y


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, tokens, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, tokens, 3, 2, 8).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        z: torch.Tensor = self.out(y.transpose(1, 2).reshape(n, tokens, 16).mean(1))
        return z


SHAPE = (4, 3, 6, 6)


@pytest.fixture(scope="module")
def step() -> cm.Graph:
    return cm.trace_training_step(Small(), SHAPE)


def macs_by_phase(graph: cm.Graph) -> dict[str, float]:
    columns = columns_of(graph)
    macs = columns.evaluate().cost.macs
    totals: Counter[str] = Counter()
    for op, row in zip(graph.ops, columns.row_of_op, strict=True):
        if row >= 0:
            totals[op.phase] += float(macs[row])
    return dict(totals)


def targets(graph: cm.Graph, phase: str) -> Counter[str]:
    return Counter(op.target for op in graph.ops if op.phase == phase and not op.is_view)


def test_backward_takes_twice_the_forward_less_the_first_input_gradient(step: cm.Graph) -> None:
    """Stem 4 x 36 x 9 x 3 x 8, blocks 4 x 36 x 9 x 8 x 8 each, head 4 x 8 x 10."""
    stem, block, head = 4 * 36 * 9 * 3 * 8, 4 * 36 * 9 * 8 * 8, 4 * 8 * 10
    macs = macs_by_phase(step)
    assert macs["forward"] == stem + 2 * block + head
    assert macs["backward"] == 2 * macs["forward"] - stem
    assert macs["optimizer"] == 0


@pytest.mark.parametrize("module", [Small, Attending])
def test_multiply_accumulates_agree_with_the_frameworks_counter(module: type[nn.Module]) -> None:
    shape = SHAPE if module is Small else (4, 6, 16)
    graph = cm.trace_training_step(module(), shape)
    model = module()
    with FlopCounterMode(display=False) as counter:
        y = model(torch.randn(shape))
        F.cross_entropy(y, torch.zeros(4, dtype=torch.int64)).backward()
    total = sum(macs_by_phase(graph).values())
    # The counter's attention on the CPU is the fused kernel's, as ours.
    assert 2 * total == counter.get_total_flops()


def test_every_operator_of_a_step_is_covered(step: cm.Graph) -> None:
    columns_of(step).require_coverage()


def test_backward_operators_know_their_module(step: cm.Graph) -> None:
    homes = {
        (op.target, op.module)
        for op in step.ops
        if op.phase == "backward" and "convolution" in op.target
    }
    assert homes == {
        ("aten::convolution_backward", name) for name in ("stem", "blocks.0.conv", "blocks.1.conv")
    }
    products = {op.module for op in step.ops if op.phase == "backward" and op.target == "aten::mm"}
    assert products == {"head"}


def test_each_gradient_of_a_convolution_is_an_operator(step: cm.Graph) -> None:
    """Input and weights for two blocks; weights and bias for the stem, whose input is data."""
    masks = Counter(
        tuple(op.attrs["output_mask"])
        for op in step.ops
        if op.target == "aten::convolution_backward"
    )
    alone = [(True, False, False), (False, True, False), (False, False, True)]
    assert [masks[mask] for mask in alone] == [2, 3, 1]
    assert sum(masks.values()) == 6


def test_what_follows_the_batch_is_told_apart(step: cm.Graph) -> None:
    """Values of gradients and statistics depend on the input; their sizes do not grow with it."""
    by_shape = {spec.shape: spec.batched for spec in step.tensors if spec.kind == "activation"}
    assert by_shape[(4, 8, 6, 6)]
    assert by_shape[(4, 10)]
    assert not by_shape[(8, 8, 3, 3)]
    assert not by_shape[(10, 8)]
    assert not by_shape[()]
    twice = cm.trace_training_step(Small(), (8, *SHAPE[1:]))
    scaled, traced = (
        cm.estimate(graph, "v100-sxm2", batch=8, without=["all"]) for graph in (step, twice)
    )
    assert scaled.total.bytes == traced.total.bytes
    assert scaled.total.flops == traced.total.flops
    assert scaled.peak_memory == traced.peak_memory


PARAMETERS = sum(p.numel() for p in Small().parameters())
TENSORS = len(list(Small().parameters()))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimiser_state_by_hand(name: str) -> None:
    """None, one momentum, or two moments per parameter; the step counter is on the host."""
    graph = cm.trace_training_step(Small(), SHAPE, step=TrainingStep(name))
    moments = {"sgd": 0, "sgd-momentum": 1, "sgd-nesterov": 1, "adam": 2, "adamw": 2}[name]
    assert cm.estimate(graph, "v100-sxm2").memory.optimizer_state == 4 * moments * PARAMETERS
    assert targets(graph, "optimizer")


@pytest.mark.parametrize(
    ("implementation", "expected"),
    [
        ("fused", {"aten::_fused_adamw": 1, "aten::_foreach_add": 1}),
        ("foreach", {"aten::_foreach_lerp": 1, "aten::_foreach_addcdiv": 1}),
        ("for-loop", {"aten::lerp": TENSORS, "aten::addcdiv": TENSORS}),
    ],
)
def test_implementations_of_an_optimiser(implementation: str, expected: dict[str, int]) -> None:
    graph = cm.trace_training_step(Small(), SHAPE, step=TrainingStep("adamw", implementation))
    found = targets(graph, "optimizer")
    assert {name: found[name] for name in expected} == expected
    columns = columns_of(graph)
    columns.require_coverage()
    written = columns.evaluate().cost.bytes_written
    rows = {
        int(columns.row_of_op[i])
        for i, op in enumerate(graph.ops)
        if op.target == "aten::_fused_adamw"
    }
    for row in rows:  # parameters and two moments
        assert written[row] == 3 * 4 * PARAMETERS


def test_gradients_that_exist_are_added_to(step: cm.Graph) -> None:
    kept = cm.trace_training_step(Small(), SHAPE, step=TrainingStep(accumulate=True))
    assert targets(kept, "backward")["aten::add"] == (
        targets(step, "backward")["aten::add"] + TENSORS
    )
    assert cm.estimate(kept, "v100-sxm2").memory.gradients >= 4 * PARAMETERS


def test_no_optimiser_leaves_forward_and_backward() -> None:
    graph = cm.trace_training_step(Small(), SHAPE, step=TrainingStep(None))
    assert {op.phase for op in graph.ops} == {"forward", "backward"}


def test_autocast_trains_in_half_precision() -> None:
    graph = cm.trace_training_step(Small(), SHAPE, autocast="float16")
    tensors = graph.tensors
    for op in graph.ops:
        if op.target in ("aten::convolution", "aten::convolution_backward"):
            assert {tensors[i].dtype for i in op.inputs if i is not None} == {"float16"}
    gradients = [tensors[i] for i in graph.outputs[1:]]
    assert len(gradients) == TENSORS
    assert {spec.dtype for spec in gradients} == {"float32"}


def test_attention_has_one_operator_each_way() -> None:
    graph = cm.trace_training_step(Attending(), (4, 6, 16), autocast="float16")
    assert targets(graph, "forward")["aten::scaled_dot_product_attention"] == 1
    assert targets(graph, "backward")["aten::_scaled_dot_product_flash_attention_backward"] == 1
    copies = [op for op in graph.ops if op.target == "aten::clone" and op.phase == "forward"]
    assert not copies, "the fused kernel stores heads side by side"


class Halves(nn.Module):
    """A convolution, a group norm, and a convolution of half of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.second = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(self.norm(self.first(x))[:, :4]).mean((2, 3))
        return y


@pytest.mark.parametrize("autocast", [None, "float16"])
def test_a_channels_last_step_copies_where_the_gpu_has_no_kernel(autocast: str | None) -> None:
    """Once to contiguous for the group norm, once back for the convolution of a slice."""

    def copies(graph: cm.Graph) -> list[tuple[str, tuple[int, ...] | None]]:
        written = [(op, graph.tensors[op.outputs[0]]) for op in graph.ops]
        return [(y.dtype, y.strides) for op, y in written if op.target == "aten::clone"]

    shape, half = (2, 8, 6, 6), (6 * 6 * 4, 1, 6 * 4, 4)
    step = cm.trace_training_step(Halves(), shape, autocast=autocast, layout="nhwc")
    dtypes = [autocast or "float32"] * 2
    assert copies(step) == list(zip(dtypes, [None, half], strict=True))
    inference = cm.trace(Halves(), shape, autocast=autocast, layout="nhwc")
    assert copies(inference) == copies(step)
    for elsewhere in ({"layout": "nchw"}, {"layout": "nhwc", "device_type": "cpu"}):
        assert copies(cm.trace_training_step(Halves(), shape, autocast=autocast, **elsewhere)) == []


class Tokens(nn.Module):
    """Tokens taken as an image, convolved, and taken as tokens again without a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 8)
        self.reduce = nn.Conv2d(8, 8, 2, stride=2)
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[0]
        image = self.embed(x).permute(0, 2, 1).reshape(n, 8, 6, 6)
        tokens = self.reduce(image).view(n, 8, 9).permute(0, 2, 1)
        y: torch.Tensor = self.head(F.gelu(tokens).view(n * 9, 8)).view(n, 9, 10).mean(1)
        return y


@pytest.mark.parametrize("autocast", [None, "float16"])
def test_views_of_a_convolution_of_tokens(autocast: str | None) -> None:
    """Views that only its channels-last result allows; work by the framework's counter."""
    graph = cm.trace_training_step(Tokens(), (4, 36, 5), autocast=autocast)
    with FlopCounterMode(display=False) as counter:
        y = Tokens()(torch.randn(4, 36, 5))
        F.cross_entropy(y, torch.zeros(4, dtype=torch.int64)).backward()
    assert 2 * sum(macs_by_phase(graph).values()) == counter.get_total_flops()
    copied = {op.target for op in graph.ops if op.phase == "forward"} & {"aten::clone"}
    assert not copied


def test_convolutions_of_channels_last_images_give_such() -> None:
    """As in a real run on the CPU."""
    model = Small().to(memory_format=torch.channels_last)
    names = {module: name for name, module in model.named_modules()}
    seen: dict[str, tuple[int, ...]] = {}

    def look(module: nn.Module, _: object, y: torch.Tensor) -> None:
        seen[names[module]] = y.stride()

    for module in names:
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(look)
    model(torch.randn(SHAPE).to(memory_format=torch.channels_last))
    graph = cm.trace_training_step(Small(), SHAPE, layout="nhwc")
    results = {
        op.module: graph.tensors[op.outputs[0]].strides
        for op in graph.ops
        if op.target == "aten::convolution"
    }
    assert len(seen) == 3
    assert results == seen


def test_a_groups_gradient_flows_through_its_copies() -> None:
    """The weights before the copies are trained: first convolution 8 x 8 x 9 each way."""
    step = cm.trace_training_step(Halves(), (2, 8, 6, 6), layout="nhwc")
    macs = macs_by_phase(step)
    first, half = 2 * 36 * 8 * 8 * 9, 2 * 36 * 4 * 4 * 9
    assert macs["forward"] == first + half
    assert macs["backward"] == first + 2 * half


# ----------------------------------------------------------------------- checkpointing


def test_repeated_blocks_are_the_members_of_the_outermost_lists() -> None:
    assert repeated_blocks(Small()) == ["blocks.0", "blocks.1"]
    stages = nn.Sequential(nn.Sequential(Block(8), Block(8)), nn.Sequential(Block(8), Block(8)))
    assert repeated_blocks(stages) == ["0.0", "0.1", "1.0", "1.1"]
    assert repeated_blocks(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))) == []


def test_checkpointing_runs_blocks_again_and_keeps_less(step: cm.Graph) -> None:
    again = cm.trace_training_step(Small(), SHAPE, step=TrainingStep(checkpointing=True))
    macs, plain = macs_by_phase(again), macs_by_phase(step)
    assert macs["recompute"] == 2 * 4 * 36 * 9 * 8 * 8
    assert {k: v for k, v in macs.items() if k != "recompute"} == plain
    assert {op.module.split(".")[0] for op in again.ops if op.phase == "recompute"} == {"blocks"}
    full, less = (cm.estimate(g, "v100-sxm2", batch=64) for g in (step, again))
    assert less.memory.activations < full.memory.activations
    assert less.time_by_phase["recompute"] > 0


def test_checkpointing_needs_blocks() -> None:
    with pytest.raises(UsageError, match="no repeated blocks"):
        cm.trace_training_step(nn.Linear(4, 2), (2, 4), step=TrainingStep(checkpointing=True))


# ----------------------------------------------------------------------------- errors


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="adamw"):
        TrainingStep("adamv")
    with pytest.raises(UsageError, match="for-loop"):
        TrainingStep(implementation="loop")
    with pytest.raises(UsageError, match="infer or train"):
        step_of("both", {})
    with pytest.raises(UsageError, match="optimizer"):
        step_of("infer", {"optimizer": "adam"})


def test_a_model_without_parameters_has_nothing_to_train() -> None:
    with pytest.raises(TraceError, match="no trainable parameter"):
        cm.trace_training_step(nn.ReLU(), (2, 4))


def test_a_failing_model_names_the_shapes() -> None:
    with pytest.raises(TraceError, match=r"\(2, 5\)"):
        cm.trace_training_step(nn.Linear(4, 2), (2, 5))


def test_a_graph_of_a_step_survives_json(step: cm.Graph) -> None:
    read = cm.Graph.from_json(step.to_json())
    assert [op.phase for op in read.ops] == [op.phase for op in step.ops]
    assert read.tensors == step.tensors
