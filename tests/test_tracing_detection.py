"""Detectors: what is traced without values is what runs where nothing is filtered out."""

from __future__ import annotations

from collections import Counter, OrderedDict

import pytest

torch = pytest.importorskip("torch")
detection = pytest.importorskip("torchvision.models.detection", reason="needs torchvision")

from torch import nn  # noqa: E402
from torchvision.models.detection.anchor_utils import AnchorGenerator  # noqa: E402
from torchvision.ops import MultiScaleRoIAlign  # noqa: E402

import costmodel as cm  # noqa: E402
from costmodel.formulas.columns import columns_of  # noqa: E402

PROPOSALS, DETECTIONS, CLASSES = 20, 7, 3


class TwoLevels(nn.Module):
    """A backbone of two feature levels, at strides 8 and 16."""

    out_channels = 4

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 8, stride=8)
        self.coarse = nn.Conv2d(4, 4, 2, stride=2)

    def forward(self, x):
        fine = self.fine(x)
        return OrderedDict([("0", fine), ("1", self.coarse(fine))])


def settings(score_thresh):
    return {
        "num_classes": CLASSES,
        "min_size": 64,
        "max_size": 64,
        "rpn_anchor_generator": AnchorGenerator(((16,), (32,)), ((1.0,), (1.0,))),
        "box_roi_pool": MultiScaleRoIAlign(["0", "1"], output_size=2, sampling_ratio=2),
        "rpn_pre_nms_top_n_test": 30,
        "rpn_post_nms_top_n_test": PROPOSALS,
        "box_detections_per_img": DETECTIONS,
        "box_score_thresh": score_thresh,
        "rpn_nms_thresh": 1.0,  # nothing overlaps so much: all survive
        "box_nms_thresh": 1.0,
    }


def faster(score_thresh=0.0):
    return detection.FasterRCNN(TwoLevels(), **settings(score_thresh))


def mask():
    pool = MultiScaleRoIAlign(["0", "1"], output_size=4, sampling_ratio=2)
    return detection.MaskRCNN(TwoLevels(), **settings(0.0), mask_roi_pool=pool)


def macs_by_target(graph):
    columns = columns_of(graph)
    totals: Counter[str] = Counter()
    macs = columns.evaluate().cost.macs * columns.counts
    for row, value in zip(columns.table, macs, strict=True):
        totals[row.target] += int(value)
    return {target: value for target, value in totals.items() if value}


@pytest.mark.parametrize("build", [faster, mask])
def test_products_are_those_of_a_run_in_which_nothing_is_filtered_out(build):
    torch.manual_seed(0)
    model = build()
    image = torch.rand(1, 3, 64, 64)
    bounded = cm.trace(model, image)
    real = cm.trace(model, image, rung="cpu")
    assert (bounded.rung, real.rung) == ("bounded", "cpu")
    merged = []
    for graph in (bounded, real):
        found = macs_by_target(graph)
        # The real run has no shape rules: products have other names, and the same sum.
        products = sum(found.pop(f"aten::{n}", 0) for n in ("linear", "addmm", "mm"))
        merged.append({**found, "products": products})
    assert merged[0] == merged[1]
    shapes = [[g.tensors[i].shape for i in g.outputs] for g in (bounded, real)]
    assert shapes[0] == shapes[1]
    assert (DETECTIONS, 4) in shapes[0]


def test_assumptions_name_the_settings_they_come_from():
    graph = cm.trace(faster(score_thresh=0.4), (1, 3, 64, 64))
    text = " | ".join(graph.conditions["assumptions"])
    # Scores sum to 1: of the two classes that are no background, two can be above 0.4, never three.
    assert "2 of 2 classes of each proposal pass box_score_thresh 0.4" in text
    assert "spread evenly over 2 feature levels" in text
    assert "boxes kept by nms" in text


def test_fewer_classes_pass_a_higher_threshold():
    def candidates(threshold):
        graph = cm.trace(faster(threshold), (1, 3, 64, 64))
        sizes = [graph.inputs_of(op)[0].shape[0] for op in graph.ops if op.target.endswith("::nms")]
        return sizes[-1]

    assert candidates(0.4) == 2 * PROPOSALS
    assert candidates(0.5) == PROPOSALS  # two scores above one half would sum to more than 1


def test_single_shot_detector_suppresses_class_by_class():
    classes, candidates, kept = 4, 50, 6
    model = detection.ssd.SSD(
        nn.Sequential(OrderedDict([("0", nn.Conv2d(3, 4, 8, stride=8))])),
        detection.ssd.DefaultBoxGenerator([[2]]),
        (64, 64), classes, topk_candidates=candidates, detections_per_img=kept,
        head=detection.ssd.SSDHead([4], [4], classes),
    )  # fmt: skip
    graph = cm.trace(model, (2, 3, 64, 64))
    boxes = [graph.inputs_of(op)[0].shape for op in graph.ops if op.target.endswith("::nms")]
    # 8 x 8 places of 4 boxes are more than the candidates of a class; few boxes in all go together.
    assert boxes == [((classes - 1) * candidates, 4)] * 2
    assert [graph.tensors[i].shape for i in graph.outputs].count((kept, 4)) == 2
    assert not columns_of(graph).uncovered.any()


def test_suppression_grows_with_the_images_and_not_with_their_square():
    graph = cm.trace(faster(), (1, 3, 64, 64))
    columns = columns_of(graph)
    row = max(i for i, r in enumerate(columns.table) if r.target.endswith("::nms"))
    one, eight = (columns.evaluate(n).cost.other_flops[row] for n in (1, 8))
    assert eight == pytest.approx(8 * one)
