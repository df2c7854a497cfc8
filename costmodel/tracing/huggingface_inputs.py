"""Example inputs of transformers models, by the names of what their forward takes.

A sample is one sequence, image, clip or recording, without padding. Sizes come from the
configuration; where it states none, they are those below.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from costmodel.errors import TraceError, UsageError

SEQUENCE = 512
"""Tokens of a sample when none are asked for, or the model's longest if that is shorter."""

IMAGE_SIZE = 224
"""Pixels along each side of an image."""

WAVEFORM = 160_000
"""Values of a recording: ten seconds at 16 kHz."""

FRAMES = 1000
"""Steps of a spectrogram: ten seconds in hops of 10 ms."""

Shape = tuple[int, ...]

_PARTS = ("text_config", "vision_config", "audio_config", "encoder", "decoder", "backbone_config",
          "text_encoder", "audio_encoder", "thinker_config", "encoder_config")  # fmt: skip
"""Where configurations keep those of their parts."""


def example_inputs(
    model: nn.Module, batch: int, sample: Sequence[int] | None = None
) -> dict[str, torch.Tensor]:
    """Tensors on the meta device by the name of the argument.

    Given are the model's main input, all that its forward requires, target tokens where a decoder
    needs them, and both sides of a model that compares images or sounds with texts.

    Args:
        model: of the transformers library.
        batch: number of samples.
        sample: shape of one main input; of an encoder-decoder (source tokens, target tokens); of a
            speech model (target tokens,).

    Raises:
        UsageError: for a shape that does not fit, or an input that is not known here.
    """
    config: Any = model.config
    if sample is not None and any(size < 1 for size in sample):
        raise UsageError(f"input shape {tuple(sample)}: sizes must be positive")
    order = inspect.signature(model.forward).parameters
    mains = _mains(model, order)
    shapes: dict[str, Shape] = {}
    for name in (*mains, *_others(model, order, mains)):
        shape = _shape_of(name, config, type(model).__name__)
        if name == mains[0] and sample is not None and name not in ("input_features",):
            shape = _asked(name, tuple(sample), shape, bool(config.is_encoder_decoder))
        shapes[name] = shape
    for name in ("decoder_input_ids", "decoder_inputs"):
        if name in order and getattr(config, "is_encoder_decoder", False):
            shapes[name] = _target(config, mains[0], shapes[mains[0]], sample)
    return {name: _tensor(name, batch, shape) for name, shape in shapes.items()}


def positional(model: nn.Module, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    """Arguments in the order of the model's forward, None for those before that are not given.

    Raises:
        TraceError: if the forward does not take one of them.
    """
    order = list(inspect.signature(model.forward).parameters)
    missing = [name for name in arguments if name not in order]
    if missing:
        raise TraceError(f"{type(model).__name__}.forward takes no {', '.join(missing)}")
    last = max(order.index(name) for name in arguments)
    return tuple(arguments.get(name) for name in order[: last + 1])


# ---------------------------------------------------------------- which inputs


def _mains(model: Any, order: Mapping[str, inspect.Parameter]) -> list[str]:
    stated = model.main_input_name
    names = [stated] if isinstance(stated, str) else list(stated)
    present = [name for name in names if name in order]
    if present:
        return present
    first = next(iter(order))
    if first not in _SHAPES:
        raise UsageError(
            f"{type(model).__name__} takes {first!r}, for which no example input is known; build "
            "it in a file of yours and use FILE.py:factory"
        )
    return [first]


def _others(
    model: Any, order: Mapping[str, inspect.Parameter], mains: Sequence[str]
) -> Iterator[str]:
    compares = hasattr(model, "get_text_features") and any(
        hasattr(model, f"get_{kind}_features") for kind in ("image", "audio", "video")
    )
    for name, parameter in order.items():
        if name in mains or name == "decoder_input_ids":
            continue
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        needed = parameter.default is parameter.empty and not variadic
        pair = compares and name in ("input_ids", "pixel_values", "input_features", "input_values")
        if needed or pair or name in _ALWAYS:
            yield name


_ALWAYS = ("past_time_features", "past_observed_mask", "bbox")
"""Optional by signature, needed in fact."""


# ---------------------------------------------------------------------- shapes


def _stated(config: Any, *names: str) -> Any:
    """The first of these entries that a configuration or one of its parts has."""
    queue = [config]
    for part in queue:
        for name in names:
            value = getattr(part, name, None)
            if value is not None and not isinstance(value, bool):
                return value
        queue += [
            p for n in _PARTS if (p := getattr(part, n, None)) is not None and len(queue) < 99
        ]
    return None


def _number(config: Any, default: int, *names: str) -> int:
    value = _stated(config, *names)
    return int(value) if isinstance(value, (int, float)) else default


def _tokens(config: Any) -> Shape:
    text = config.get_text_config()
    names = ("max_position_embeddings", "n_positions", "max_target_positions",
             "max_sequence_length", "max_text_positions")  # fmt: skip
    longest = [int(v) for n in names if isinstance(v := getattr(text, n, None), int) and v > 0]
    return (min([SEQUENCE, *longest]),)


def _image(config: Any) -> Shape:
    size = _stated(config, "image_size", "img_size")
    if isinstance(size, Mapping):
        size = (size.get("height", IMAGE_SIZE), size.get("width", IMAGE_SIZE))
    if not isinstance(size, (list, tuple)):
        size = (size or IMAGE_SIZE,) * 2
    channels = _number(config, 3, "num_channels", "in_channels", "in_chans")
    frames = _stated(config, "num_frames")
    clip = (int(frames),) if isinstance(frames, int) else ()
    return (*clip, channels, int(size[0]), int(size[1]))


def _clip(config: Any) -> Shape:
    size = _number(config, IMAGE_SIZE, "crop_size", "image_size")
    frames = _number(config, 16, "frames_per_clip", "num_frames")
    return (frames, _number(config, 3, "num_channels", "in_chans"), size, size)


def _waveform(config: Any) -> Shape:
    if hasattr(config, "num_mel_bins") and hasattr(config, "max_length"):
        return (config.max_length, config.num_mel_bins)
    if hasattr(config, "audio_channels"):
        return (config.audio_channels, WAVEFORM)
    if hasattr(config, "codebook_size"):  # codecs take channels, of which there is one
        return (1, WAVEFORM)
    return (WAVEFORM,)


def _spectrogram(config: Any) -> Shape:
    features = _stated(config, "input_feat_per_channel")
    if features is not None:
        return (FRAMES, features * _number(config, 1, "input_channels"))
    features = _stated(config, "feature_projection_input_dim")
    if features is not None:
        return (FRAMES, features)
    spec_size = _stated(config, "spec_size")
    if spec_size is not None:
        return (1, 1001, _number(config, 64, "num_mel_bins"))
    features = _number(config, 80, "num_mel_bins", "n_mels", "feature_size", "input_dim")
    positions = _stated(config, "max_source_positions")
    if positions is not None:
        return (features, 2 * positions)  # the second convolution halves them
    return (FRAMES, features)


def _past(config: Any) -> Shape:
    length = _number(config, 32, "context_length")
    lags = _stated(config, "lags_sequence")
    if lags:
        length += max(lags)
    channels = _number(config, 1, "num_input_channels", "input_size")
    return (length,) if channels == 1 and lags is not None else (length, channels)


_SHAPES: Mapping[str, Callable[[Any], Shape]] = {
    "input_ids": _tokens,
    "decoder_input_ids": _tokens,
    "attention_mask": _tokens,
    "bbox": lambda config: (*_tokens(config), 4),
    "inputs_embeds": lambda config: (*_tokens(config), config.get_text_config().hidden_size),
    "pixel_values": _image,
    "pixel_values_videos": _clip,
    "video": _clip,
    "input_values": _waveform,
    "input_features": _spectrogram,
    "past_values": _past,
    "past_observed_mask": _past,
    "past_time_features": lambda c: (_past(c)[0], _number(c, 1, "num_time_features")),
    "image": _image,
    "images": _image,
    "condition_pixel_values": _image,
    "spectrogram": lambda c: (FRAMES, _number(c, 80, "model_in_dim", "num_mel_bins")),
    "flattened_patches": lambda c: (2048, _number(c, 770, "patch_embed_hidden_size") + 2),
}
"""Shape of one sample by the name of the argument."""

_INTEGERS = frozenset({"input_ids", "decoder_input_ids", "bbox", "attention_mask"})


def _shape_of(name: str, config: Any, model: str) -> Shape:
    if name not in _SHAPES:
        raise UsageError(
            f"{model} takes {name!r}, for which no example input is known; build it in a file of "
            "yours and use FILE.py:factory"
        )
    return _SHAPES[name](config)


def _asked(name: str, shape: Shape, default: Shape, encoder_decoder: bool) -> Shape:
    """The shape that was asked for, if it has the rank that the input has."""
    if len(default) == 1:
        expected, ranks = "(tokens,)", (1, 2) if encoder_decoder else (1,)
        if len(shape) in ranks:
            return shape[:1]
    else:
        expected = "(channels, height, width)" if name == "pixel_values" else f"like {default}"
        if len(shape) == len(default):
            return shape
    raise UsageError(f"input shape {shape}: expected {expected}")


def _target(config: Any, main: str, source: Shape, sample: Sequence[int] | None) -> Shape:
    """Tokens of the decoder: as asked for, or as many as the source has, or the model's longest."""
    if sample is not None and main == "input_ids":
        return (sample[-1],)
    if sample is not None and main == "input_features":
        if len(sample) != 1:
            raise UsageError(f"input shape {tuple(sample)}: expected (target tokens,)")
        return (sample[0],)
    return source if main == "input_ids" else _tokens(config)


def _tensor(name: str, batch: int, shape: Shape) -> torch.Tensor:
    dtype = torch.int64 if name in _INTEGERS else torch.float32
    return torch.empty((batch, *shape), dtype=dtype, device="meta")
