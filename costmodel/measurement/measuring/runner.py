"""Builds a model for real and makes a stopwatch of one step: what of measuring runs torch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from costmodel.errors import CostModelError, TraceError, UsageError
from costmodel.measurement.measuring.machine import physical_cores, pinned
from costmodel.measurement.measuring.operator_sources import build_operator, is_operator
from costmodel.measurement.measuring.timing import Stopwatch
from costmodel.measurement.tables.conditions import AUTOCAST, RunConditions

if TYPE_CHECKING:
    import torch
    from torch import nn

DTYPES = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""dtype that models are run in, by precision; autocast starts from float32."""


class Job(NamedTuple):
    """One thing to measure."""

    source: str
    batch: int
    input_shape: tuple[int, ...] | None
    conditions: RunConditions
    device: str
    """ "cpu" or "cuda"."""
    threads: int | None
    """Of a CPU; None on a GPU."""


class Prepared(NamedTuple):
    """A step that is ready to be timed."""

    stopwatch: Stopwatch
    parameters: int


def check_device(device: str) -> str | None:
    """The accelerator's name, None for the CPU.

    Raises:
        UsageError: if there is no such device here.
    """
    import torch

    if device == "cpu":
        return None
    if device != "cuda":
        raise UsageError(f"device {device!r}: expected cpu or cuda")
    if not torch.cuda.is_available():
        raise UsageError("device cuda: torch finds no such device on this machine")
    return torch.cuda.get_device_name()


def check_conditions(conditions: RunConditions, device: str) -> None:
    """Raises UsageError for a precision that cannot be measured."""
    if conditions.precision not in (*DTYPES, *AUTOCAST):
        known = ", ".join((*DTYPES, *AUTOCAST))
        raise UsageError(f"precision {conditions.precision}: measuring takes {known}")
    if conditions.precision == "tf32" and device == "cpu":
        raise UsageError("precision tf32: only GPUs have it")


@contextmanager
def prepared(job: Job) -> Iterator[Prepared]:
    """Build a model, move it, set precision, threads and layout; all is undone afterwards.

    Raises:
        UsageError: if the source cannot be measured.
        TraceError: if the model cannot be built or its first step fails.
    """
    import torch

    check_conditions(job.conditions, job.device)
    with ExitStack() as stack:
        stack.enter_context(_settings(job))
        model, inputs = _build(job)
        model, inputs = _placed(model, inputs, job)
        run: Any = model
        if job.conditions.compiled:
            torch.compiler.reset()
            run = torch.compile(model)
        stack.enter_context(torch.inference_mode())
        stack.enter_context(_autocast(job))

        def step() -> None:
            run(*inputs)

        try:
            step()  # compiles, allocates, and fails if it must
        except CostModelError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            raise TraceError(f"{job.source}: its step failed: {what}") from error
        watch = cuda_stopwatch(step) if job.device == "cuda" else host_stopwatch(step)
        yield Prepared(watch, sum(p.numel() for p in model.parameters()))


def host_stopwatch(step: Any) -> Stopwatch:
    def watch(repeats: int) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        return time.perf_counter() - start

    return watch


def cuda_stopwatch(step: Any) -> Stopwatch:
    import torch

    def watch(repeats: int) -> float:
        before, after = (
            torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )
        torch.cuda.synchronize()
        before.record()
        for _ in range(repeats):
            step()
        after.record()
        torch.cuda.synchronize()
        return float(before.elapsed_time(after)) / 1e3

    return watch


@contextmanager
def _settings(job: Job) -> Iterator[None]:
    """Threads, cores and float32 arithmetic of the framework, as they were before afterwards."""
    import torch

    threads, tf32 = torch.get_num_threads(), job.conditions.precision == "tf32"
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    count = job.threads if job.threads is not None else len(physical_cores())
    with pinned(count) if job.device == "cpu" else nullcontext():
        try:
            torch.set_num_threads(count)
            torch.set_float32_matmul_precision("high" if tf32 else "highest")
            torch.backends.cudnn.allow_tf32 = tf32
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(matmul)
            torch.backends.cudnn.allow_tf32 = convolution


def _autocast(job: Job) -> AbstractContextManager[Any]:
    import torch

    dtype = AUTOCAST.get(job.conditions.precision)
    return nullcontext() if dtype is None else torch.autocast(job.device, getattr(torch, dtype))


def _build(job: Job) -> tuple[nn.Module, tuple[Any, ...]]:
    """The model with real weights, and random inputs, in float32 on the CPU."""
    import torch

    torch.manual_seed(0)
    if is_operator(job.source):
        model, shapes = build_operator(job.source)
        return model, tuple(torch.randn(shape) for shape in shapes)
    from costmodel.tracing.building import building_on
    from costmodel.tracing.source import load_source
    from costmodel.tracing.timm_models import set_fast_norms

    kind = job.source.partition(":")[0]
    if kind == "hf" or job.source.lower().endswith((".onnx", ".pt2")):
        raise UsageError(
            f"{job.source}: measuring takes zoo:, timm:, torchvision:, FILE.py:factory and op:"
        )
    with building_on("cpu"):
        found = load_source(job.source, job.batch, job.input_shape)
    if job.conditions.fast_norm:
        set_fast_norms(found.model)
    return found.model.eval(), tuple(_real(value) for value in found.inputs)


def _real(value: Any) -> Any:
    """An example input with values in it: random numbers, or zeros for whole numbers."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    if value.is_floating_point():
        return torch.randn(value.shape, dtype=value.dtype)
    return torch.zeros(value.shape, dtype=value.dtype) if value.is_meta else value


def _placed(model: nn.Module, inputs: Sequence[Any], job: Job) -> tuple[nn.Module, tuple[Any, ...]]:
    import torch

    dtype = getattr(torch, DTYPES.get(job.conditions.precision, "float32"))
    last = job.conditions.layout == "nhwc"
    model = model.to(job.device, dtype)
    if last:
        model = model.to(memory_format=torch.channels_last)

    def place(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        moved = value.to(job.device, dtype if value.is_floating_point() else value.dtype)
        if last and moved.dim() == 4:
            moved = moved.to(memory_format=torch.channels_last)
        return moved

    return model, tuple(place(value) for value in inputs)


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """Shape of one sample of a batch."""
    return tuple(tensor.shape[1:])
