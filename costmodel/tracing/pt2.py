"""Exported programs: a `.pt2` file written by `torch.export.save`, read without running anything.

`torch.export.load` must not meet a file from a stranger: it unpickles weights, constants and
example inputs that ask for it, and hands size expressions to Python's `eval`. Here only the JSON
description of the program is read. Weights become tensors without memory from their stated shapes,
whatever their size; pickles are never opened; names, operators and size expressions are checked
before the framework's reader sees them.
"""

from __future__ import annotations

import ast
import json
import keyword
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from costmodel.errors import TraceError, UsageError
from costmodel.graph import Graph
from costmodel.tracing.export import Place, Where, graph_of, is_number, places_of, raw_size
from costmodel.tracing.guard_source import read_guard
from costmodel.tracing.recorder import tensors_in

LARGEST_DESCRIPTION = 2**29
"""Bytes of the largest program description that is read."""

_DESCRIPTION = re.compile(r"(^|/)(models/[^/]+|serialized_exported_program)\.json$")

_SIZE_FUNCTIONS = frozenset(
    {
        "Symbol", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Equality", "Unequality",
        "StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan", "Eq", "Ne", "Lt", "Le",
        "Gt", "Ge", "And", "Or", "Not", "Max", "Min",
        "FloorDiv", "CleanDiv", "CeilDiv", "Mod", "PythonMod", "ModularIndexing", "Where",
        "IntTrueDiv", "FloatTrueDiv", "PowByNatural", "CeilToInt", "FloorToInt", "TruncToInt",
        "TruncToFloat", "RoundToInt", "ToFloat", "Identity",
    }
)  # fmt: skip
"""Functions that size expressions may call."""

_SIZE_SYNTAX = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Call, ast.keyword,
    ast.Name, ast.Load, ast.Constant, ast.operator, ast.unaryop, ast.cmpop, ast.boolop,
)  # fmt: skip

_OPERATOR = re.compile(
    r"torch\.ops\.(?!load_library|loaded_libraries)\w+\.\w+(\.\w+)?"
    r"|_?operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_"
    r"|not_|getitem)"
    r"|math\.(trunc|ceil|floor|sqrt)|torch\._?sym_\w+"
)


def read_pt2(path: str | Path, symbolic: Mapping[str, Where] | None = None) -> Graph:
    """The graph of an exported program, with the sizes it was exported with.

    Args:
        path: a file written by `torch.export.save`.
        symbolic: names for its dynamic sizes, as in `trace`; one left out is named after its
            input, as in "x_0".

    Raises:
        UsageError: if the file is no exported program, or a name makes no sense.
        TraceError: if it holds something that is not read, naming it.
    """
    path = Path(path)
    document = _document(path)
    stated = [str(guard) for guard in document.get("guards_code") or ()]
    program = _program(path, document)
    inputs = [
        (spec.arg.name, tensor)
        for spec, node in zip(
            program.graph_signature.input_specs,
            (n for n in program.graph.nodes if n.op == "placeholder"),
            strict=True,
        )
        if spec.kind.name == "USER_INPUT"
        for tensor in tensors_in(node.meta.get("val"))
    ]
    tensors = [tensor for _, tensor in inputs]
    places: dict[str, Sequence[Place]] = dict(places_of(symbolic or {}, tensors)) if tensors else {}
    taken = {place for group in places.values() for place in group}
    for index, (name, tensor) in enumerate(inputs):
        for dimension, size in enumerate(tensor.shape):
            if not is_number(size) and (index, dimension) not in taken:
                places[f"{name}_{dimension}"] = ((index, dimension),)
    by_name = dict(inputs)
    guards = [read_guard(g, lambda name, d: raw_size(by_name[name].shape[d])) for g in stated]
    graph = graph_of(
        program, places, path.stem, rung="pt2", stated=[g for g in guards if g is not None]
    )
    unread = [text for text, guard in zip(stated, guards, strict=True) if guard is None]
    if unread:
        graph = replace(graph, conditions={**graph.conditions, "unread_guards": unread})
    return graph


def sized(graph: Graph, batch: int, sample: Sequence[int] | None) -> Graph:
    """The graph with its dynamic sizes replaced: the first dimension by the batch.

    Args:
        graph: from `read_pt2`.
        batch: first dimension of the first input.
        sample: its other dimensions; needed if any of them is dynamic.

    Raises:
        UsageError: if a size is fixed in the program and another is asked for, or one is missing.
        GraphError: if a size breaks a guard.
    """
    shape = graph.tensors[graph.inputs[0]].shape if graph.inputs else ()
    wanted: list[Any] = [batch, *(sample or shape[1:])]
    if len(wanted) != len(shape):
        raise UsageError(
            f"{graph.name}: input shape {tuple(wanted[1:])}: expected {len(shape) - 1} sizes, as "
            f"in {tuple(map(str, shape[1:]))}"
        )
    sizes: dict[str, int] = {}
    for dimension, (size, value) in enumerate(zip(shape, wanted, strict=True)):
        if isinstance(size, int):
            unasked = batch == 1 if dimension == 0 else sample is None
            if value != size and not unasked:
                raise UsageError(
                    f"{graph.name}: dimension {dimension} of its input is fixed at {size}; export "
                    f"it with a dynamic one for {value}"
                )
        elif isinstance(value, int):
            sizes[str(size)] = value
    missing = [name for name in graph.symbols if name not in sizes]
    if missing:
        raise UsageError(
            f"{graph.name}: dynamic sizes {', '.join(missing)}: give the input shape, or read the "
            "file with costmodel.tracing.pt2.read_pt2 and substitute them"
        )
    return graph.substitute(**sizes) if sizes else graph


# -------------------------------------------------------------------- reading


def _program(path: Path, document: dict[str, Any]) -> ExportedProgram:
    from torch._export.serde import schema, serialize

    try:
        _vet(document)
    except ValueError as error:
        raise TraceError(f"{path.name}: {error}; nothing was run") from error
    try:
        read: Any = serialize._dict_to_dataclass
        parsed = read(schema.ExportedProgram, document)
        return serialize.ExportedProgramDeserializer().deserialize(
            parsed, _weights(document), _constants(document), None
        )
    except Exception as error:
        text = " ".join(str(error).split())
        raise TraceError(
            f"{path.name}: written by torch {document.get('torch_version', 'of unknown version')}, "
            f"not readable by torch {torch.__version__}: {type(error).__name__}: {text[:300]}"
        ) from error


def _document(path: Path) -> dict[str, Any]:
    """The program's description; nothing else in the archive is opened."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path}: not an exported program; write one with torch.export.save")
    with zipfile.ZipFile(path) as archive:
        found = [i for i in archive.infolist() if _DESCRIPTION.search(i.filename)]
        if not found:
            compiled = any("aotinductor" in name for name in archive.namelist())
            what = "a compiled package" if compiled else "no exported program"
            raise UsageError(f"{path}: {what}; write one with torch.export.save")
        if len(found) > 1:
            names = ", ".join(Path(i.filename).stem for i in found)
            raise UsageError(f"{path}: holds several programs ({names}); save one per file")
        if found[0].file_size > LARGEST_DESCRIPTION:
            raise UsageError(f"{path}: description of {found[0].file_size} bytes is too large")
        try:
            document = json.loads(archive.read(found[0]))
        except (ValueError, RecursionError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: damaged program description: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("graph_module"), dict):
        raise UsageError(f"{path}: not a program description")
    return document


def _weights(document: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name: shapes without memory."""
    result: dict[str, torch.Tensor] = {}
    for name, kind, spec in _stated(document):
        if kind in ("parameter", "buffer"):
            tensor = _without_memory(document, spec)
            result[name] = torch.nn.Parameter(tensor, False) if kind == "parameter" else tensor
    return result


def _constants(document: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {
        name: _without_memory(document, spec)
        for name, kind, spec in _stated(document)
        if kind == "tensor_constant" or (kind == "buffer" and spec.get("persistent") is False)
    }


def _stated(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for entry in document["graph_module"]["signature"]["input_specs"]:
        kind, spec = next(iter(entry.items()))
        name = spec.get(f"{kind}_name")
        if name is not None:
            yield str(name), kind, spec


def _without_memory(document: Mapping[str, Any], spec: Mapping[str, Any]) -> torch.Tensor:
    from torch._export.serde.serialize import deserialize_scalar_type

    meta = document["graph_module"]["graph"]["tensor_values"][spec["arg"]["name"]]
    sizes, strides = ([int(s["as_int"]) for s in meta[key]] for key in ("sizes", "strides"))
    dtype = deserialize_scalar_type(meta["dtype"])
    return torch.empty_strided(sizes, strides, dtype=dtype, device="meta")


# --------------------------------------------------------------------- vetting


def _vet(document: dict[str, Any]) -> None:
    """Refuse what could run code when the framework reads it; drop what is not needed.

    The framework evaluates size expressions, looks operators up by attribute, and writes the names
    of values into Python source that it executes.

    Raises:
        ValueError: naming the first such thing.
    """
    document["guards_code"] = []
    document["graph_module"]["metadata"] = {}
    pending: list[Any] = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        if not isinstance(value, dict):
            continue
        for key, item in value.items():
            if key == "expr_str":
                _vet_expression(item)
            elif key in ("target", "as_operator") and item is not None:
                if not isinstance(item, str) or not _OPERATOR.fullmatch(item):
                    raise ValueError(f"calls {item!r}, which is no operator")
            elif key in ("name", "as_name") and item is not None:
                _vet_name(item)
            elif key in ("tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values"):
                for name in item:
                    _vet_name(name)
            elif key == "metadata" and isinstance(item, dict):
                stack = item.get("nn_module_stack", "")
                kept = stack if re.fullmatch(r"[\w.,;@\[\]'() -]*", str(stack)) else ""
                value[key] = {"nn_module_stack": kept} if kept else {}
            elif key == "custom_obj_values" and item:
                raise ValueError("holds pickled objects, which are not opened")
            else:
                pending.append(item)
        pending.extend(
            item
            for key, values in value.items()
            if key in ("tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values")
            for item in values.values()
        )


def _vet_name(name: Any) -> None:
    if not isinstance(name, str) or (name and not name.isidentifier()) or keyword.iskeyword(name):
        raise ValueError(f"names a value {name!r}, which is no identifier")


def _vet_expression(text: Any) -> None:
    if not isinstance(text, str) or len(text) > 100_000 or not _is_arithmetic(text):
        raise ValueError(f"has a size {str(text)[:80]!r}, which is no arithmetic expression")


def _is_arithmetic(text: str) -> bool:
    """Whether a size is arithmetic on names, small powers and known functions, nothing else."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    names = set()  # the strings that name symbols
    for node in nodes:
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            if called not in _SIZE_FUNCTIONS:
                return False
            if called == "Symbol":
                (name,) = node.args if len(node.args) == 1 else (None,)
                if not (isinstance(name, ast.Constant) and _is_symbol(name.value)):
                    return False
                names.add(id(name))
            if called in ("Pow", "PowByNatural") and not _is_small(node.args[1:]):
                return False
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            if not _is_small([node.right]):
                return False
        elif isinstance(node, ast.Name):
            if not re.fullmatch(r"[a-z]+\d+|[A-Z]\w*|true|false|int_oo", node.id):
                return False
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, (str, bytes)) and id(node) not in names:
                return False
        elif not isinstance(node, _SIZE_SYNTAX):
            return False
    return True


def _is_symbol(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z]\w*", value) is not None


def _is_small(exponents: list[ast.expr]) -> bool:
    """Whether every number in the exponents is at most 8."""
    return all(
        isinstance(n.value, int) and n.value <= 8
        for exponent in exponents
        for n in ast.walk(exponent)
        if isinstance(n, ast.Constant)
    ) and not any(isinstance(n, ast.BinOp) for e in exponents for n in ast.walk(e))
