"""One training step as a graph: forward, loss, backward and optimiser, every operator of them.

    graph = trace_training_step(model, (32, 3, 224, 224), step=TrainingStep("adamw"))

Nothing is computed and no device is needed. The forward runs on fake tensors of the device type,
under its real autocast policy; its calls are repeated on meta tensors under autograd, and the
framework's own optimiser takes its second step, when its state exists. Operators carry their
phase, and those of the backward pass the path of the module whose forward they undo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from costmodel.errors import TraceError, UsageError
from costmodel.graph import Graph
from costmodel.tracing.checkpointing import run_checkpointed
from costmodel.tracing.detection import is_detector
from costmodel.tracing.device_kernels import DeviceKernels
from costmodel.tracing.device_typed import autocasting, fake_copy
from costmodel.tracing.modules import ModulePaths
from costmodel.tracing.recorder import tensors_in
from costmodel.tracing.tape import Tape, Weight
from costmodel.tracing.training_attention import RECORDER
from costmodel.tracing.training_forward import CallRecorder, Replay
from costmodel.tracing.training_graph import batched_sizes, reused_memory, split_gradients
from costmodel.tracing.training_optimizer import make_optimizer
from costmodel.tracing.training_recorder import TrainingRecorder
from costmodel.tracing.training_step import TrainingStep
from costmodel.tracing.training_values import TrainingValues

Loss = Callable[[Any], Tensor]
"""From what the model returns to a number."""


def trace_training_step(
    model: nn.Module,
    *inputs: Any,
    name: str | None = None,
    step: TrainingStep | None = None,
    loss: Loss | None = None,
    autocast: str | None = None,
    layout: str = "nchw",
    device_type: str = "cuda",
    **keyword_inputs: Any,
) -> Graph:
    """Trace one training step.

    Args:
        model: any module, on any device; weights need not exist. It is left as it was.
        inputs: example inputs; a tuple of ints is the shape of a float32 tensor. The first
            dimension of the first tensor is the batch.
        name: of the graph, by default the class name.
        step: optimiser and options, by default AdamW as the framework runs it.
        loss: from what the model returns to the loss; by default `default_loss`.
        autocast: "float16" or "bfloat16" to run the forward under the framework's autocast.
        layout: "nhwc" to store images channels-last.
        device_type: whose autocast policy and operators apply, "cuda" or "cpu".

    Raises:
        TraceError: if forward or backward fails, with the place in the model and the shapes; for
            a detector of torchvision.
        UsageError: for settings that make no sense, or checkpointing of a model without blocks.
    """
    from costmodel.tracing.eager import _as_input, _describe

    if autocast not in (None, "float16", "bfloat16") or layout not in ("nchw", "nhwc"):
        raise UsageError(
            f"autocast {autocast!r}, layout {layout!r}: expected float16 or bfloat16, and nchw or "
            "nhwc"
        )
    args = tuple(_as_input(value) for value in inputs)
    kwargs = {key: _as_input(value) for key, value in keyword_inputs.items()}
    tensors = tensors_in((args, kwargs))
    batch = int(tensors[0].shape[0]) if tensors and tensors[0].dim() else 1
    title = name or type(model).__name__
    if is_detector(model):
        raise TraceError(
            f"{title}: the training step of a detector is not traced, since which boxes its loss "
            "compares depends on values; trace its inference, or the training of its backbone"
        )

    run = _Run(step or TrainingStep(), loss or default_loss, autocast, layout, device_type)

    def traced(size: int) -> Graph:
        return run.trace(model, _resized((args, kwargs), batch, size), title, size)

    try:
        graph = batched_sizes(traced(batch), traced(2 * batch))
    except (UsageError, TraceError):
        raise
    except Exception as error:  # whatever the user's model raises
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors) or "no tensors"
        raise TraceError(
            f"{title}: training step failed with inputs {shapes}: {_describe(error)}"
        ) from error
    return split_gradients(reused_memory(graph))


def default_loss(result: Any) -> Tensor:
    """The loss a model returns, or else the cross entropy of its first result.

    A result of (samples, classes), (samples, positions, classes) or (samples, classes, height,
    width); of anything else, of a single channel, and of named results without logits, the mean.
    A list of results of one shape is one answer refined again and again, as in optical flow: their
    losses are added.
    """
    named = result if isinstance(result, Mapping) else {}
    stated = named.get("loss")
    if isinstance(stated, Tensor):
        return stated
    found = [t for t in tensors_in(result) if t.dtype.is_floating_point]
    if not found:
        raise TraceError("the model returned no floating-point tensor to derive a loss from")
    if named and all(t.dim() == 0 for t in found):
        return torch.stack(found).sum()  # losses by name, as detectors return them
    logits = named.get("logits")
    y = logits if isinstance(logits, Tensor) else found[0]
    if named and logits is None:
        return y.float().mean()
    if isinstance(result, list):
        return torch.stack([_loss_of(t) for t in found if t.shape == y.shape]).sum()
    return _loss_of(y)


def _loss_of(y: Tensor) -> Tensor:
    """Cross entropy, or else the mean."""
    if y.dim() == 3:
        y = y.flatten(0, 1)
    if y.dim() not in (2, 4) or y.shape[1] < 2:
        return y.float().mean()
    shape = (y.shape[0], *y.shape[2:])
    return F.cross_entropy(y, torch.zeros(shape, dtype=torch.int64, device=y.device))


class _Run(NamedTuple):
    """How a step is run."""

    step: TrainingStep
    loss: Loss
    autocast: str | None
    layout: str
    device_type: str

    def trace(self, model: nn.Module, inputs: Any, title: str, batch: int) -> Graph:
        """The graph of a step with these inputs, as it was recorded."""
        step = self.step
        forward, fakes, given, loss = self._record_forward(model, inputs)
        calls, tape = forward.calls, Tape(fakes)
        tape.bounds = forward.bounds
        replay = Replay(tape.paths)
        parameters = replay.parameters(fakes)
        trained = [p for p in parameters.values() if p.requires_grad]
        optimizer = make_optimizer(step, trained, self.device_type)
        states = _states(parameters, optimizer, accumulate=step.accumulate)
        recorder = TrainingRecorder(tape, parameters)
        token = RECORDER.set(recorder)
        try:
            with recorder:
                if step.checkpointing:
                    run_checkpointed(replay, calls, fakes, loss, tape)
                else:
                    replay.run(calls)
                result = replay.of(loss)
                if not result.requires_grad:
                    raise TraceError(f"{title}: its loss depends on no trainable parameter")
                tape.phase = "backward"
                result.backward()
                tape.phase, tape.paths.current = "optimizer", ""
                if optimizer is not None:
                    optimizer.step()
        finally:
            RECORDER.reset(token)
        gradients = [p.grad for p in parameters.values() if p.grad is not None]
        weights = [
            *(Weight(n, p, "parameter") for n, p in parameters.items()),
            *(Weight(n, replay.of(b), "buffer") for n, b in fakes.named_buffers()),
        ]
        return tape.to_graph(
            title,
            [replay.of(t) for t in tensors_in(given)],
            [result, *gradients],
            weights=weights,
            states=states,
            batch=max(batch, 1),
            rung="bounded" if tape.bounds.assumed else "fake",
            conditions={
                "mode": "train", "optimizer": step.optimizer or "", "step": str(step),
                "autocast": self.autocast or "", "layout": self.layout,
                **({"assumptions": list(tape.bounds.assumed)} if tape.bounds.assumed else {}),
            },
        )  # fmt: skip

    def _record_forward(
        self, model: nn.Module, inputs: Any
    ) -> tuple[CallRecorder, nn.Module, Any, Tensor]:
        """The calls of forward and loss; the model and inputs they were made with; the loss."""
        from costmodel.tracing.eager import _map_tensors

        mode, fakes, given = fake_copy(model, inputs, self.layout, self.device_type, _map_tensors)
        fakes.train()
        calls = CallRecorder(ModulePaths(fakes))
        with (
            torch.no_grad(),
            mode,
            calls.paths.following(),
            autocasting(self.device_type, self.autocast),
            calls,
            DeviceKernels(calls, self.device_type),
            TrainingValues(calls.bounds),
        ):
            loss = self.loss(fakes(*given[0], **given[1]))
        return calls, fakes, given, loss


def _states(
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer | None,
    *,
    accumulate: bool,
) -> list[Weight]:
    """What exists before the step: the optimiser's state, and gradients that are added to."""
    found = [
        Weight(f"{key} of {name}", value, "state")
        for name, parameter in parameters.items()
        for key, value in (optimizer.state.get(parameter, {}) if optimizer else {}).items()
        if isinstance(value, Tensor) and value.is_meta
    ]
    for name, parameter in parameters.items():
        parameter.grad = torch.empty_like(parameter) if accumulate else None
        if parameter.grad is not None:
            found.append(Weight(f"gradient of {name}", parameter.grad, "state"))
    return found


def _resized(value: Any, batch: int, size: int) -> Any:
    """Inputs for another batch: the first dimension of all tensors that have that many."""
    from torch.utils._pytree import tree_map

    def resize(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.dim() or leaf.shape[0] != batch:
            return leaf
        return torch.empty((size, *leaf.shape[1:]), dtype=leaf.dtype, device="meta")

    return value if size == batch else tree_map(resize, value)
