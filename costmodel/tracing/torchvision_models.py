"""torchvision's models of every task, without weights, with the input of their task.

Classification and segmentation take images; detection takes photos that the model itself resizes;
video takes clips; optical flow takes pairs of frames. Quantised models are int8: they are built and
converted on the CPU, from random weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from costmodel.errors import UnknownNameError, UsageError
from costmodel.tracing.building import IMAGE, build_on_meta, sample_of

PHOTO = (3, 480, 640)
"""The commonest size of COCO's photos; detectors resize it to their own."""
FRAMES = (3, 520, 960)
"""Frames of optical flow, as the library's own table of operations counts them."""
CLIP = (3, 16, 224, 224)
"""Channels, frames, height, width; the ResNets for video take 112 x 112."""

_SIZES: Mapping[str, tuple[int, ...]] = {
    "inception_v3": (3, 299, 299),
    "quantized_inception_v3": (3, 299, 299),
    "r3d_18": (3, 16, 112, 112),
    "mc3_18": (3, 16, 112, 112),
    "r2plus1d_18": (3, 16, 112, 112),
}
_BY_TASK = {"detection": PHOTO, "video": CLIP, "optical_flow": FRAMES}


def torchvision_names() -> list[str]:
    """All models of the installed torchvision. Raises UsageError if there is none."""
    try:
        from torchvision import models
    except ImportError:
        raise UsageError(
            "torchvision is not installed; install it with: pip install 'roofline-costmodel[zoo]'"
        ) from None
    return list(models.list_models())


def load_torchvision(
    name: str, batch: int, sample: Sequence[int] | None
) -> tuple[nn.Module, tuple[Any, ...]]:
    """A model and its example inputs, on the meta device (quantised ones: on the CPU).

    Args:
        name: as `torchvision.models.list_models()` gives it.
        batch: number of images, clips or pairs of frames.
        sample: shape of one, by default that of the task.

    Raises:
        UsageError: if torchvision is not installed, or the shape makes no sense.
        UnknownNameError: for an unknown model, with the nearest names.
        TraceError: if the model cannot be built.
    """
    known = torchvision_names()
    from torchvision import models

    if name not in known:
        raise UnknownNameError("torchvision model", name, known)
    task = models.get_model_builder(name).__module__.removeprefix("torchvision.models.")
    task = task.partition(".")[0]
    options: dict[str, Any] = {"weights": None}
    if name.removeprefix("quantized_").startswith(("googlenet", "inception")):
        options["init_weights"] = False
    if task in ("detection", "segmentation"):
        options["weights_backbone"] = None
    if task == "quantization":
        options["quantize"] = True
    shape = sample or _SIZES.get(name) or _BY_TASK.get(task, IMAGE)
    inputs = tuple(sample_of(batch, shape) for _ in range(2 if task == "optical_flow" else 1))
    if task == "quantization":
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about where quantisation will move to
            return models.get_model(name, **options), inputs
    return build_on_meta(f"torchvision:{name}", lambda: models.get_model(name, **options)), inputs
