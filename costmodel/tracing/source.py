"""Model sources: one string names a model wherever it comes from.

zoo:fasternet_t0          the networks that ship with this package (needs torch only)
timm:resnet50             timm's models, without weights
torchvision:resnet50      torchvision's models, without weights
FILE.py:factory           a function in your file that returns a module, or (module, inputs); what
                          the module takes may also stand on it, as `factory.input_shape` of one
                          sample or a function of the batch, `factory.inputs`;
                          this runs the file, and says so before the first time (see `trust`)
FILE.onnx                 an ONNX file; nothing is run and no weights are read
FILE.pt2                  a program saved by torch.export; nothing is run and no weights are read
FILE.yaml                 a design as `costmodel search` writes it: a family and its parameters
hf:bert-large             a well-known transformers model, or hf:CONFIG.json for any other;
                          hf:llama-3.1-8b?decode=4096 for a generation step (see `huggingface`)

Models are built on the meta device: no weights are allocated or downloaded.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from costmodel.counts import check_count
from costmodel.errors import TraceError, UnknownNameError, UsageError
from costmodel.graph import Graph
from costmodel.tracing.building import IMAGE, build_on_meta, sample_of
from costmodel.tracing.eager import trace
from costmodel.tracing.timm_models import (
    fused_attention,
    load_timm,
    reparameterized_form,
    set_fast_norms,
)
from costmodel.tracing.training import trace_training_step
from costmodel.tracing.training_step import step_of
from costmodel.tracing.trust import code_file, require_trust


class Source(NamedTuple):
    """A model that was found, with example inputs."""

    name: str
    model: nn.Module
    inputs: tuple[Any, ...]


def load_graph(
    source: str,
    batch: int = 1,
    input_shape: Sequence[int] | None = None,
    *,
    fast_norm: bool = False,
    reparameterized: bool = False,
    mode: str = "infer",
    **conditions: Any,
) -> Graph:
    """Load a model by its source string and trace it.

    Args:
        source: see the module's docstring.
        batch: batch size to trace at.
        input_shape: shape of one sample, (channels, height, width) for images; by default the
            model's own.
        fast_norm: timm's option to run norms in the precision of autocast instead of float32.
        reparameterized: merge the branches that are only needed in training (timm models).
        mode: "infer" for a forward pass, "train" for a training step.
        conditions: passed on to `trace`: autocast, layout, device_type, symbolic; for a training
            step also what `TrainingStep` takes: optimizer, checkpointing and so on.

    Raises:
        UnknownNameError: for an unknown kind of source or model, with the nearest names.
        UsageError: if an extra is not installed, or the batch or shape makes no sense.
        TraceError: if the model cannot be built or its forward fails.
    """
    check_count("batch", batch)
    step, conditions = step_of(mode, conditions)
    if step is not None and source.lower().endswith((".onnx", ".pt2")):
        raise UsageError(f"{source}: holds a forward pass only; a training step needs the model")
    if source.lower().endswith(".onnx"):
        return _from_onnx(source, batch, input_shape)
    if source.lower().endswith(".pt2"):
        return _from_pt2(source, batch, input_shape)
    with fused_attention(step is None or step.fused_attention):
        found = load_source(source, batch, input_shape)
        if fast_norm:
            set_fast_norms(found.model)
        model = reparameterized_form(found.model) if reparameterized else found.model
        if step is not None:
            return trace_training_step(
                model, *found.inputs, name=found.name, step=step, **conditions
            )
        return trace(model, *found.inputs, name=found.name, **conditions)


def load_source(source: str, batch: int = 1, input_shape: Sequence[int] | None = None) -> Source:
    """Build the model a source string names, on the meta device, with example inputs."""
    kind, separator, name = source.partition(":")
    if (path := code_file(source)) is not None:
        return _from_file(path, source, batch, input_shape)
    if source.lower().endswith((".yaml", ".yml")):
        return _from_design(Path(source), batch, input_shape)
    if kind == "hf":
        from costmodel.tracing.huggingface import load_huggingface

        return Source(name, *load_huggingface(name, batch, input_shape))
    if kind == "torchvision":
        from costmodel.tracing.torchvision_models import load_torchvision

        return Source(name, *load_torchvision(name, batch, input_shape))
    if Path(source).suffix.lower() in _PICKLES:
        raise UsageError(
            f"{source}: a pickle, and loading one can run any code in it; save the model with "
            "torch.export.save as .pt2, or name a function that builds it, FILE.py:factory"
        )
    if not separator or kind not in _LOADERS:
        kinds = ", ".join(f"{k}:NAME" for k in _KINDS)
        hint = f"sources are {kinds}, FILE.py:factory, FILE.onnx, FILE.pt2 and "
        hint += "FILE.yaml (a design)"
        if not separator:
            raise UnknownNameError("model source", source, _suggestions(source), hint)
        raise UnknownNameError("kind of model source", kind, _KINDS, hint)
    model, sample = _LOADERS[kind](name, input_shape)
    return Source(name, model, (sample_of(batch, input_shape or sample),))


def _from_zoo(name: str, input_shape: Sequence[int] | None) -> tuple[nn.Module, Sequence[int]]:
    from costmodel import zoo

    if name not in zoo.names():
        raise UnknownNameError("zoo model", name, zoo.names())
    return build_on_meta(f"zoo:{name}", lambda: zoo.create(name)), zoo.input_shape(name)


_LOADERS: dict[str, Callable[[str, Sequence[int] | None], tuple[nn.Module, Sequence[int]]]] = {
    "zoo": _from_zoo,
    "timm": load_timm,
}
_KINDS = (*_LOADERS, "torchvision", "hf")


def _suggestions(name: str) -> list[str]:
    from costmodel import zoo

    return [f"zoo:{known}" for known in zoo.names()] + [f"timm:{name}", f"torchvision:{name}"]


_PICKLES = (".pt", ".pth", ".pkl", ".bin", ".ckpt")


def _from_design(path: Path, batch: int, input_shape: Sequence[int] | None) -> Source:
    """The network of a design file; its size of image is one of its parameters."""
    from costmodel.zoo.families import read_design

    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    family, parameters = read_design(path)
    shape = family.input_shape(**parameters)
    if input_shape is not None and tuple(input_shape) != shape:
        sizes = "x".join(map(str, shape))
        raise UsageError(f"{path}: the design is for {sizes}; change its parameters instead")
    model = build_on_meta(str(path), lambda: family.build(**parameters))
    return Source(path.stem, model, family.inputs(batch, **parameters))


def _from_pt2(source: str, batch: int, input_shape: Sequence[int] | None) -> Graph:
    """A saved program, with every size known: dynamic ones from the batch and the input shape."""
    from costmodel.tracing.pt2 import read_pt2, sized

    return sized(read_pt2(source), batch, input_shape)


def _from_onnx(source: str, batch: int, input_shape: Sequence[int] | None) -> Graph:
    """An ONNX file, with every size known."""
    from costmodel.tracing.onnx_model import trace_onnx

    return trace_onnx(source, batch=batch, input_shape=input_shape, open_sizes=False)


def _from_file(path: Path, source: str, batch: int, input_shape: Sequence[int] | None) -> Source:
    factory_name = source.rpartition(":")[2]
    require_trust(path)
    factory = _factory(path, factory_name)
    built = build_on_meta(source, factory)
    model, inputs = built if isinstance(built, tuple) and len(built) == 2 else (built, None)
    if not isinstance(model, nn.Module):
        raise TraceError(
            f"{source}: returned {type(built).__name__}; expected a torch.nn.Module or a pair "
            "(module, inputs)"
        )
    given = getattr(factory, "inputs", None)
    if inputs is None and input_shape is None and callable(given):
        inputs = build_on_meta(f"{source}: its inputs", partial(given, batch))
    if inputs is None or input_shape is not None:
        shape = input_shape or _stated_shape(source, factory) or IMAGE
        inputs = (sample_of(batch, shape),)
    elif not isinstance(inputs, (tuple, list)):
        inputs = (inputs,)
    return Source(factory_name, model, tuple(inputs))


def _factory(path: Path, name: str) -> Any:
    """Run a file of code and take a function out of it."""
    module_name = f"_costmodel_source_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
        factory = getattr(module, name, None)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise TraceError(f"{path}: importing it failed: {reason}") from error
    if not callable(factory):
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise UnknownNameError(f"factory in {path}", name, known)
    return factory


def load_function(source: str) -> Callable[..., Any]:
    """A function in a file of code, FILE.py:function; this runs the file (see `trust`).

    Raises:
        UsageError: if there is no such file, or it must not run.
        TraceError: if running it fails.
        UnknownNameError: if it has no such function.
    """
    path = code_file(source)
    if path is None:
        raise UsageError(f"{source!r}: expected FILE.py:function")
    require_trust(path)
    found: Callable[..., Any] = _factory(path, source.rpartition(":")[2])
    return found


def _stated_shape(source: str, factory: Callable[[], Any]) -> Sequence[int] | None:
    """Shape of one sample that a factory carries as `input_shape`."""
    shape = getattr(factory, "input_shape", None)
    if shape is None:
        return None
    if not isinstance(shape, (tuple, list)) or not all(type(size) is int for size in shape):
        raise TraceError(f"{source}: its input_shape is {shape!r}; expected (3, 224, 224)")
    return shape
