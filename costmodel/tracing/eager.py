"""The default front end: run the model once on meta tensors and record what it does.

Nothing is computed and no weights are allocated. Two layers record: `shape_rules` and `view_rules`
answer the hot functions at the call, `recorder` sees everything else at the dispatcher. If a model
cannot run on meta tensors (its Python looks at values), it is run once for real on the CPU as the
last rung, and the graph says so.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from costmodel.errors import TraceError, UsageError
from costmodel.graph import Graph
from costmodel.tracing import shape_rules as shape_rules  # registers its rules
from costmodel.tracing import view_rules as view_rules  # registers its rules
from costmodel.tracing.detection import detection_bounds
from costmodel.tracing.device_typed import run_device_typed
from costmodel.tracing.experts import even_experts
from costmodel.tracing.modules import ModulePaths
from costmodel.tracing.quantized import is_quantized, packed_of
from costmodel.tracing.recorder import Recorder, tensors_in
from costmodel.tracing.rules import ShapeRules
from costmodel.tracing.tape import Tape


def trace(
    model: nn.Module,
    *inputs: Any,
    name: str | None = None,
    rung: str | None = None,
    autocast: str | None = None,
    layout: str = "nchw",
    device_type: str = "cuda",
    symbolic: Mapping[str, Any] | None = None,
    **keyword_inputs: Any,
) -> Graph:
    """Trace one forward pass in inference mode.

    Args:
        model: any module, on any device; weights need not exist (build it under
            `torch.device("meta")`). It is traced in eval mode and left as it was.
        inputs: example inputs as the model takes them; a tuple of ints is read as the shape of a
            float32 tensor. The first dimension of the first tensor is the batch.
        name: name of the graph, by default the class name.
        rung: "eager" to insist on meta tensors, "cpu" to insist on a real run; by default the
            second is tried when the first fails, and taken at once for quantised models. A graph
            whose sizes depend on values has their largest, and the rung "bounded".
        autocast: "float16" or "bfloat16" to trace under the framework's own autocast.
        layout: "nhwc" to store images channels-last, "nchw" as they come.
        device_type: whose autocast policy applies, "cuda" or "cpu".
        symbolic: keep sizes as symbols: {"batch": 0, "height": 2, "width": 3} names dimensions of
            the first tensor input, {"batch": [(0, 0), (1, 0)]} of several. Traced by torch.export;
            see `Graph.guards` for what the sizes must satisfy.

    Raises:
        TraceError: if the model's forward fails, with the place in the model and the shapes.
    """
    args = tuple(_as_input(value) for value in inputs)
    kwargs = {key: _as_input(value) for key, value in keyword_inputs.items()}
    rungs: dict[str, Callable[[nn.Module, Any, Any], tuple[Tape, Any, Any]]] = {
        "eager": _run_on_meta,
        "cpu": _run_on_cpu,
    }
    if symbolic is not None:
        if rung is not None or autocast is not None or layout != "nchw":
            raise UsageError("symbolic sizes go with neither rung nor autocast nor layout")
        return _trace_symbolic(model, args, kwargs, symbolic, name or type(model).__name__)
    conditions: dict[str, Any] = {"mode": "infer"}
    if autocast is not None or layout != "nchw":
        if autocast not in (None, "float16", "bfloat16") or layout not in ("nchw", "nhwc"):
            raise UsageError(
                f"autocast {autocast!r}, layout {layout!r}: expected float16 or bfloat16, and "
                "nchw or nhwc"
            )
        rungs = {
            "fake": partial(
                run_device_typed,
                map_tensors=_map_tensors,
                autocast=autocast,
                layout=layout,
                device_type=device_type,
            )
        }
        conditions |= {"autocast": autocast or "", "layout": layout}
    elif rung is not None or is_quantized(model):
        rungs = {rung or "cpu": rungs[rung or "cpu"]}
    failures: list[str] = []
    first: BaseException | None = None
    for label, run in rungs.items():
        try:
            with _inference(model):
                tape, used, result = run(model, args, kwargs)
        except (Exception, SystemExit) as error:  # whatever the user's model raises
            failures.append(f"{label}: {_describe(error)}")
            first = first or error
            if not _depends_on_values(error):
                break
            continue
        if tape.bounds.assumed:
            label, conditions["assumptions"] = "bounded", list(tape.bounds.assumed)
        tensors = tensors_in(used)
        batch = int(tensors[0].shape[0]) if tensors and tensors[0].dim() else 1
        return tape.to_graph(
            name or type(model).__name__,
            tensors,
            tensors_in(result),
            batch=max(batch, 1),
            rung=label,
            conditions=conditions,
        )
    shapes = ", ".join(str(tuple(t.shape)) for t in tensors_in((args, kwargs))) or "no tensors"
    raise TraceError(
        f"{name or type(model).__name__}: forward failed with inputs {shapes}: "
        + "; then ".join(failures)
    ) from first


def _trace_symbolic(
    model: nn.Module, args: Any, kwargs: Any, symbolic: Mapping[str, Any], name: str
) -> Graph:
    from costmodel.tracing.export import trace_symbolic

    model = model if _is_on_meta(model) else _meta_copy(model)
    with _inference(model):
        return trace_symbolic(
            model, _to_meta(args), _to_meta(kwargs), symbolic, name, ModulePaths(model).classes
        )


def _run_on_meta(model: nn.Module, args: Any, kwargs: Any) -> tuple[Tape, Any, Any]:
    model = model if _is_on_meta(model) else _meta_copy(model)
    args, kwargs = _to_meta(args), _to_meta(kwargs)
    tape = Tape(model)
    with (
        torch.no_grad(),
        tape.paths.following(),
        detection_bounds(model, tape.bounds),
        even_experts(model, tape.bounds),
        Recorder(tape),
        ShapeRules(tape),
    ):
        result = model(*args, **kwargs)
    return tape, (args, kwargs), result


LARGEST_REAL_RUN = 2**32
"""Bytes of weights up to which a model is run for real as the last rung."""


def _run_on_cpu(model: nn.Module, args: Any, kwargs: Any) -> tuple[Tape, Any, Any]:
    size = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    if size > LARGEST_REAL_RUN:
        raise TraceError(
            f"not run for real, its weights take {size / 2**30:.0f} GiB; mend what looks at values"
        )
    if any(p.is_meta for p in (*model.parameters(), *model.buffers())):
        model = copy.deepcopy(model).to_empty(device="cpu")
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data.zero_()
    args, kwargs = _to_cpu(args), _to_cpu(kwargs)
    tape = Tape(model)
    tape.packed = packed_of(model)
    with torch.no_grad(), tape.paths.following(), Recorder(tape):
        result = model(*args, **kwargs)
    return tape, (args, kwargs), result


@contextmanager
def _inference(model: nn.Module) -> Iterator[None]:
    """Eval mode for the duration, each module's own mode restored afterwards."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _is_on_meta(model: nn.Module) -> bool:
    return all(t.is_meta for t in (*model.parameters(), *model.buffers()))


def _meta_copy(model: nn.Module) -> nn.Module:
    """A copy on the meta device that shares nothing and allocates nothing."""
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        if id(tensor) not in memo:
            moved = tensor.detach().to("meta")
            if isinstance(tensor, nn.Parameter):
                moved = nn.Parameter(moved, requires_grad=tensor.requires_grad)
            memo[id(tensor)] = moved
    return copy.deepcopy(model, memo)


def _as_input(value: Any) -> Any:
    if isinstance(value, (tuple, list)) and value and all(type(v) is int for v in value):
        if any(v <= 0 for v in value):
            raise TraceError(f"input shape {tuple(value)}: sizes must be positive")
        return torch.empty(tuple(value), device="meta")
    return value


def _to_meta(value: Any) -> Any:
    return _map_tensors(value, lambda t: t if t.is_meta else t.to("meta"))


def _to_cpu(value: Any) -> Any:
    return _map_tensors(
        value, lambda t: torch.zeros(t.shape, dtype=t.dtype) if t.is_meta else t.cpu()
    )


def _map_tensors(value: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: _map_tensors(v, function) for key, v in value.items()}
    if type(value) is tuple:
        return tuple(_map_tensors(v, function) for v in value)
    if type(value) is list:
        return [_map_tensors(v, function) for v in value]
    return value


def _depends_on_values(error: BaseException) -> bool:
    """Whether a failure says that a value was needed that meta tensors do not have."""
    text = f"{type(error).__name__} {error}".lower()
    return any(
        sign in text
        for sign in (
            "meta tensor",
            "meta device",
            "'meta'",
            "data-dependent",
            "item()",
            "device meta",
        )
    )


def _describe(error: BaseException) -> str:
    """One line: the error, and the last line of the model's own code it came from."""
    place = ""
    frame = error.__traceback__
    while frame is not None:
        filename = frame.tb_frame.f_code.co_filename
        if "/torch/" not in filename and "/costmodel/tracing/" not in filename:
            function = frame.tb_frame.f_code.co_name
            place = f" (in {function}, {filename.rpartition('/')[2]}:{frame.tb_lineno})"
        frame = frame.tb_next
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}{place}"
