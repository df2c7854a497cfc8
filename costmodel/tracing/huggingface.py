"""Models of the transformers library by their configuration: built without memory, never loaded.

hf:CONFIG.json            any transformers configuration file
hf:llama-3.1-8b           a well-known one, from `huggingface_models.yaml`
hf:llama-3.1-8b?decode=4096   one step of generation: a token after 4096 that are cached

The forward pass is that of inference over a whole sequence (the prefill of a language model); a
decode step reads the cached keys and values and adds those of its token. Only the library's own
classes are built: no code or weights from anywhere else.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from costmodel.errors import TraceError, UnknownNameError, UsageError

SEQUENCE = 512
"""Tokens of a sample when none are asked for, or the model's longest if that is shorter."""

_IGNORED = frozenset(
    {
        "auto_map", "quantization_config", "torch_dtype", "dtype", "transformers_version",
        "_attn_implementation", "attn_implementation", "_attn_implementation_internal",
        "_experts_implementation", "experts_implementation", "_name_or_path", "custom_pipelines",
        "use_pretrained_backbone", "use_cache", "torchscript",
    }
)  # fmt: skip
"""Entries that fetch code or weights, or state a precision (which is a setting of the estimate)."""


def load_huggingface(
    name: str, batch: int, sample: Sequence[int] | None
) -> tuple[nn.Module, tuple[Any, ...]]:
    """A model and its example inputs, both on the meta device.

    Args:
        name: what follows "hf:", see the module's docstring.
        batch: number of sequences or images.
        sample: (tokens,) of a token model, (source tokens, target tokens) of an encoder-decoder,
            (channels, height, width) of an image model, (target tokens,) of a speech model.

    Raises:
        UsageError: if transformers is not installed, or a file, shape or option makes no sense.
        UnknownNameError: for an unknown model or architecture.
        TraceError: if the library cannot build the model.
    """
    path, _, options = name.partition("?")
    context = _decode_context(name, options)
    model = build(configuration(path))
    if context is None:
        return model, _inputs(model, batch, sample)
    if sample is not None:
        raise UsageError(f"hf:{name}: a decode step takes one token; leave out the input shape")
    return model, _decode_inputs(model, batch, context)


@cache
def known_models() -> Mapping[str, Mapping[str, Any]]:
    """The built-in configurations by name: source, parameters, config."""
    from ruamel.yaml import YAML

    text = Path(__file__).with_name("huggingface_models.yaml").read_text()
    return dict(YAML(typ="safe").load(text))


def configuration(name: str) -> dict[str, Any]:
    """The configuration a name or a JSON file states, without what could fetch code or weights.

    Raises:
        UsageError: if the file does not exist or states no model type.
        UnknownNameError: for a name that is not built in.
    """
    if name.endswith(".json"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"{name}: no such file")
        try:
            document = json.loads(path.read_text())
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{name}: not a JSON document: {error}") from error
        if not isinstance(document, dict) or not isinstance(document.get("model_type"), str):
            raise UsageError(f'{name}: not a transformers configuration: it has no "model_type"')
        return dict(_harmless(document))
    known = known_models()
    if name not in known:
        raise UnknownNameError(
            "transformers model", name, known,
            f"built in: {', '.join(known)}; for any other give its configuration, hf:config.json",
        )  # fmt: skip
    return dict(known[name]["config"])


def _harmless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _harmless(v) for key, v in value.items() if key not in _IGNORED}
    if isinstance(value, list):
        return [_harmless(v) for v in value]
    return value


# ------------------------------------------------------------------- building


def build(document: Mapping[str, Any]) -> nn.Module:
    """The model of a configuration, in float32 on the meta device.

    Raises:
        UsageError: if transformers is not installed.
        UnknownNameError: for a model type or architecture the library does not have.
        TraceError: if the library cannot build it.
    """
    try:
        import transformers
    except ImportError:
        raise UsageError(
            "transformers is not installed; install it with: pip install 'roofline-costmodel[hf]'"
        ) from None
    entries = dict(document)
    kind = entries.pop("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        raise UnknownNameError("transformers model type", kind, list(transformers.CONFIG_MAPPING))
    try:
        config = transformers.CONFIG_MAPPING[kind].from_dict(entries)
        config.use_cache = False
        with torch.device("meta"):
            model = _architecture(transformers, document, config)
    except UnknownNameError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise TraceError(
            f"hf model type {kind!r}: could not be built: {type(error).__name__}: {text[:300]}"
        ) from error
    return model


def _architecture(transformers: Any, document: Mapping[str, Any], config: Any) -> nn.Module:
    names = document.get("architectures") or []
    if not names:
        model: nn.Module = transformers.AutoModel.from_config(config, trust_remote_code=False)
        return model
    found = getattr(transformers, str(names[0]), None)
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        models = [n for n in dir(transformers) if n.startswith(type(config).__name__[:4])]
        raise UnknownNameError("transformers architecture", str(names[0]), models)
    family: Any = found
    attention = _unmasked_attention() if _needs_no_mask(family, config) else None
    built: nn.Module = family._from_config(config, attn_implementation=attention)
    return built


def _needs_no_mask(family: Any, config: Any) -> bool:
    """Whether attention sees everything, or everything before it: then no mask is ever built."""
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    windows = ("sliding_window", "attention_chunk_size", "attention_window")
    windowed = any(getattr(text, name, None) for name in windows)
    return kinds == {"full_attention"} and not windowed and bool(family._supports_sdpa)


@cache
def _unmasked_attention() -> str:
    """The library's own fused attention under a name for which it builds no masks.

    A sample has no padding, so that a mask would only say what "causal" says. Under torch.export
    the library builds it all the same, and attention would be counted in full.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register("unmasked_sdpa", sdpa_attention_forward)
    return "unmasked_sdpa"


# --------------------------------------------------------------------- inputs


def _inputs(model: Any, batch: int, sample: Sequence[int] | None) -> tuple[Any, ...]:
    config, main = model.config, model.main_input_name
    shape = None if sample is None else tuple(sample)
    if shape is not None and any(size < 1 for size in shape):
        raise UsageError(f"input shape {shape}: sizes must be positive")
    target: int | None = None
    if main == "input_ids":
        stated = [getattr(config, n, None) for n in ("max_position_embeddings", "n_positions")]
        longest = min([SEQUENCE, *(int(n) for n in stated if n)])
        shape = _of_rank(shape or (longest,), (1, 2), "(tokens,)")
        if len(shape) == 2 and not config.is_encoder_decoder:
            raise UsageError(f"input shape {shape}: expected (tokens,)")
        target = shape[-1]
        given = _tokens(batch, shape[0])
    elif main == "pixel_values":
        size = getattr(config, "image_size", 224)
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        default = (getattr(config, "num_channels", 3), height, width)
        shape = _of_rank(shape or default, (3,), "(channels, height, width)")
        given = torch.empty((batch, *shape), device="meta")
    elif main == "input_features" and hasattr(config, "num_mel_bins"):
        target = _of_rank(shape or (config.max_target_positions,), (1,), "(target tokens,)")[0]
        frames = 2 * config.max_source_positions  # the second convolution halves them
        given = torch.empty((batch, config.num_mel_bins, frames), device="meta")
    else:
        raise UsageError(
            f"{type(model).__name__} takes {main!r}, for which no example input is known; build it "
            "in a file of yours and use FILE.py:factory"
        )
    arguments: dict[str, Any] = {main: given}
    order = inspect.signature(model.forward).parameters
    masked = config._attn_implementation != "unmasked_sdpa"
    if masked and model.can_generate() and "past_key_values" in order:
        arguments["past_key_values"] = passing_cache(config)
    if getattr(config, "is_encoder_decoder", False) and target is not None:
        arguments["decoder_input_ids"] = _tokens(batch, target)
    return _positional(model, arguments)


def _of_rank(shape: tuple[int, ...], ranks: tuple[int, ...], expected: str) -> tuple[int, ...]:
    if len(shape) not in ranks:
        raise UsageError(f"input shape {shape}: expected {expected}")
    return shape


def _tokens(batch: int, count: int) -> torch.Tensor:
    return torch.empty((batch, count), dtype=torch.int64, device="meta")


def _positional(model: nn.Module, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    """Arguments in the order of the model's forward, None for those before that are not given."""
    order = list(inspect.signature(model.forward).parameters)
    missing = [name for name in arguments if name not in order]
    if missing:
        raise TraceError(f"{type(model).__name__}.forward takes no {', '.join(missing)}")
    last = max(order.index(name) for name in arguments)
    return tuple(arguments.get(name) for name in order[: last + 1])


# --------------------------------------------------------------------- decode


def _decode_context(name: str, options: str) -> int | None:
    if not options:
        return None
    key, _, value = options.partition("=")
    if key != "decode" or not value.isdigit() or int(value) < 1:
        raise UsageError(f"hf:{name}: expected ?decode=TOKENS, the number of cached tokens")
    return int(value)


def _decode_inputs(model: Any, batch: int, context: int) -> tuple[Any, ...]:
    """One token after `context` cached ones, and the cache."""
    if model.config.is_encoder_decoder or not model.can_generate():
        raise UsageError(
            f"{type(model).__name__}: a decode step needs a language model without an encoder"
        )
    return _positional(
        model,
        {
            "input_ids": _tokens(batch, 1),
            "past_key_values": filled_cache(model.config, batch, context),
        },
    )


def passing_cache(config: Any) -> Any:
    """A cache that keeps nothing: attention sees the keys and values of this forward only.

    Without any cache the library looks at position values for packed sequences, which have none
    on the meta device; with its own it would copy keys and values.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer, EncoderDecoderCache

    class PassingLayer(DynamicLayer):  # type: ignore[misc]
        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return key_states, value_states

    def empty() -> Any:
        cache_ = DynamicCache()
        cache_.layer_class_to_replicate = PassingLayer
        return cache_

    return EncoderDecoderCache(empty(), empty()) if config.is_encoder_decoder else empty()


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
