"""Models of the transformers library by their configuration: built without memory, never loaded.

hf:CONFIG.json            any transformers configuration file
hf:llama-3.1-8b           a well-known one, from `huggingface_models.yaml`
hf:mamba                  any model type of the library, with its default configuration
hf:llama-3.1-8b?decode=4096   one step of generation: a token after 4096 that are cached
hf:CONFIG.json?attention=eager   scores written to memory, as the library did before 4.40

The forward pass is that of inference over a whole sequence (the prefill of a language model); a
decode step reads the cached keys and values and adds those of its token. Only the library's own
classes are built: no code or weights from anywhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from costmodel.errors import TraceError, UnknownNameError, UsageError
from costmodel.tracing.building import WeightsLeftEmpty
from costmodel.tracing.huggingface_cache import filled_cache
from costmodel.tracing.huggingface_inputs import example_inputs, positional
from costmodel.tracing.huggingface_kernels import use_kernels
from costmodel.tracing.huggingface_values import answer_without_values

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
    chosen = _options(name, options)
    context = _decode_context(name, chosen.get("decode"))
    model = build(configuration(path), chosen.get("attention"))
    if context is None:
        return model, positional(model, example_inputs(model, batch, sample))
    if sample is not None:
        raise UsageError(f"hf:{name}: a decode step takes one token; leave out the input shape")
    return model, _decode_inputs(model, batch, context)


@cache
def known_models() -> Mapping[str, Mapping[str, Any]]:
    """The built-in configurations by name: source, parameters, config."""
    import yaml

    text = Path(__file__).with_name("huggingface_models.yaml").read_text()
    return dict(yaml.safe_load(text))


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
    if name in known:
        return dict(known[name]["config"])
    types = list(_library().CONFIG_MAPPING)
    if name in types:
        return {"model_type": name}
    raise UnknownNameError(
        "transformers model", name, [*known, *types],
        f"built in: {', '.join(known)}; any model type of the library stands for its default "
        "configuration; for any other give the file, hf:config.json",
    )  # fmt: skip


def _library() -> Any:
    try:
        import transformers
    except ImportError:
        raise UsageError(
            "transformers is not installed; install it with: pip install 'roofline-costmodel[hf]'"
        ) from None
    return transformers


def _harmless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _harmless(v) for key, v in value.items() if key not in _IGNORED}
    if isinstance(value, list):
        return [_harmless(v) for v in value]
    return value


# ------------------------------------------------------------------- building


def build(document: Mapping[str, Any], attention: str | None = None) -> nn.Module:
    """The model of a configuration, in float32 on the meta device.

    `attention` is "eager" or "sdpa", by default fused and without masks where none are needed.

    Raises:
        UsageError: if transformers is not installed.
        UnknownNameError: for a model type or architecture the library does not have.
        TraceError: if the library cannot build it.
    """
    transformers = _library()
    answer_without_values()
    entries = dict(document)
    kind = entries.pop("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        raise UnknownNameError("transformers model type", kind, list(transformers.CONFIG_MAPPING))
    try:
        config = transformers.CONFIG_MAPPING[kind].from_dict(entries)
        config.use_cache = False
        with torch.device("meta"), WeightsLeftEmpty():
            model = _architecture(transformers, document, config, attention)
        use_kernels(model)
    except UnknownNameError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise TraceError(
            f"hf model type {kind!r}: could not be built: {type(error).__name__}: {text[:300]}"
        ) from error
    return model


def _architecture(
    transformers: Any, document: Mapping[str, Any], config: Any, attention: str | None
) -> nn.Module:
    names = document.get("architectures") or []
    family: Any
    if names:
        family = getattr(transformers, str(names[0]), None)
        if not (isinstance(family, type) and issubclass(family, transformers.PreTrainedModel)):
            models = [n for n in dir(transformers) if n.startswith(type(config).__name__[:4])]
            raise UnknownNameError("transformers architecture", str(names[0]), models)
    else:
        family = _usual_family(transformers, config)
    if attention is None and _needs_no_mask(family, config):
        unmasked = _unmasked_attention()
        try:
            return family._from_config(config, attn_implementation=unmasked)  # type: ignore[no-any-return]
        except KeyError as error:  # a model with a table of attentions of its own
            if error.args != (unmasked,):
                raise
    return family._from_config(config, attn_implementation=attention)  # type: ignore[no-any-return]


def _usual_family(transformers: Any, config: Any) -> Any:
    """The class meant by a configuration that names none.

    Models that generate have their head; all others are the base model, or where the library has
    none, the first of their tasks.
    """
    auto = transformers.models.auto.modeling_auto
    kind = type(config)
    if getattr(config, "is_encoder_decoder", False):
        first = [auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
                 auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING]  # fmt: skip
    elif kind not in auto.MODEL_FOR_MASKED_LM_MAPPING:
        first = [auto.MODEL_FOR_CAUSAL_LM_MAPPING]
    else:
        first = []
    tasks = [
        v for n, v in vars(auto).items() if n.startswith("MODEL_FOR_") and n.endswith("_MAPPING")
    ]
    for mapping in (*first, auto.MODEL_MAPPING, *tasks):
        if kind in mapping:
            found = mapping[kind]
            return found[0] if isinstance(found, (list, tuple)) else found
    raise UnknownNameError(
        "transformers model for", kind.__name__, [],
        f'{kind.__name__} belongs to no model by itself; name one in "architectures"',
    )  # fmt: skip


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


# --------------------------------------------------------------------- decode


def _options(name: str, text: str) -> dict[str, str]:
    """What follows the question mark: decode=TOKENS, attention=eager or sdpa, joined by &."""
    options = {}
    for part in filter(None, text.split("&")):
        key, _, value = part.partition("=")
        if key not in ("decode", "attention"):
            raise UsageError(f"hf:{name}: no option {key!r}; known: decode=TOKENS, attention=eager")
        options[key] = value
    if options.get("attention", "eager") not in ("eager", "sdpa"):
        raise UsageError(f"hf:{name}: expected ?attention=eager or ?attention=sdpa")
    return options


def _decode_context(name: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or int(value) < 1:
        raise UsageError(f"hf:{name}: expected ?decode=TOKENS, the number of cached tokens")
    return int(value)


def _decode_inputs(model: Any, batch: int, context: int) -> tuple[Any, ...]:
    """One token after `context` cached ones, and the cache."""
    if model.config.is_encoder_decoder or not model.can_generate():
        raise UsageError(
            f"{type(model).__name__}: a decode step needs a language model without an encoder"
        )
    return positional(
        model,
        {
            "input_ids": torch.empty((batch, 1), dtype=torch.int64, device="meta"),
            "past_key_values": filled_cache(model.config, batch, context),
        },
    )
