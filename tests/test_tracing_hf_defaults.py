"""Any model type of transformers by its default configuration, with inputs of its kind."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="needs the hf extra")

import costmodel as cm  # noqa: E402
from costmodel.errors import UsageError  # noqa: E402
from costmodel.formulas.columns import columns_of  # noqa: E402
from costmodel.tracing.source import load_source  # noqa: E402


def macs(graph):
    columns = columns_of(graph)
    return float(columns.evaluate().cost.macs @ columns.counts)


def counted(source, sample):
    """MACs by the framework's own counter, which knows no causality."""
    from torch.utils.flop_counter import FlopCounterMode

    found = load_source(source, 1, sample)
    found.model.eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        found.model(*found.inputs)
    return counter.get_total_flops() / 2


@pytest.mark.parametrize(
    ("name", "sample", "shapes"),
    [
        ("distilbert", (40,), [(1, 40)]),  # encoder
        ("vit", None, [(1, 3, 224, 224)]),  # image
        ("wav2vec2", (16000,), [(1, 16000)]),  # waveform
        ("audio-spectrogram-transformer", None, [(1, 1024, 128)]),  # spectrogram, frames first
        ("videomae", None, [(1, 16, 3, 224, 224)]),  # clip
    ],
)
def test_inputs_and_products_by_kind(name, sample, shapes):
    source = f"hf:{name}"
    graph = cm.load_graph(source, input_shape=sample)
    assert graph.rung == "eager"
    assert [graph.tensors[i].shape for i in graph.inputs] == shapes
    assert macs(graph) == counted(source, sample)
    assert not columns_of(graph).uncovered.any()


def test_a_model_that_compares_gets_both_sides():
    graph = cm.load_graph("hf:clip")
    kinds = sorted(graph.tensors[i].dtype for i in graph.inputs)
    assert kinds == ["float32", "int64"]


def test_speech_to_text_takes_a_spectrogram_and_target_tokens():
    graph = cm.load_graph("hf:whisper", input_shape=(7,))
    assert [graph.tensors[i].shape for i in graph.inputs] == [(1, 80, 3000), (1, 7)]


def test_mamba_scans_in_one_operator_per_layer(tmp_path):
    h, states, layers, tokens, vocabulary = 32, 8, 3, 20, 100
    inner, rank, kernel = 2 * h, 2, 4
    path = tmp_path / "mamba.json"
    path.write_text(json.dumps({
        "model_type": "mamba", "hidden_size": h, "state_size": states, "num_hidden_layers": layers,
        "vocab_size": vocabulary, "expand": 2, "conv_kernel": kernel, "time_step_rank": rank,
    }))  # fmt: skip
    graph = cm.load_graph(f"hf:{path}", input_shape=(tokens,))
    scans = [op for op in graph.ops if op.target == "costmodel::selective_scan"]
    assert len(scans) == layers
    # Gu and Dao (2023), figure 3: projections in and out, a short convolution (its last kernel - 1
    # positions are cut off), the step size, B and C from the data, and the scan itself.
    projections = h * 2 * inner + inner * (rank + 2 * states) + rank * inner + inner * h
    scan = inner * (2 * states + 1)
    convolution = (tokens + kernel - 1) * inner * kernel
    expected = layers * (tokens * (projections + scan) + convolution) + tokens * h * vocabulary
    assert macs(graph) == expected
    assert not columns_of(graph).uncovered.any()


def test_with_values_the_library_scans_by_itself(tmp_path):
    path = tmp_path / "mamba.json"
    path.write_text(json.dumps({
        "model_type": "mamba", "hidden_size": 8, "state_size": 4, "num_hidden_layers": 1,
        "vocab_size": 10, "time_step_rank": 1,
    }))  # fmt: skip
    found = load_source(f"hf:{path}", 1, (5,))
    graph = cm.trace(found.model, *found.inputs, rung="cpu")
    targets = [op.target for op in graph.ops]
    assert "costmodel::selective_scan" not in targets
    assert len([t for t in targets if t in ("aten::bmm", "aten::matmul")]) >= 5  # one per token


def test_rwkv_mixes_time_in_one_operator_per_layer(tmp_path):
    path = tmp_path / "rwkv.json"
    path.write_text(json.dumps({
        "model_type": "rwkv", "hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 50,
        "context_length": 32, "attention_hidden_size": 16, "intermediate_size": 64,
    }))  # fmt: skip
    graph = cm.load_graph(f"hf:{path}", input_shape=(6,))
    assert [op.target for op in graph.ops].count("costmodel::wkv") == 2
    # Peng et al. (2023): receptance, key, value, output; channel mixing of 4 x the width twice,
    # and its receptance; then the head.
    layer = 4 * 16 * 16 + 2 * 16 * 64 + 16 * 16
    assert macs(graph) == 6 * (2 * layer + 16 * 50)
    assert not columns_of(graph).uncovered.any()


def test_what_has_no_known_input_says_so():
    with pytest.raises(UsageError, match=r"no example input is known.*FILE\.py:factory"):
        cm.load_graph("hf:decision_transformer")


def test_shapes_of_another_rank_are_refused():
    with pytest.raises(UsageError, match=r"expected \(channels, height, width\)"):
        cm.load_graph("hf:vit", input_shape=(224, 224))
    with pytest.raises(UsageError, match=r"expected \(target tokens,\)"):
        cm.load_graph("hf:whisper", input_shape=(80, 3000))
