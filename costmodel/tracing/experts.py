"""Mixtures of experts that look up their experts by value: every expert gets its even share.

Which tokens an expert is given depends on values, which meta tensors have not. A router is trained
to spread tokens evenly, so the trace spreads them so, up to the capacity of an expert where the
model states one, and the graph says that it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from costmodel.tracing.bounds import Bounds

EVENLY = "tokens are spread evenly over the experts"


@contextmanager
def even_experts(model: nn.Module, bounds: Bounds) -> Iterator[None]:
    """Give each expert of such mixtures its even share; nothing for other models."""
    with ExitStack() as stack:
        for mixture in model.modules():
            experts = getattr(mixture, "experts", None)
            if isinstance(experts, nn.ModuleDict) and hasattr(experts, "num_experts"):
                share = _Share(mixture, bounds)
                handle = mixture.register_forward_pre_hook(share.see)
                stack.callback(handle.remove)
                stack.enter_context(patch.object(experts, "forward", share.run))
        yield


class _Share:
    """Runs the experts of one mixture on as many tokens each."""

    def __init__(self, mixture: Any, bounds: Bounds) -> None:
        self.experts, self.bounds = list(mixture.experts.values()), bounds
        self.capacity = getattr(getattr(mixture, "router", None), "expert_capacity", None)
        self.samples = 1

    def see(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Note how many samples share the capacity's count."""
        if args and isinstance(args[0], Tensor) and args[0].dim() == 3:
            self.samples = int(args[0].shape[0])

    def run(self, hidden: Tensor, selected: Tensor, weights: Tensor) -> Tensor:
        """What the mixture's experts do, (tokens, width) to (tokens, width)."""
        self.bounds.assume(EVENLY)
        chosen = hidden.shape[0] * weights.shape[-1]
        if self.capacity is not None:
            chosen = min(chosen, self.capacity * self.samples * len(self.experts))
        result = torch.zeros_like(hidden)
        for index, expert in enumerate(self.experts):
            count = chosen // len(self.experts) + (index < chosen % len(self.experts))
            tokens = torch.empty(count, dtype=torch.int64, device=hidden.device)
            given = weights[tokens][:, :1]
            result.index_add_(0, tokens, expert(hidden[tokens]) * given)
        return result
