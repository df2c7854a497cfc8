"""The published tables: complete, consistent with each other, and matched by the mapped models."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from functools import cache

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from costmodel import published, zoo
from costmodel.errors import UnknownNameError
from costmodel.published.tables import DATA

SIZES = {
    "imagenet": (42, 6),
    "imagenet-same-training": (18, 6),
    "coco": (15, 9),
    "ablation-attention": (4, 5),
    "ablation-blocks": (5, 5),
    "ablation-convolution": (3, 5),
    "ablation-channel-attention": (3, 5),
    "patconv-elsewhere": (6, 2),
    "split-ratios": (15, 13),
    "mobile-cheat-sheet": (7, 4),
    "efficientnet-scaling": (7, 2),
    "worked-examples": (6, 2),
    "headline-ratios": (13, 1),
}


def test_every_table_is_whole() -> None:
    assert {t.id: (len(t.rows), len(t.columns)) for t in published.tables()} == SIZES
    for table in published.tables():
        assert table.title
        assert table.conditions
        assert all(", " in document for document in table.documents)
        missing = len(table.rows) * len(table.columns) - len(table.cells)
        assert missing == (2 if table.id == "worked-examples" else 0)
        for cell in table.cells:
            assert cell.value > 0
            assert cell.table == table.id
            assert cell.flagged is bool(cell.reason)


def test_some_cells_by_eye() -> None:
    imagenet = published.table("imagenet")
    assert imagenet.cell("PartialNet-T0", "throughput_mi250").value == 11744
    assert imagenet.cell("Swin-B", "latency_epyc_73f3").value == 333.8
    assert imagenet.cell("FasterNet-T2", "macs").unit == "G"
    assert imagenet.cell("ShuffleNetV2 x1.5", "macs").resolution == 0.01
    assert imagenet.column("top1")["PartialNet-L"] == 83.9
    assert published.table("split-ratios").cell("6", "layer_5").value == 1 / 128


def test_flags_and_notes_name_cells_that_exist() -> None:
    index = tomllib.loads((DATA / "index.toml").read_text(encoding="utf-8"))
    for remark in index["flags"] + index["notes"]:
        published.table(remark["table"]).cell(remark["row"], remark["column"])
    assert published.table("imagenet").cell("MobileViTv2-2.0", "latency_epyc_73f3").flagged


def test_the_same_figure_is_the_same_in_every_table() -> None:
    imagenet = published.table("imagenet")
    for cell in published.table("imagenet-same-training").cells:
        row = cell.row.removesuffix(" retrained")
        if cell.column != "top1":
            assert cell.value == imagenet.cell(row, cell.column).value
    for table, row in (
        ("ablation-attention", "P-P-P"),
        ("ablation-blocks", "2-2-6-4 ch, sp, sf"),
        ("ablation-convolution", "PAT_ch"),
        ("ablation-channel-attention", "PAT"),
    ):
        for column in ("params", "macs", "throughput_mi250", "latency_epyc_73f3", "top1"):
            ours = published.table(table).cell(row, column).value
            assert ours == imagenet.cell("PartialNet-T2", column).value
    for row in ("ResNet50", "MobileNetV2", "ConvNeXt-T"):
        theirs = published.table("patconv-elsewhere").cell(row, "throughput_v100").value
        assert theirs == imagenet.cell(row, "throughput_v100").value


def test_headline_ratios_follow_from_the_tables_unless_flagged() -> None:
    imagenet = published.table("imagenet")
    patconv = published.table("patconv-elsewhere").column("throughput_v100")
    from_tables = {
        f"PartialNet-T2 / FasterNet-T2, {device}": imagenet.cell("PartialNet-T2", column).value
        / imagenet.cell("FasterNet-T2", column).value
        for device, column in (
            ("V100 throughput", "throughput_v100"),
            ("MI250 throughput", "throughput_mi250"),
            ("EPYC 73F3 latency", "latency_epyc_73f3"),
        )
    }
    from_tables["ResNet50 with PATConv / ResNet50, V100 throughput"] = (
        patconv["ResNet50 with PATConv"] / patconv["ResNet50"]
    )
    for row, value in from_tables.items():
        claim = published.table("headline-ratios").cell(row, "ratio")
        assert claim.flagged is (claim.value != pytest.approx(value, abs=0.005))


def test_unknown_names_suggest() -> None:
    with pytest.raises(UnknownNameError, match="imagenet"):
        published.table("imagnet")
    with pytest.raises(UnknownNameError):
        published.table("coco").cell("ResNet50", "fps")
    with pytest.raises(UnknownNameError, match="params"):
        published.table("coco").column("param")
    with pytest.raises(UnknownNameError):
        published.model("coco", "ResNet18")


def test_every_row_has_a_model_or_a_reason() -> None:
    rows = {(table.id, row) for table in published.tables() for row in table.rows}
    assert {(m.table, m.row) for m in published.models()} == rows
    assert len(published.models("coco")) == 15
    for model in published.models():
        assert model.variant, model
        assert (model.source is None) is (model.macs_source is None)
        for source in (model.source, model.macs_source):
            if source is not None and source.startswith("zoo:"):
                assert source.removeprefix("zoo:") in zoo.names()


def test_reading_the_tables_imports_no_framework() -> None:
    code = (
        "import sys, costmodel.published as p; p.tables(); p.models();"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def build(source: str) -> nn.Module:
    """The model of a source string on the meta device."""
    library, _, name = source.partition(":")
    with torch.device("meta"):
        if library == "zoo":
            return zoo.create(name)
        if library == "timm":
            model: nn.Module = pytest.importorskip("timm").create_model(name)
        else:
            model = getattr(pytest.importorskip("torchvision").models, name)()
    return model.eval()


@cache
def parameters(source: str) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in build(source).parameters() if p.requires_grad)


@cache
def operations(source: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Multiply-accumulates alone, and with normalisation and pooling.

    The latter is what the papers' counter adds up: two operations per element of batch norm, five
    of layer and group norm, one of adaptive pooling.
    """
    model = build(source)
    extras = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal extras
        if isinstance(module, nn.BatchNorm2d):
            extras += 2 * output.numel()
        elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
            extras += 5 * output.numel()
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            extras += inputs[0].numel()

    for module in model.modules():
        module.register_forward_hook(add)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *shape, device="meta"))
    macs = counter.get_total_flops() / 2
    return macs, macs + extras


SCALE = {"M": 1e6, "G": 1e9}
MAPPED = [
    (table, model)
    for table in published.tables()
    for model in published.models(table.id)
    if model.source is not None and {c.name for c in table.columns} & {"params", "macs"}
]


@pytest.mark.parametrize(
    ("table", "model"), MAPPED, ids=[f"{model.table}/{model.row}" for _, model in MAPPED]
)
def test_models_match_or_say_why_not(
    table: published.Table, model: published.PublishedModel
) -> None:
    """Within 0.5% of the parameters and 1% of the operations, or of half a printed digit."""
    assert model.source is not None
    assert model.macs_source is not None
    misses = []
    counted = (
        ("params", 0.005, lambda: parameters(model.source)),
        ("macs", 0.01, lambda: operations(model.macs_source, model.input_shape)[0]),
    )
    for column, relative, count in counted:
        if column not in {c.name for c in table.columns}:
            continue
        cell = table.cell(model.row, column)
        ours = count() / SCALE[cell.unit]
        tolerance = max(relative * cell.value, 0.5 * cell.resolution)
        if abs(ours - cell.value) > tolerance * (1 + 1e-9):
            misses.append(f"{column} {ours:.4g} against {cell.printed}")
    assert bool(misses) is bool(model.deviation), misses


@pytest.mark.parametrize("family", ["FasterNet", "ResNet50", "ConvNeXt", "Swin", "PoolFormer"])
def test_the_papers_counter_adds_normalisation(family: str) -> None:
    """With it, what remains is rounding: the explanation of the deviations above."""
    table = published.table("imagenet")
    for row in table.rows:
        if row.startswith(family):
            model = published.model("imagenet", row)
            assert model.source is not None
            cell = table.cell(row, "macs")
            _, counted = operations(model.source, model.input_shape)
            assert counted / 1e9 == pytest.approx(cell.value, rel=0.001, abs=0.005)


def test_learnt_splits_are_the_networks_splits_and_keep_their_budget() -> None:
    """Every row fits its constraint if ones are counted before the mask, as Eq. 6 does."""
    figure = published.table("split-ratios")
    for theta in figure.rows:
        ratios = zoo.learnt_splits(theta)
        assert ratios == tuple(cell.value for cell in figure.cells if cell.row == theta)
        with torch.device("meta"):
            model = zoo.create(f"partialnet_t0_theta_{theta}")
        blocks = [block for stage in model.stages for block in stage]
        channels = [block.widen.in_channels for block in blocks]
        parts = [block.mixer.part for block in blocks]
        assert parts == [int(r * c) for r, c in zip(ratios, channels, strict=True)]
        splits = [zoo.DynamicSplit.of_ratio(c, r) for c, r in zip(channels, ratios, strict=True)]
        assert [split.active for split in splits] == parts
        budget = sum(c * c for c in channels) / float(theta)
        assert sum(split.zeta_unmasked for split in splits) <= budget
