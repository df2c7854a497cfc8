"""An exported program becomes a `Graph`: replay its nodes on symbolic tensors and record.

torch.export's own operators are those a model calls (`aten.linear`, `aten.reshape`, `aten.einsum`),
before the dispatcher takes composites apart. To get the operators that the eager tracer records,
nodes are handled in one of three ways:

- operators worth more than their pieces (linear, attention, norms) are recorded as they stand;
- operators that the dispatcher would not take apart are recorded with the output the program
  states, without running them;
- everything else (views, composites) runs on the program's symbolic tensors under the same
  recorder as an eager trace.

Nothing is computed: the tensors have shapes and no memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import fx, nn
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from costmodel.errors import TraceError
from costmodel.graph import Graph
from costmodel.tracing.recorder import Recorder, tensors_in
from costmodel.tracing.tape import Tape, Weight, contiguous

BOOKKEEPING = frozenset(
    {
        "aten::_assert_tensor_metadata",
        "aten::_assert_scalar",
        "aten::_assert_async",
        "aten::sym_constrain_range",
        "aten::sym_constrain_range_for_size",
    }
)
"""Checks that export inserts and no model runs."""

_WRAPPERS: Mapping[str, int] = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}
"""Regions of a program: how many settings stand before the submodule."""


class Replay:
    """One pass over an exported program.

    Args:
        program: of any IR level; the default one of `torch.export.export` keeps operators whole.
        classes: class name by module path; by default those the program itself remembers.
    """

    def __init__(self, program: ExportedProgram, classes: Mapping[str, str] | None = None) -> None:
        self.program = program
        self.tape = Tape(nn.Module())
        self.tape.paths.classes = dict(classes or {})
        self.inputs: list[torch.Tensor] = []
        self.outputs: list[torch.Tensor] = []
        self.weights: list[Weight] = []
        self._remember_classes = classes is None
        self._recorder = Recorder(self.tape)

    def run(self) -> None:
        """Record every node.

        Raises:
            TraceError: for a region that cannot be replayed (a data-dependent branch or loop).
        """
        with torch.no_grad(), _fake_mode_of(self.program), self._recorder:
            arguments = self._placeholders()
            result = self._graph(self.program.graph_module, arguments)
        self.outputs = tensors_in(result)

    def to_graph(self, name: str, read: Callable[[Any], Any], **fields: Any) -> Graph:
        """The recorded graph; `read` gives sizes as expressions, see `Tape.to_graph`."""
        return self.tape.to_graph(
            name, self.inputs, self.outputs, weights=self.weights, read=read, **fields
        )

    def _placeholders(self) -> list[Any]:
        """The program's arguments: weights are those of its signature, tied ones shared."""
        nodes = [n for n in self.program.graph.nodes if n.op == "placeholder"]
        kinds = {InputKind.PARAMETER: "parameter", InputKind.BUFFER: "buffer"}
        first: dict[Any, torch.Tensor] = {}
        arguments = []
        for node, spec in zip(nodes, self.program.graph_signature.input_specs, strict=True):
            value = node.meta.get("val")
            if spec.kind in kinds and isinstance(value, torch.Tensor):
                name = str(spec.target)
                owner = _identity(self.program.state_dict.get(name), name)
                if owner in first:
                    value = first[owner]
                else:
                    first[owner] = value
                    self.weights.append(Weight(name, value, kinds[spec.kind]))  # type: ignore[arg-type]
            elif spec.kind is InputKind.USER_INPUT:
                self.inputs.extend(tensors_in(value))
            arguments.append(value)
        return arguments

    def _graph(self, module: fx.GraphModule, arguments: list[Any]) -> Any:
        values: dict[fx.Node, Any] = {}
        supply = iter(arguments)

        def look_up(node: fx.Node) -> Any:
            return values[node]

        for node in module.graph.nodes:
            if node.op == "placeholder":
                values[node] = next(supply)
            elif node.op == "get_attr":
                values[node] = _attribute(module, node)
            elif node.op == "output":
                return fx.node.map_arg(node.args[0], look_up)
            else:
                self._enter(node)
                args = fx.node.map_arg(node.args, look_up)
                kwargs = fx.node.map_arg(node.kwargs, look_up)
                values[node] = self._call(node, args, dict(kwargs))
        raise TraceError("exported program has no output node")

    def _enter(self, node: fx.Node) -> None:
        """File what follows under the module that the node came from."""
        stack = list(node.meta.get("nn_module_stack", {}).values())
        if not stack:
            return
        if self._remember_classes:
            for path, kind in stack:
                name = kind if isinstance(kind, str) else kind.__name__
                self.tape.paths.classes[_path(path)] = name.rpartition(".")[2]
        self.tape.paths.current = _path(stack[-1][0])

    def _call(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        function, stated = node.target, node.meta.get("val")
        if isinstance(function, HigherOrderOperator):
            return self._region(function, args)
        if not isinstance(function, OpOverload):
            if getattr(function, "__name__", "") == "getitem":
                return args[0][args[1]]
            if isinstance(stated, torch.Tensor):
                raise TraceError(f"exported program calls {function}, which is no operator")
            return stated  # arithmetic on sizes
        name = function._schema.name
        if name in BOOKKEEPING or not _holds_tensor(stated):
            return stated
        if name == "aten::dropout" and not (args[2] if len(args) > 2 else kwargs.get("train")):
            return args[0]
        if _is_whole(name, args, kwargs):
            self._recorder.record(function, (), _ordered(function, args, kwargs), stated)
            self.tape.events[-1] = self.tape.events[-1]._replace(target=_WHOLE[name])
            return stated
        if not _is_direct(function):
            return function(*args, **kwargs)
        written = _written(function)
        result = stated if written is None else args[written]
        self._recorder.record(function, args, kwargs, result)
        return result

    def _region(self, function: HigherOrderOperator, args: tuple[Any, ...]) -> Any:
        settings = _WRAPPERS.get(function.__name__)
        if settings is None:
            raise TraceError(
                f"exported program has a {function.__name__!r} region: which way it goes depends "
                "on values; export the model with that branch fixed"
            )
        return self._graph(args[settings], list(args[settings + 1 :]))


# ------------------------------------------------------------- kinds of nodes

_WHOLE: Mapping[str, str] = {
    "aten::linear": "aten::linear",
    "aten::matmul": "aten::matmul",
    "aten::conv1d": "aten::convolution",
    "aten::conv2d": "aten::convolution",
    "aten::conv3d": "aten::convolution",
    "aten::batch_norm": "aten::batch_norm",
    "aten::layer_norm": "aten::layer_norm",
    "aten::group_norm": "aten::group_norm",
    "aten::scaled_dot_product_attention": "aten::scaled_dot_product_attention",
}
"""Composites recorded as one operator, under the name the eager tracer gives them."""


def _is_whole(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call is one that the eager tracer's shape rules record whole."""
    if name not in _WHOLE:
        return False
    x = args[0]
    if name == "aten::linear":
        bias = args[2] if len(args) > 2 else kwargs.get("bias")
        folds = x.dim() > 2 and bias is None and not _is_contiguous(x)
        return args[1].dim() == 2 and x.dim() > 0 and not folds
    if name == "aten::matmul":
        other = args[1]
        return x.dim() == other.dim() >= 3 and _same(x.shape[:-2], other.shape[:-2])
    if name.startswith("aten::conv"):
        padding = args[4] if len(args) > 4 else kwargs.get("padding", 0)
        return not isinstance(padding, str) and x.dim() == args[1].dim()
    if name == "aten::batch_norm":
        return args[3] is not None and not args[5]  # running statistics, not training
    return True


def _same(left: Any, right: Any) -> bool:
    return all(_expression(a) == _expression(b) for a, b in zip(left, right, strict=True))


def _expression(size: Any) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else size


def _is_contiguous(tensor: torch.Tensor) -> bool:
    """Contiguity read off the expressions: asking the tensor would add a guard."""
    shape = [_expression(s) for s in tensor.shape]
    return contiguous(shape, [_expression(s) for s in tensor.stride()])


@cache
def _is_direct(function: OpOverload) -> bool:
    """Whether an operator reaches the dispatcher as it is and makes new memory (or writes over)."""
    qualified: Any = function.name
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(
        qualified(), "CompositeImplicitAutograd"
    )
    arguments = function._schema.arguments
    views = any(a.alias_info is not None and not a.alias_info.is_write for a in arguments)
    # Resizing by a list of scales is a composite that would ask for sizes as numbers.
    taken_apart = composite and function._overloadname != "vec"
    return not taken_apart and not views and torch.Tag.inplace_view not in function.tags


@cache
def _written(function: OpOverload) -> int | None:
    """Position of the argument an in-place operator writes and returns."""
    for index, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            return index if not argument.kwarg_only else None
    return None


def _ordered(
    function: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments by schema name in its order, defaults of those left out included."""
    given = {a.name: v for a, v in zip(function._schema.arguments, args, strict=False)}
    given.update(kwargs)
    return {a.name: given.get(a.name, a.default_value) for a in function._schema.arguments}


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (
        isinstance(value, (list, tuple)) and any(_holds_tensor(v) for v in value)
    )


# ------------------------------------------------------------------- programs


def _fake_mode_of(program: ExportedProgram) -> Any:
    for node in program.graph.nodes:
        for tensor in tensors_in(node.meta.get("val")):
            mode = getattr(tensor, "fake_mode", None)
            if mode is not None:
                return mode
    raise TraceError("exported program has no tensors")


def _attribute(module: nn.Module, node: fx.Node) -> Any:
    value: Any = module
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return node.meta["val"] if isinstance(value, torch.Tensor) and "val" in node.meta else value


def _identity(tensor: Any, name: str) -> Any:
    """What tied weights have in common."""
    if not isinstance(tensor, torch.Tensor):
        return name
    if tensor.is_meta or not tensor.numel():
        return id(tensor)
    return tensor.data_ptr(), tuple(tensor.shape)


def _path(path: str) -> str:
    """ "layer1.0.conv1" of the "L['self'].layer1.0.conv1@1" forms that export writes."""
    return re.sub(r"@\d+", "", re.sub(r"^L\['self'\]\.?", "", path))
