"""A key-value cache of a transformers model, full and without values: what a decode step reads."""

from __future__ import annotations

from typing import Any

import torch

from costmodel.errors import UsageError
from costmodel.tracing.rules import no_dispatch

KNOWN_LAYERS = frozenset({"full_attention", "sliding_attention"})
"""Kinds of layers that remember keys and values and nothing else."""


def filled_cache(config: Any, batch: int, context: int) -> Any:
    """A key-value cache that holds `context` tokens and has room for one more.

    Layers with a window hold the last window - 1. The new token's keys and values are written into
    it and nothing is moved, as serving engines do; the library's growing cache would copy
    everything at each step.

    Raises:
        UsageError: for a model whose layers keep another state than keys and values.
    """
    text = config.get_text_config()
    window: int = getattr(text, "sliding_window", None) or 0
    default = "sliding_attention" if window else "full_attention"
    kinds = getattr(text, "layer_types", None) or [default] * text.num_hidden_layers
    if not KNOWN_LAYERS.issuperset(kinds):
        raise UsageError(
            f"{text.model_type}: a decode step is known for layers that keep keys and values; this "
            f"one has {', '.join(sorted(set(kinds)))}"
        )
    shapes = _shapes(text, batch)
    layer_class, cache_class = _classes()
    filled = cache_class()
    for kind in kinds:
        sliding = kind == "sliding_attention" and window > 0
        held = min(context, window - 1) if sliding else context
        filled.layers.append(layer_class(context, held, sliding, shapes))
    return filled


def _shapes(text: Any, batch: int) -> tuple[int, int, int] | None:
    """(batch, heads, size of one head); None if the configuration does not say."""
    if getattr(text, "kv_lora_rank", None):  # compressed, each model in its own way
        return None
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return batch, heads, size


def _classes() -> tuple[type, type]:
    from transformers.cache_utils import DynamicCache, DynamicLayer

    class FilledLayer(DynamicLayer):  # type: ignore[misc]
        """One layer: `held` of the `context` tokens before, and a place for the new one."""

        keys: Any
        values: Any

        def __init__(
            self, context: int, held: int, is_sliding: bool, shapes: tuple[int, int, int] | None
        ) -> None:
            super().__init__()
            self.context, self.held, self.is_sliding = context, held, is_sliding
            self.is_initialized = True
            self.dtype, self.device = torch.float32, torch.device("meta")
            if shapes is not None:
                *outer, size = shapes
                self.keys, self.values = (
                    torch.empty((*outer, held + 1, size), device="meta") for _ in range(2)
                )

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if self.keys is None:
                self.keys, self.values = self._room(key_states), self._room(value_states)
            self.keys[:, :, -1:] = key_states
            self.values[:, :, -1:] = value_states
            return self.keys, self.values

        def _room(self, states: torch.Tensor) -> torch.Tensor:
            """Memory for what one token adds, of all tokens: an input, not made by the model."""
            shape = (*states.shape[:-2], self.held + 1, states.shape[-1])
            with torch._C.DisableTorchFunction(), no_dispatch():
                return torch.empty(shape, dtype=states.dtype, device="meta")

        def get_seq_length(self) -> int:
            return int(self.context)

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return self.held + query_length, self.context - self.held

    class FilledCache(DynamicCache):  # type: ignore[misc]
        __dataclass_fields__ = ("tensors",)  # its tensors are inputs of the model

        @property
        def tensors(self) -> list[torch.Tensor]:
            kept = [t for layer in self.layers for t in (layer.keys, layer.values)]
            return [t for t in kept if t is not None]

    return FilledLayer, FilledCache
