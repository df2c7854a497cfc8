"""timm's models, without weights, and the library's options that change what they run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from costmodel.errors import UnknownNameError, UsageError
from costmodel.tracing.building import IMAGE, build_device, build_on_meta

_MISSING = "timm is not installed; install it with: pip install 'roofline-costmodel[zoo]'"


def timm_names() -> list[str]:
    """All models of the installed timm. Raises UsageError if there is none."""
    try:
        import timm
    except ImportError:
        raise UsageError(_MISSING) from None
    return list(timm.list_models())


def load_timm(name: str, input_shape: Sequence[int] | None) -> tuple[nn.Module, Sequence[int]]:
    """A model on the meta device, and the shape of one of its own samples.

    Args:
        name: as `timm.list_models()` gives it, with or without a tag of weights.
        input_shape: of the sample it will run on, by default its own.

    Raises:
        UsageError: if timm is not installed.
        UnknownNameError: for an unknown model, with the nearest names.
        TraceError: if the model cannot be built.
    """
    known = timm_names()
    import timm

    if not timm.is_model(name.partition(".")[0]):  # knows the names of former releases too
        raise UnknownNameError("timm model", name.partition(".")[0], known)
    model = build_on_meta(f"timm:{name}", lambda: timm.create_model(name, pretrained=False))
    config = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", {})
    sample = tuple(config.get("input_size", IMAGE))
    if input_shape is not None and tuple(input_shape) != sample:
        # Models with position embeddings must be built for their image size; others take no size.
        try:
            with build_device():
                model = timm.create_model(name, pretrained=False, img_size=input_shape[-1])
        except TypeError:
            pass
    return model, sample


def set_fast_norms(model: nn.Module) -> None:
    """Let timm's norms run in the precision of autocast.

    They remember the library's option from when they were built. Set afterwards, for a model that
    runs itself while it is built does so on meta, where the option asks for an autocast that is not
    there.
    """
    for module in model.modules():
        if hasattr(module, "_fast_norm"):
            module._fast_norm = True  # type: ignore[assignment]


@contextmanager
def fused_attention(enabled: bool) -> Iterator[None]:
    """timm's models write their attention's scores out, while they are built with it off.

    Raises:
        UsageError: if that is asked for and timm is not installed.
    """
    if enabled:
        yield
        return
    try:
        from timm.layers import set_fused_attn, use_fused_attn
    except ImportError:
        raise UsageError(_MISSING) from None
    before = use_fused_attn()
    set_fused_attn(False)
    try:
        yield
    finally:
        set_fused_attn(before)


def reparameterized_form(model: nn.Module) -> nn.Module:
    """The model with the branches merged that only training needs.

    Raises:
        UsageError: if timm is not installed.
    """
    try:
        from timm.utils.model import reparameterize_model
    except ImportError:
        raise UsageError(_MISSING) from None
    with torch.device("meta"):
        return reparameterize_model(model)  # type: ignore[no-any-return]
