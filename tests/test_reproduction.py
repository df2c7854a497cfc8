"""Published tables against ours: every cell accounted for, counts near, signs right."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from costmodel import published
from costmodel.errors import UnknownNameError, UsageError
from costmodel.hardware import load_device
from costmodel.measurement.reproduction import (
    Condition,
    Record,
    Reproduction,
    compare_conditions,
    condition_of,
    reproduce,
    score_columns,
)
from costmodel.measurement.reproduction.conditions import ASSUMPTIONS, UNPREDICTED
from costmodel.measurement.reproduction.networks import Networks
from costmodel.measurement.reproduction.records import timed
from costmodel.tracing.cache import without_cache

PACKAGES = [name for name in ("timm", "torchvision") if importlib.util.find_spec(name)]
ALL_PACKAGES = pytest.mark.skipif(
    len(PACKAGES) < 2, reason="timm and torchvision, the zoo extra, are not both installed"
)


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks()


@pytest.fixture(scope="module")
def whole(networks: Networks) -> Reproduction:
    return reproduce(networks=networks)


def test_the_cache_gives_back_what_was_traced_folded_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path))
    source, shape = "zoo:fasternet_t0", (3, 64, 64)
    said: list[str] = []

    def both() -> list[str]:
        found = Networks(said.append)
        return [found.graph(source, shape, folded=folded).to_json() for folded in (False, True)]

    with without_cache():
        plain = both()
    assert not list(tmp_path.rglob("*.json.gz"))
    assert len(set(plain)) == 2
    assert both() == plain
    assert len(list(tmp_path.rglob("*.json.gz"))) == 2
    assert len(said) == 4
    assert both() == plain
    assert len(said) == 4, "nothing was traced again"


def by_row(reproduction: Reproduction, table: str, column: str) -> dict[str, Record]:
    return {record.cell.row: record for record in reproduction.of(table, column)}


def package(record: Record) -> str:
    """Package that the model behind a record comes from; "" for what torch alone builds."""
    source = published.model(record.cell.table, record.cell.row).source or "zoo:"
    kind = source.partition(":")[0]
    return "" if kind == "zoo" else kind


# ------------------------------------------------------------------------------- every cell


def test_every_cell_has_a_number_or_a_reason(whole: Reproduction) -> None:
    cells = [cell for table in published.tables() for cell in table.cells]
    assert [record.cell for record in whole.records] == cells
    for record in whole.records:
        if record.predicted is None:
            assert record.note, record.cell
        else:
            assert record.predicted > 0
            assert math.isfinite(record.predicted)


def test_reasons_are_those_of_columns_that_no_cost_model_predicts(whole: Reproduction) -> None:
    for record in whole.records:
        if record.predicted is None and record.cell.column not in UNPREDICTED:
            assert (package(record) or "timm") not in PACKAGES, record
            assert "is not installed" in record.note


def test_every_row_of_every_table_appears(whole: Reproduction) -> None:
    found = {(record.cell.table, record.cell.row) for record in whole.records}
    assert found == {(model.table, model.row) for model in published.models()}


def test_every_measured_column_has_a_condition_or_a_reason() -> None:
    for table in published.tables():
        for column in table.columns:
            if column.unit in ("images/s", "ms"):
                has_condition = condition_of(table.id, column.name) is not None
                assert has_condition is not (column.name in UNPREDICTED), (table.id, column)


def test_a_missing_package_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with without_cache():
        found = by_row(reproduce(["efficientnet-scaling"]), "efficientnet-scaling", "macs")
    assert found["EfficientNet-B0"].predicted is None
    assert found["EfficientNet-B0"].note.startswith("timm is not installed")
    assert found["ResNet-152"].note.startswith("torchvision is not installed")


def test_unknown_tables_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="imagenet"):
        reproduce(["imagnet"])
    with pytest.raises(UnknownNameError, match="coco"):
        compare_conditions(["cocoa"])


# ----------------------------------------------------------------------------------- counts


def explained(record: Record) -> str:
    """Why a count may be off, from the published data alone."""
    cell = record.cell
    if cell.flagged:
        return cell.reason
    if record.rounds_to_it:
        return f"printed as {cell.printed}"
    return published.model(cell.table, cell.row).deviation


def test_counts_are_near_or_explained(whole: Reproduction) -> None:
    """Parameters within 0.5% and multiply-accumulates within 1%, else the data says why not."""
    counted = [r for r in whole.records if r.cell.column in ("params", "weights", "macs")]
    assert len(counted) == 42 * 2 + 18 * 2 + 15 * 2 + (4 + 5 + 3 + 3) * 2 + 7 * 2 + 7 + 6 + 4
    for record in counted:
        if record.predicted is None:
            continue
        limit = 0.01 if record.cell.column == "macs" else 0.005
        off = abs(record.predicted / record.cell.value - 1)
        assert off <= limit + 1e-9 or explained(record), (record.cell, record.predicted)
        assert record.misses is (off > limit + 1e-9)
        assert not record.misses or record.note, record.cell


BEYOND_ROUNDING = {
    # the original papers' rounded figures, repeated
    ("imagenet", "EfficientNet-B1", "macs"),
    ("imagenet", "EfficientNet-B3", "params"),
    ("imagenet", "EfficientNet-B3", "macs"),
    ("imagenet", "EfficientNet-B4", "params"),
    ("imagenet", "EfficientNet-B4", "macs"),
    ("imagenet", "EfficientNet-B5", "params"),
    ("imagenet", "EfficientNet-B5", "macs"),
    ("imagenet", "MobileViTv2-1.5", "macs"),
    ("imagenet", "MobileViTv2-2.0", "macs"),
    ("mobile-cheat-sheet", "MobileNetV2 1.0", "params"),
    ("mobile-cheat-sheet", "EfficientNet-B0", "macs"),
    ("mobile-cheat-sheet", "EfficientNet-B3", "macs"),
    ("mobile-cheat-sheet", "ConvNeXt-Tiny", "params"),
    ("mobile-cheat-sheet", "ResNet-50", "params"),
    ("efficientnet-scaling", "EfficientNet-B1", "macs"),
    ("efficientnet-scaling", "EfficientNet-B4", "macs"),
    ("efficientnet-scaling", "EfficientNet-B7", "macs"),
    # their counter adds normalisation
    ("imagenet", "MobileNetV2", "macs"),
    ("imagenet", "MobileNetV2 x1.4", "macs"),
    ("imagenet", "MobileViT-XXS", "macs"),
    ("imagenet", "MobileViT-XS", "macs"),
    ("imagenet", "MobileViT-S", "macs"),
    ("imagenet", "MobileViTv2-1.0", "macs"),
    ("imagenet", "GhostNet x1.3", "macs"),
    ("imagenet", "ShuffleNetV2 x2", "macs"),
    # their counter leaves out the products of attention
    ("coco", "PVT-Small x1.5", "macs"),
    ("coco", "PVT-Medium", "macs"),
    ("coco", "PVT-Large×4d", "macs"),
    ("coco", "PartialNet-S", "macs"),
    ("coco", "PartialNet-M", "macs"),
    ("coco", "PartialNet-L", "macs"),
    # misprints
    ("coco", "PartialNet-M", "params"),
    ("ablation-blocks", "2-2-6-4 without ch, sp, sf", "params"),
    ("ablation-blocks", "2-2-6-4 without ch, sp, sf", "macs"),
    ("ablation-blocks", "2-2-6-4 ch", "macs"),
}
"""What printing fewer digits does not explain, by what does."""


@ALL_PACKAGES
def test_what_rounding_does_not_explain_is_a_known_list(whole: Reproduction) -> None:
    found = {(r.cell.table, r.cell.row, r.cell.column) for r in whole.misses if not r.rounds_to_it}
    assert found == BEYOND_ROUNDING


@pytest.mark.parametrize(
    "model", [m for m in published.models("imagenet") if "batch norm counts" in m.deviation],
    ids=lambda model: model.row,
)  # fmt: skip
def test_normalisation_explains_what_it_is_said_to(
    model: published.PublishedModel, networks: Networks
) -> None:
    """Two operations per batch-normalised element and five per layer-normalised one close it."""
    assert model.source is not None
    kind = model.source.partition(":")[0]
    if kind != "zoo":
        pytest.importorskip(kind, reason="the row's model comes from it")
    graph = networks.graph(model.source, model.input_shape)
    worth = {"batch_norm": 2, "layer_norm": 5, "group_norm": 5}
    extra = sum(
        per_element * graph.tensors[op.outputs[0]].numel
        for op in graph.ops
        for name, per_element in worth.items()
        if name in op.target
    )
    cell = published.table("imagenet").cell(model.row, "macs")
    ours = (networks.macs(model.source, model.input_shape) + extra) / 1e9
    limit = 0.017 if model.row.startswith("GhostNet") else 0.01
    assert ours == pytest.approx(cell.value, rel=limit, abs=0.5 * cell.resolution)


def test_hand_counted_operators_are_exact(whole: Reproduction) -> None:
    for record in whole.of("worked-examples"):
        assert record.predicted == record.cell.value


def test_split_ratios_are_those_of_the_built_networks(whole: Reproduction) -> None:
    for record in whole.of("split-ratios"):
        assert record.predicted == record.cell.value


# ----------------------------------------------------------------------------------- claims


def claims(reproduction: Reproduction) -> dict[str, Record]:
    return by_row(reproduction, "headline-ratios", "ratio")


def test_pconv_takes_a_sixteenth_of_the_work_and_a_quarter_of_the_traffic(
    whole: Reproduction,
) -> None:
    found = claims(whole)
    assert found["PConv / Conv, MACs"].predicted == 1 / 16
    assert found["PConv / Conv, activation traffic"].predicted == 1 / 4


def test_separable_convolutions_follow_from_their_shapes(whole: Reproduction) -> None:
    """k² c² over k² c + c²."""
    found = claims(whole)
    for channels in (64, 256):
        row = f"Conv / depthwise separable, MACs, 3x3, {channels} to {channels}"
        expected = 9 * channels / (9 + channels)
        assert found[row].predicted == pytest.approx(expected)
        assert round(expected, 1) == found[row].cell.value


def test_claims_keep_their_sign(whole: Reproduction) -> None:
    found = claims(whole)
    assert len(found) == 13
    for record in found.values():
        if record.predicted is None:
            assert "timm" not in PACKAGES, record
            continue
        assert record.same_sign is True, record
        assert (record.predicted > 1) is (record.cell.value > 1)


def test_a_claim_says_what_it_was_predicted_for(whole: Reproduction) -> None:
    found = claims(whole)
    note = found["PartialNet-T2 / FasterNet-T2, V100 throughput"].note
    assert "v100-sxm2, fp32, batch 256, eager, batch norm not folded" in note
    if "timm" in PACKAGES:
        note = found["FasterNet-T0 / MobileViT-XXS, GPU throughput"].note
        assert "rtx-2080-ti" in note
        assert "do not name the device" in note
        assert "the ImageNet table has 2.95" in note  # 8546 / 2900
        note = found["FasterNet-L / Swin-B, CPU latency"].note
        assert "the ImageNet table has 0.94" in note  # 312.5 / 333.8
        note = found["FasterNet-T0 / MobileViT-XXS, CPU speed"].note
        assert "the ImageNet table has 1.59" in note  # 16.7 / 10.5


# ------------------------------------------------------------------------------ predictions


@ALL_PACKAGES
def test_predicted_columns_rank_networks_as_published(whole: Reproduction) -> None:
    scores = {(s.table, s.column): s for s in score_columns(whole)}
    v100 = scores["imagenet", "throughput_v100"]
    assert (v100.score.n, v100.flagged, v100.missing) == (41, 1, 0)
    assert v100.score.median_ape < 0.12
    assert v100.score.spearman > 0.97
    assert scores["imagenet", "throughput_mi250"].score.spearman > 0.94
    assert scores["imagenet", "latency_epyc_73f3"].score.spearman > 0.94


def test_assumed_conditions_are_what_the_documents_state() -> None:
    v100 = condition_of("imagenet", "throughput_v100")
    mi250 = condition_of("imagenet", "throughput_mi250")
    epyc = condition_of("ablation-blocks", "latency_epyc_73f3")
    assert v100 is not None
    assert mi250 is not None
    assert epyc is not None
    assert (v100.batch, mi250.batch, epyc.device) == (256, 256, "epyc-73f3@1")
    assert condition_of("coco", "throughput_mi250") != mi250
    assert condition_of("imagenet", "top1") is None
    for assumption in ASSUMPTIONS:
        labels = [c.label for c in (assumption.condition, *assumption.alternatives)]
        assert len(set(labels)) == len(labels)


def test_a_condition_in_words() -> None:
    condition = Condition("epyc-73f3@1", 1, folded=True, fused=True)
    assert condition.label == "epyc-73f3@1, fp32, batch 1, elementwise fused, batch norm folded"
    other = replace(condition, folded=False, merged=False, part="backbone")
    assert other.label.endswith("batch norm not folded, PAT_sp not merged, backbone alone")


def test_the_whole_detector_would_exceed_the_peak() -> None:
    """Why the detection table's throughput is read as the backbone's."""
    row = {c.column: c.value for c in published.table("coco").cells if c.row == "ResNet50"}
    needed = 2 * row["macs"] * 1e9 * row["throughput_mi250"]
    die = load_device("mi250-gcd").peak("float32", "matrix")
    assert die is not None
    assert needed > die


def test_folding_and_fusing_keep_the_arithmetic(networks: Networks) -> None:
    """The conditions change how a network runs, never what its convolutions compute."""
    source, shape = "zoo:fasternet_t0", (3, 224, 224)
    plain = networks.graph(source, shape)
    folded = networks.graph(source, shape, folded=True)
    fused = networks.graph(source, shape, folded=True, fused=True)
    assert any("batch_norm" in op.target for op in plain.ops)
    assert not any("batch_norm" in op.target for op in folded.ops)
    convolutions = [
        sum(op.target == "aten::convolution" for op in graph.ops)
        for graph in (plain, folded, fused)
    ]
    assert len(set(convolutions)) == 1
    assert len(fused.ops) < len(folded.ops) < len(plain.ops)


def test_conditions_are_scored_beside_each_other(whole: Reproduction, networks: Networks) -> None:
    found = compare_conditions(["coco"], networks=networks)
    assert [score.assumed for score in found].count(True) == 1
    own = next(s for s in score_columns(whole) if (s.table, s.column) == ("coco", found[0].column))
    assert found[0].assumed
    assert found[0].score == own.score
    by_label = {score.condition.label: score.score for score in found}
    detector = by_label["mi250-gcd, fp32, batch 16, eager, batch norm not folded"]
    assert detector.bias < own.score.bias  # more work, fewer images per second


# ----------------------------------------------------------------------------------- scores


def made_up(*figures: tuple[float, float | None, bool]) -> Reproduction:
    """One table with one column from (published, predicted, flagged)."""
    column = published.Column("throughput_v100", "images/s")
    cells = [
        published.Cell(
            "imagenet", f"row {i}", column.name, value, column.unit, f"{value:g}", flagged=flagged
        )
        for i, (value, _, flagged) in enumerate(figures)
    ]
    table = published.Table("imagenet", "Made up", (), "", (column,), tuple(cells))
    records = [
        Record(cell, predicted) for cell, (_, predicted, _) in zip(cells, figures, strict=True)
    ]
    return Reproduction((table,), tuple(records))


def test_scores_by_hand() -> None:
    """Ratios 2, 2.2 and 1.8; one flagged, one missing."""
    (score,) = score_columns(
        made_up(
            (10, 20, False), (100, 220, False), (50, 90, False), (7, 700, True), (5, None, False)
        )
    )
    assert (score.score.n, score.flagged, score.missing) == (3, 1, 1)
    assert score.score.median_ape == pytest.approx(1.0)
    assert score.score.bias == pytest.approx(2.0)
    assert score.spread == pytest.approx(0.1)
    assert score.score.spearman == pytest.approx(1.0)


def test_records_by_hand() -> None:
    cell = published.Cell("imagenet", "row", "macs", 0.30, "G", "0.30")
    near, rounding, off = (Record(cell, x) for x in (0.302, 0.2960, 0.310))
    assert not near.misses
    assert rounding.misses
    assert rounding.rounds_to_it
    assert off.misses
    assert not off.rounds_to_it
    assert off.ratio == pytest.approx(31 / 30)
    assert Record(cell, None).ratio is None
    assert Record(cell, None).same_sign is None
    ratio = published.Cell("headline-ratios", "row", "ratio", 0.63, "1", "0.63")
    assert Record(ratio, 0.9).same_sign is True
    assert Record(ratio, 1.1).same_sign is False


def test_times_in_the_unit_of_the_column() -> None:
    assert timed(0.5, 256, "images/s") == 512
    assert timed(0.5, 1, "ms") == 500
    assert timed(0.5, 10, "ms") == 50
    with pytest.raises(UsageError, match="furlong"):
        timed(0.5, 1, "furlong")
