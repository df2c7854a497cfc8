"""Symbolic tracing by torch.export: the same `Graph`, its sizes sympy expressions.

    graph = trace_symbolic(model, (x,), {"batch": 0, "height": 2, "width": 3})

What stays symbolic is up to the model: a network with fixed position embeddings pins its image
size, one with windows wants a multiple of the window. `Graph.guards` holds what the sizes must
satisfy, a pinned size as an equation; `Graph.conditions` says the same in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy
import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.overrides import TorchFunctionMode

from costmodel.errors import TraceError, UsageError
from costmodel.graph import Graph
from costmodel.tracing.dimensions import SizeReader, size_symbol
from costmodel.tracing.recorder import tensors_in
from costmodel.tracing.replay import Replay

Place = tuple[int, int]
"""(which tensor input, which of its dimensions)."""

Where = int | Sequence[Place]
"""A dimension of the first tensor input, or the places that share one size."""

SMALLEST = 2
"""Sizes 0 and 1 are special to the framework: they broadcast, and a dimension of 1 never needs a
copy to be reshaped. Formulas are exact from 2; at 1 they may count copies that fall away."""

TRACED_AT = 5
"""Smaller named sizes are traced at this one: a batch of 2, 3 or 4 could equal another constant
of the model by chance, and a comparison of the two would tie the batch to it."""

LONGEST_SIZE = 24
"""Operations in a size expression; plain networks stay below 12, the time to trace them beyond
grows without bound."""


def trace_symbolic(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    symbolic: Mapping[str, Where],
    name: str,
    classes: Mapping[str, str],
) -> Graph:
    """Trace one forward pass with named sizes.

    Args:
        model: on the meta device, in eval mode.
        args: example inputs on the meta device; named sizes below 5 are traced at 5.
        kwargs: example keyword inputs.
        symbolic: the dimension of the first tensor input behind each name, or a list of
            (input, dimension) pairs for several inputs, counted over args, then kwargs.
        name: name of the graph.
        classes: class name by module path.

    Raises:
        UsageError: for a name or dimension that makes no sense.
        TraceError: if torch.export fails, with its reason.
    """
    places = places_of(symbolic, tensors_in((args, kwargs)))
    args, kwargs = _at_least(TRACED_AT, places, args, kwargs)
    pinned: dict[str, int] = {}
    try:
        program = _export(model, args, dict(kwargs), places, name)
    except _SizesTooComplexError:
        # Without the image or sequence size, the batch alone usually works.
        tensors = tensors_in((args, kwargs))
        leading = {n: group for n, group in places.items() if all(d == 0 for _, d in group)}
        pinned = {
            n: int(tensors[group[0][0]].shape[group[0][1]])
            for n, group in places.items()
            if n not in leading
        }
        places = leading
        program = _export(model, args, dict(kwargs), places, name)
    return graph_of(program, places, name, classes, rung="export", pinned=pinned)


def graph_of(
    program: ExportedProgram,
    places: Mapping[str, Sequence[Place]],
    name: str,
    classes: Mapping[str, str] | None = None,
    rung: str = "export",
    pinned: Mapping[str, int] | None = None,
    stated: Sequence[Any] = (),
) -> Graph:
    """The graph of an exported program.

    Args:
        program: from torch.export.
        places: where each named size is found among the program's tensor inputs.
        name: name of the graph.
        classes: class name by module path; by default what the program remembers.
        rung: what the graph says it was traced by.
        pinned: named sizes that were kept as numbers because their expressions grew too large.
        stated: guards in the program's own symbols, beside those it was traced with.
    """
    replay = Replay(program, classes)
    replay.run()
    names, guards = _named(places, replay.inputs)
    unnamed = _unnamed(program, replay.inputs, names)
    reader = SizeReader({**names, **unnamed})
    for size_name, size in (pinned or {}).items():
        guards.append(sympy.Eq(size_symbol(size_name), size, evaluate=False))
    guards += _guards_of(program, reader, stated)
    first = reader.read(replay.inputs[0].shape)[0] if replay.inputs[0].dim() else 1
    guards = list(dict.fromkeys(guards))
    fixed = {
        str(g.lhs): int(g.rhs)
        for g in guards
        if isinstance(g, sympy.Eq) and g.lhs.is_Symbol and g.rhs.is_Integer
    }
    conditions: dict[str, Any] = {
        "mode": "infer",
        "symbolic": [str(s) for s in dict.fromkeys({**names, **unnamed}.values())],
        "fixed": fixed,
        "guards": [str(g) for g in guards],
        "exact_from": SMALLEST,
    }
    if pinned:
        conditions["too_complex"] = list(pinned)
    return replay.to_graph(
        name, reader.read, batch=first, rung=rung, guards=tuple(guards), conditions=conditions
    )


# ---------------------------------------------------------------------- names


def places_of(
    symbolic: Mapping[str, Where], tensors: Sequence[torch.Tensor]
) -> dict[str, tuple[Place, ...]]:
    """Where each named size is found among tensor inputs.

    Raises:
        UsageError: for a name or dimension that makes no sense.
    """
    if not tensors:
        raise UsageError("symbolic sizes need a tensor input")
    result: dict[str, tuple[Place, ...]] = {}
    taken: dict[Place, str] = {}
    for name, where in symbolic.items():
        if not name.isidentifier():
            raise UsageError(f"symbolic size {name!r}: expected a name such as 'batch'")
        found = []
        for index, dimension in _pairs_of(name, where):
            if not 0 <= index < len(tensors):
                raise UsageError(
                    f"symbolic size {name!r}: no tensor input {index}, there are {len(tensors)}"
                )
            rank = tensors[index].dim()
            if not -rank <= dimension < rank:
                shape = tuple(tensors[index].shape)
                raise UsageError(
                    f"symbolic size {name!r}: input {index} of shape {shape} has no dimension "
                    f"{dimension}"
                )
            place = (index, dimension % rank)
            if place in taken:
                raise UsageError(f"symbolic sizes {taken[place]!r} and {name!r} are the same one")
            taken[place] = name
            found.append(place)
        sizes = {int(size) for i, d in found if is_number(size := tensors[i].shape[d])}
        if len(sizes) > 1:
            raise UsageError(
                f"symbolic size {name!r}: its inputs have different sizes {sorted(sizes)}"
            )
        result[name] = tuple(found)
    return result


def _pairs_of(name: str, where: Any) -> list[Place]:
    """(input, dimension) pairs of what the user wrote; a bare number is one of the first input."""
    pairs = where if isinstance(where, (list, tuple)) else [(0, where)]
    for pair in pairs:
        whole = isinstance(pair, (list, tuple)) and all(type(number) is int for number in pair)
        if not whole or len(pair) != 2:
            raise UsageError(
                f"symbolic size {name!r}: {where!r} is no dimension; expected a number such as 0, "
                "or a list of (input, dimension) pairs"
            )
    return [(index, dimension) for index, dimension in pairs]


def _at_least(
    smallest: int, places: Mapping[str, Sequence[Place]], args: Any, kwargs: Any
) -> tuple[Any, Any]:
    """Example inputs with every named size at least `smallest`."""
    named = {place for group in places.values() for place in group}
    counter = iter(range(len(tensors_in((args, kwargs)))))

    def grow(tensor: torch.Tensor) -> torch.Tensor:
        index = next(counter)
        shape = [
            max(size, smallest) if (index, d) in named else size
            for d, size in enumerate(tensor.shape)
        ]
        if shape == list(tensor.shape):
            return tensor
        return torch.empty(shape, dtype=tensor.dtype, device=tensor.device)

    return _map(args, grow), _map(kwargs, grow)


def _map(value: Any, function: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: _map(v, function) for key, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_map(v, function) for v in value)
    return value


def _export(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    places: Mapping[str, Sequence[Place]],
    name: str,
) -> ExportedProgram:
    counter = iter(range(len(tensors_in((args, kwargs)))))
    named = {place for group in places.values() for place in group}

    def dynamic(tensor: torch.Tensor) -> dict[int, Any]:
        index = next(counter)
        return {d: Dim.AUTO if (index, d) in named else Dim.STATIC for d in range(tensor.dim())}

    shapes: Any = _specification(args, dynamic)
    if kwargs:
        positional = _parameter_names(model, len(args))
        shapes = dict(zip(positional, shapes, strict=True)) | _specification(kwargs, dynamic)
    watch = _SizeWatch()
    try:
        with torch.no_grad(), watch, torch.device("meta"):
            return torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        text = " ".join(str(error).split())
        if watch.tripped and any(d for _, d in named):
            raise _SizesTooComplexError from error
        raise TraceError(
            f"{name}: torch.export failed: {type(error).__name__}: {text[:400]}; trace it without "
            "symbolic= at each size instead"
        ) from error


class _SizesTooComplexError(Exception):
    """Sizes became expressions that the framework would take minutes to hours to reason about."""


class _SizeWatch(TorchFunctionMode):
    """Stops an export whose sizes grow into long expressions (nested "same" padding, windows)."""

    def __init__(self) -> None:
        super().__init__()
        self.tripped = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            for size in result.shape:
                if raw_size(size).count_ops() > LONGEST_SIZE:
                    self.tripped = True
                    raise _SizesTooComplexError
        return result


def _specification(value: Any, dynamic: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return dynamic(value)
    if isinstance(value, Mapping):
        return {key: _specification(v, dynamic) for key, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_specification(v, dynamic) for v in value)
    return None


def _parameter_names(model: nn.Module, count: int) -> list[str]:
    import inspect

    return list(inspect.signature(model.forward).parameters)[:count]


# --------------------------------------------------------- symbols and guards


def _named(
    places: Mapping[str, Sequence[Place]], inputs: Sequence[torch.Tensor]
) -> tuple[dict[sympy.Symbol, sympy.Symbol], list[Any]]:
    """The user's symbol for each of the framework's, and equations for sizes that got none."""
    names: dict[sympy.Symbol, sympy.Symbol] = {}
    equations: list[Any] = []
    pending: list[tuple[sympy.Symbol, Any]] = []
    for name, group in places.items():
        mine = size_symbol(name)
        for index, dimension in group:
            raw = raw_size(inputs[index].shape[dimension])
            if raw.is_Symbol and raw not in names:
                names[raw] = mine
            else:
                pending.append((mine, raw))
    for mine, raw in pending:
        other = SizeReader(names).expression(raw)
        if other != mine:
            equations.append(sympy.Eq(mine, other, evaluate=False))
    return names, equations


def _unnamed(
    program: ExportedProgram, inputs: Sequence[torch.Tensor], names: Mapping[Any, Any]
) -> dict[sympy.Symbol, sympy.Symbol]:
    """Symbols of a program that the caller gave no name, under the names export gave them."""
    found: dict[sympy.Symbol, sympy.Symbol] = {}
    for raw in program.range_constraints:
        if raw.is_Symbol and raw not in names:
            found[raw] = size_symbol(str(raw))
    for tensor in inputs:
        for size in tensor.shape:
            for raw in sorted(raw_size(size).free_symbols - names.keys(), key=str):
                found[raw] = size_symbol(str(raw))
    return found


def is_number(size: Any) -> bool:
    """Whether the framework knows a size as a number."""
    return bool(raw_size(size).is_Integer)


def raw_size(size: Any) -> Any:
    """A size as the framework's own expression."""
    return size.node.expr if isinstance(size, torch.SymInt) else sympy.Integer(size)


def _guards_of(program: ExportedProgram, reader: SizeReader, stated: Sequence[Any]) -> list[Any]:
    """What the sizes must satisfy, without what holds for all sizes of 1 and more."""
    found = [reader.expression(raw) for raw in (*_raw_guards(program), *stated)]
    return [g for g in found if isinstance(g, sympy.logic.boolalg.Boolean) and g != sympy.true]


def _raw_guards(program: ExportedProgram) -> Iterator[Any]:
    environment = _shape_environment(program)
    if environment is not None:
        for guard in environment.guards:
            yield environment.replace(guard.expr)
        for asserts in environment.deferred_runtime_asserts.values():
            for entry in asserts:
                yield environment.replace(entry.expr)
    for raw, allowed in program.range_constraints.items():
        if allowed.lower.is_Integer and int(allowed.lower) > SMALLEST:
            yield sympy.Ge(raw, allowed.lower)
        if allowed.upper.is_Integer:
            yield sympy.Le(raw, allowed.upper)


def _shape_environment(program: ExportedProgram) -> Any:
    for node in program.graph.nodes:
        for tensor in tensors_in(node.meta.get("val")):
            mode = getattr(tensor, "fake_mode", None)
            if mode is not None:
                return mode.shape_env
    return None
