"""A key-value cache of a transformers model, full and without values: what a decode step reads."""

from __future__ import annotations

from typing import Any

import torch

from costmodel.errors import UsageError


def filled_cache(config: Any, batch: int, context: int) -> Any:
    """A key-value cache that holds `context` tokens and has room for one more.

    The new token's keys and values are written into it and nothing is moved, as serving engines
    do; the library's growing cache would copy everything at each step.

    Raises:
        UsageError: for a model whose layers keep another state than keys and values.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer

    class FilledLayer(DynamicLayer):  # type: ignore[misc]
        def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
            super().__init__()
            self.keys, self.values = keys, values
            self.dtype, self.device = keys.dtype, keys.device
            self.is_initialized = True

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            self.keys[:, :, -1:] = key_states
            self.values[:, :, -1:] = value_states
            return self.keys, self.values

        def get_seq_length(self) -> int:
            return int(self.keys.shape[-2]) - 1

    class FilledCache(DynamicCache):  # type: ignore[misc]
        __dataclass_fields__ = ("tensors",)  # its tensors are inputs of the model

        @property
        def tensors(self) -> list[torch.Tensor]:
            return [t for layer in self.layers for t in (layer.keys, layer.values)]

    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    window = getattr(text, "sliding_window", None)
    if not kinds <= {"full_attention", "sliding_attention"} or (window and context >= window):
        raise UsageError(
            f"{text.model_type}: a decode step is known for layers that keep all keys and values; "
            f"this one has {', '.join(sorted(kinds))}"
            + (f" with a window of {window} tokens" if window else "")
        )
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    cache_ = FilledCache()
    cache_.layers = [
        FilledLayer(
            *(torch.empty((batch, heads, context + 1, size), device="meta") for _ in range(2))
        )
        for _ in range(text.num_hidden_layers)
    ]
    return cache_
