"""Single operators as sources of measurement: "op:conv2d n=8 c_in=64 c_out=64 h=56 k=3".

A name may have lists ("c_in=64,128"), which stand for a grid: every combination is one source.
Sizes that are left out take the defaults of `OPERATORS`; w is h unless given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from costmodel.errors import TraceError, UnknownNameError, UsageError
from costmodel.graph import Graph

if TYPE_CHECKING:
    from torch import nn

PREFIX = "op:"
MOST = 100_000
"""Operators that one grid may stand for."""
Sizes = dict[str, int]


class OperatorSource(NamedTuple):
    """How to build one operator from its sizes."""

    defaults: Sizes
    """Every size it takes; 0 stands for one that must be given."""
    module: Callable[[Sizes], nn.Module]
    shapes: Callable[[Sizes], tuple[tuple[int, ...], ...]]
    """Of its inputs, samples first."""


def is_operator(source: str) -> bool:
    """Whether a source is a single operator."""
    return source.startswith(PREFIX)


def expand(source: str) -> list[str]:
    """Every source of a grid, in canonical spelling: all sizes, in order.

    Raises:
        UnknownNameError: for an operator or size that does not exist.
        UsageError: for a size that is missing or not a number of at least 1, or a huge grid.
    """
    name, _, rest = source.removeprefix(PREFIX).strip().partition(" ")
    if name not in OPERATORS:
        raise UnknownNameError("operator", name, OPERATORS, f"known: {', '.join(OPERATORS)}")
    defaults = OPERATORS[name].defaults
    given: dict[str, list[int]] = {}
    for word in rest.split():
        size, equals, listed = word.partition("=")
        if not equals or size not in defaults:
            raise UnknownNameError(
                f"size of op:{name}", size, defaults, f"it takes {', '.join(defaults)}"
            )
        given[size] = [_whole(source, size, value) for value in listed.split(",")]
    missing = [size for size, default in defaults.items() if not default and size not in given]
    if "w" in missing and "h" not in missing:
        missing.remove("w")
    if missing:
        raise UsageError(f"{source}: no {', '.join(missing)}; expected {size_hint(name)}")
    axes = [given.get(size, [default]) for size, default in defaults.items()]
    if (count := prod(map(len, axes))) > MOST:
        raise UsageError(f"op:{name}: a grid of {count:,}; at most {MOST:,} are measured at once")
    found = []
    for combination in product(*axes):
        sizes = dict(zip(defaults, combination, strict=True))
        if sizes.get("w") == 0:
            sizes["w"] = sizes["h"]
        found.append(PREFIX + " ".join([name, *(f"{k}={v}" for k, v in sizes.items())]))
    return found


def size_hint(name: str) -> str:
    """Sizes of an operator with their defaults: "n= c= h= k=3"."""
    return " ".join(f"{k}={v or ''}" for k, v in OPERATORS[name].defaults.items())


def _whole(source: str, size: str, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise UsageError(f"{source}: {size}={text!r}; expected a whole number of at least 1")
    return value


def parse(source: str) -> tuple[str, Sizes]:
    """Name and sizes of one operator.

    Raises:
        UnknownNameError: for an operator or size that does not exist.
        UsageError: if it is a grid, or a size is missing.
    """
    found = expand(source)
    if len(found) != 1:
        raise UsageError(f"{source}: stands for {len(found)} operators; expected one")
    name, _, rest = found[0].removeprefix(PREFIX).partition(" ")
    pairs = (word.split("=") for word in rest.split())
    return name, {key: int(value) for key, value in pairs}


def build_operator(source: str) -> tuple[nn.Module, tuple[tuple[int, ...], ...]]:
    """The operator as a module, on the default device, and the shapes of its inputs.

    Raises:
        UsageError: if the sizes do not go together.
    """
    name, sizes = parse(source)
    try:
        module = OPERATORS[name].module(sizes)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"{source}: {error}") from error
    return module.eval(), OPERATORS[name].shapes(sizes)


def operator_graph(source: str, **conditions: Any) -> Graph:
    """The graph of one operator.

    Raises:
        UsageError: if the source makes no sense.
        TraceError: if it fails on these sizes.
    """
    import torch

    from costmodel.tracing.eager import trace

    options = {k: v for k, v in conditions.items() if k != "fast_norm"}
    with torch.device("meta"):
        module, shapes = build_operator(source)
    try:
        return trace(module, *shapes, name=source, **options)
    except TraceError as error:
        raise TraceError(f"{source}: {error}") from error


def grid(sources: Sequence[str]) -> Iterator[str]:
    """Models as they are, operators expanded."""
    for source in sources:
        yield from expand(source) if is_operator(source) else [source]


# ------------------------------------------------------------------- operators


def _conv2d(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.Conv2d(
        s["c_in"], s["c_out"], s["k"], s["stride"], s["k"] // 2, groups=s["groups"], bias=False
    )


def _dwconv(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.Conv2d(s["c"], s["c"], s["k"], s["stride"], s["k"] // 2, groups=s["c"], bias=False)


def _pconv(s: Sizes) -> nn.Module:
    from costmodel.zoo.pconv import PConv

    return PConv(s["c"], 1 / s["parts"], s["k"])


def _linear(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.Linear(s["c_in"], s["c_out"])


def _function(call: Callable[..., Any]) -> nn.Module:
    from torch import nn

    class Function(nn.Module):
        def forward(self, *inputs: Any) -> Any:
            return call(*inputs)

    return Function()


def _attention(s: Sizes) -> nn.Module:
    from torch.nn.functional import scaled_dot_product_attention

    return _function(scaled_dot_product_attention)


def _layer_norm(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.LayerNorm(s["c"])


def _batch_norm(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.BatchNorm2d(s["c"])


def _group_norm(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.GroupNorm(s["groups"], s["c"])


def _softmax(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.Softmax(-1)


def _gelu(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.GELU()


def _relu(s: Sizes) -> nn.Module:
    from torch import nn

    return nn.ReLU()


def _add(s: Sizes) -> nn.Module:
    return _function(lambda a, b: a + b)


def _image(channels: str) -> Callable[[Sizes], tuple[tuple[int, ...], ...]]:
    return lambda s: ((s["n"], s[channels], s["h"], s["w"]),)


def _tokens(channels: str) -> Callable[[Sizes], tuple[tuple[int, ...], ...]]:
    return lambda s: ((s["n"], s["l"], s[channels]),)


def _heads(s: Sizes) -> tuple[tuple[int, ...], ...]:
    return ((s["n"], s["heads"], s["l"], s["d"]),) * 3


def _pair(s: Sizes) -> tuple[tuple[int, ...], ...]:
    return ((s["n"], s["c"], s["h"], s["w"]),) * 2


_PLANES = {"n": 1, "c": 0, "h": 0, "w": 0}
_ROWS = {"n": 1, "l": 0, "c": 0}

OPERATORS: dict[str, OperatorSource] = {
    "conv2d": OperatorSource(
        {"n": 1, "c_in": 0, "c_out": 0, "h": 0, "w": 0, "k": 3, "stride": 1, "groups": 1},
        _conv2d,
        _image("c_in"),
    ),
    "dwconv": OperatorSource({**_PLANES, "k": 3, "stride": 1}, _dwconv, _image("c")),
    "pconv": OperatorSource({**_PLANES, "k": 3, "parts": 4}, _pconv, _image("c")),
    "linear": OperatorSource({"n": 1, "l": 1, "c_in": 0, "c_out": 0}, _linear, _tokens("c_in")),
    "attention": OperatorSource({"n": 1, "heads": 0, "l": 0, "d": 64}, _attention, _heads),
    "layer_norm": OperatorSource(_ROWS, _layer_norm, _tokens("c")),
    "batch_norm": OperatorSource(_PLANES, _batch_norm, _image("c")),
    "group_norm": OperatorSource({**_PLANES, "groups": 32}, _group_norm, _image("c")),
    "softmax": OperatorSource(_ROWS, _softmax, _tokens("c")),
    "gelu": OperatorSource(_ROWS, _gelu, _tokens("c")),
    "relu": OperatorSource(_PLANES, _relu, _image("c")),
    "add": OperatorSource(_PLANES, _add, _pair),
}
"""Operators that can be measured by themselves, by name."""
