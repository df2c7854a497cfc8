"""Recurrences that the transformers library runs as one fused kernel where it can.

On a GPU with the kernel package installed the library calls it; elsewhere it walks along the
sequence in Python, a dozen small operators per token. Tensors without values take the kernel: one
operator of the graph, `costmodel::selective_scan` (Mamba) or `costmodel::wkv` (RWKV). The gradient
of the former is one operator too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

_SCHEMAS = (
    "selective_scan(Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
    "Tensor? delta_bias, bool softplus) -> (Tensor, Tensor)",
    "selective_scan_backward(Tensor grad, Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, "
    "Tensor? D, Tensor? z, Tensor? delta_bias) -> Tensor[]",
    "wkv(Tensor time_decay, Tensor time_first, Tensor key, Tensor value) -> Tensor",
)


def use_kernels(model: nn.Module) -> None:
    """Let a model's recurrences be the fused kernels when it runs without values or gradients.

    A training step runs so the first time; gradients come when what it called is called again.
    """
    replaced = {
        "mamba_selective_scan": _selective_scan,
        "rwkv_linear_attention": _wkv,
    }
    for name in {type(module).__module__ for module in model.modules()}:
        file = sys.modules.get(name)
        for function, replacement in replaced.items():
            original = getattr(file, function, None)
            if original is not None and not hasattr(original, "_costmodel_original"):
                _register()
                setattr(file, function, replacement(original))


@cache
def _register() -> Any:
    make: Any = torch.library.Library
    library = make("costmodel", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    library.impl("selective_scan", _selective_scan_shapes, "Meta")
    library.impl(
        "selective_scan_backward",
        lambda grad, *saved: [torch.empty_like(t) for t in saved if t is not None],
        "Meta",
    )
    torch.library.register_autograd(
        "costmodel::selective_scan", _scan_gradients, setup_context=_keep, lib=library
    )
    library.impl("wkv", lambda time_decay, time_first, key, value: torch.empty_like(key), "Meta")
    return library


def _selective_scan_shapes(
    x: Tensor, dt: Tensor, A: Tensor, *others: Any  # noqa: N803
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """x (n, channels, steps), A (channels, states): the output and the last state."""
    return torch.empty_like(x), x.new_empty((*x.shape[:-1], A.shape[-1]))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs[:-1])


def _scan_gradients(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradients of all tensors that were given; the last state has none here."""
    saved = ctx.saved_tensors
    found = iter(torch.ops.costmodel.selective_scan_backward(grad, *saved))
    return (*(None if tensor is None else next(found) for tensor in saved), None)


def _selective_scan(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def scan(
        hidden_states: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor,  # noqa: N803
        D: Tensor | None = None, z: Tensor | None = None,  # noqa: N803
        delta_bias: Tensor | None = None, delta_softplus: bool = False,
        return_last_state: bool = False, **options: Any,
    ) -> Any:  # fmt: skip
        if not _takes_kernel(hidden_states):
            return original(
                hidden_states, dt, A, B, C, D=D, z=z, delta_bias=delta_bias,
                delta_softplus=delta_softplus, return_last_state=return_last_state, **options,
            )  # fmt: skip
        operator = torch.ops.costmodel.selective_scan
        y, state = operator(hidden_states, dt, A, B, C, D, z, delta_bias, delta_softplus)
        return (y, state) if return_last_state else y

    scan._costmodel_original = original  # type: ignore[attr-defined]
    return scan


def _wkv(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def wkv(
        time_decay: Tensor, time_first: Tensor, key: Tensor, value: Tensor, state: Any = None,
        return_state: bool = False,
    ) -> Any:  # fmt: skip
        if not _takes_kernel(key) or state is not None or return_state or key.shape[1] == 1:
            return original(time_decay, time_first, key, value, state, return_state)
        return torch.ops.costmodel.wkv(time_decay, time_first, key, value), None

    wkv._costmodel_original = original  # type: ignore[attr-defined]
    return wkv


def _takes_kernel(x: Tensor) -> bool:
    return (x.is_meta or isinstance(x, FakeTensor)) and not torch.is_grad_enabled()
