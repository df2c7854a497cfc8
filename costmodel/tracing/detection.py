"""Detectors of torchvision: what their settings say about sizes that depend on values.

How many boxes pass a threshold and survive suppression depends on the image. The detector's
settings bound it, and the trace takes the bound (`bounds`):

- suppression keeps every box it is given; the cuts behind it (`rpn_post_nms_top_n_test`,
  `topk_candidates`, `detections_per_img`) then set the number of proposals and detections;
- of the classes of one proposal, whose scores sum to 1, fewer than 1/`box_score_thresh` pass;
- proposals fall evenly on the levels of a feature pyramid: how they fall does not change how many
  regions are pooled in all;
- masks and keypoint maps are resized to the whole image, the largest box there is.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from costmodel.tracing.bounds import Bounds, rule_for
from costmodel.tracing.rules import no_dispatch


@contextmanager
def detection_bounds(model: nn.Module, bounds: Bounds) -> Iterator[None]:
    """Apply the bounds of a torchvision detector while it runs; nothing for other models."""
    library = sys.modules.get("torchvision.models.detection")
    if library is None or not is_detector(model):
        yield
        return
    import torchvision
    from torchvision.models.detection import roi_heads
    from torchvision.ops import boxes, poolers

    rule_for(torch.ops.torchvision.nms.default)(_nms)
    size: list[tuple[int, int]] = []
    with ExitStack() as stack:
        for owner, name, wrapper in (
            (poolers, "_setup_scales", _for_real),
            (poolers.LevelMapper, "__call__", _levels(bounds)),
            (roi_heads.RoIHeads, "postprocess_detections", _passing(bounds)),
            (roi_heads, "paste_mask_in_image", lambda _: _paste(bounds)),
            (roi_heads, "heatmaps_to_keypoints", _keypoints(bounds, size)),
            (boxes, "_batched_nms_vanilla", _by_class(bounds, _classes(model))),
            (torchvision.models.detection.transform.GeneralizedRCNNTransform, "forward",
             _image_size(size)),
        ):  # fmt: skip
            stack.enter_context(patch.object(owner, name, wrapper(getattr(owner, name))))
        for module in model.modules():
            pairs = getattr(module, "_wh_pairs", None)  # tensors that are no buffers
            if pairs is not None:
                moved = [pair.to("meta") for pair in pairs]
                stack.enter_context(patch.object(module, "_wh_pairs", moved))
        yield


def is_detector(model: nn.Module) -> bool:
    """Whether a model is, or holds, one of torchvision's detectors."""
    return any(type(m).__module__.startswith("torchvision.models.detection")
               for m in model.modules())  # fmt: skip


def _classes(model: nn.Module) -> int:
    """Classes that are not the background, as the classification heads have them."""
    for module in model.modules():
        head: Any = module
        if type(head).__name__ == "FastRCNNPredictor":
            return int(head.cls_score.out_features) - 1
        if type(head).__name__ in ("SSDClassificationHead", "SSDLiteClassificationHead"):
            return int(head.num_columns) - 1
    return 1


_Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


def _nms(bounds: Bounds, func: Any, boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    bounds.assume("boxes kept by nms: how many depends on values; all of them")
    return boxes.new_empty((boxes.shape[0],), dtype=torch.int64)


def _for_real(original: Callable[..., Any]) -> Callable[..., Any]:
    """Scales of feature levels, which follow from their shapes: worked out with real numbers."""

    def call(*args: Any) -> Any:
        with torch._C.DisableTorchFunction(), no_dispatch():
            return original(*args)

    return call


def _levels(bounds: Bounds) -> _Wrapper:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(mapper: Any, boxlists: Any) -> Tensor:
            levels: Tensor = original(mapper, boxlists)
            count = mapper.k_max - mapper.k_min + 1
            bounds.split(levels, count, f"regions are spread evenly over {count} feature levels")
            return levels

        return call

    return wrap


def _passing(bounds: Bounds) -> _Wrapper:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(heads: Any, logits: Tensor, *args: Any) -> Any:
            classes = logits.shape[-1] - 1
            passing = classes
            if heads.score_thresh > 0:
                passing = min(classes, math.ceil(1 / heads.score_thresh) - 1)
            images = len(args[1])
            count = passing * -(-logits.shape[0] // images)
            why = (
                f"{passing} of {classes} classes of each proposal pass box_score_thresh "
                f"{heads.score_thresh:g}, the most whose scores sum to 1"
            )
            with bounds.at_most(count, why):
                return original(heads, logits, *args)

        return call

    return wrap


def _by_class(bounds: Bounds, classes: int) -> _Wrapper:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(boxes: Tensor, scores: Tensor, idxs: Tensor, threshold: float) -> Any:
            kinds = min(classes, max(idxs.numel(), 1))
            bounds.split(idxs, kinds, f"candidate boxes are spread evenly over {kinds} classes")
            return original(boxes, scores, idxs, threshold)

        return call

    return wrap


def _paste(bounds: Bounds) -> Callable[..., Any]:
    def call(mask: Tensor, box: Tensor, height: int, width: int) -> Tensor:
        bounds.assume("each mask is resized to the whole image, the largest box")
        resized = nn.functional.interpolate(
            mask[None, None], size=(height, width), mode="bilinear", align_corners=False
        )
        canvas = torch.zeros((height, width), dtype=mask.dtype, device=mask.device)
        canvas[:, :] = resized[0, 0]
        return canvas

    return call


def _image_size(size: list[tuple[int, int]]) -> _Wrapper:
    """Remember what images are resized to: (height, width)."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(transform: Any, *args: Any, **kwargs: Any) -> Any:
            images, targets = original(transform, *args, **kwargs)
            size[:] = images.image_sizes
            return images, targets

        return call

    return wrap


def _keypoints(bounds: Bounds, size: list[tuple[int, int]]) -> _Wrapper:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(maps: Tensor, rois: Tensor) -> Any:
            height, width = max(size)
            why = "each keypoint map is resized to the whole image, the largest box"
            with bounds.items((width, height), why):  # asked for in this order, box by box
                return original(maps, rois)

        return call

    return wrap
