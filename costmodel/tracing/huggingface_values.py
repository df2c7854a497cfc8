"""Questions about values that the transformers library asks, answered for a sample that has none.

Before it computes, the library looks whether tokens are padding, whether several sequences are
packed into one, and whether shapes of one input fit values of another. A sample here is one
sequence without padding that fits; tensors with values are still looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor


@cache
def answer_without_values() -> None:
    """Make the library ask no values of tensors on the meta device."""
    from transformers import PreTrainedModel, masking_utils
    from transformers.integrations import moe

    _answered(masking_utils, "find_packed_sequence_indices", 0, lambda *_: None)
    _answered(PreTrainedModel, "warn_if_padding_and_no_attention_mask", 1, lambda *_: None)
    _answered(torch, "_check_tensor_all_with", 1, lambda *_: None)
    _answered(moe, "_can_use_grouped_mm", 0, lambda *_: True)
    for name in ("_ignore_causal_mask_sdpa", "_ignore_bidirectional_mask_sdpa"):
        _unpadded(masking_utils, name)


def _answered(owner: Any, name: str, position: int, answer: Callable[..., Any]) -> None:
    """Answer a function where its argument at a position has no values."""
    original = getattr(owner, name)

    @wraps(original)
    def asked(*args: Any, **kwargs: Any) -> Any:
        given = [*args, *kwargs.values()]
        if position < len(given) and _has_no_values(given[position]):
            return answer(*args)
        return original(*args, **kwargs)

    setattr(owner, name, asked)


def _unpadded(owner: Any, name: str) -> None:
    """Leave out a padding mask without values: it would be all ones."""
    original = getattr(owner, name)

    @wraps(original)
    def asked(*args: Any, **kwargs: Any) -> Any:
        if args and _has_no_values(args[0]):
            args = (None, *args[1:])
        if _has_no_values(kwargs.get("padding_mask")):
            kwargs["padding_mask"] = None
        return original(*args, **kwargs)

    setattr(owner, name, asked)


def _has_no_values(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and (value.is_meta or isinstance(value, FakeTensor))
