"""Models of transformers by configuration: published sizes, hand-worked costs, decode steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import costmodel as cm
from costmodel.errors import TraceError, UnknownNameError, UsageError
from costmodel.formulas.columns import columns_of
from costmodel.tracing.huggingface import configuration, known_models

transformers = pytest.importorskip("transformers", reason="needs the hf extra")

TINY_LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64,
    "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 2, "vocab_size": 500, "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}  # fmt: skip


def macs(graph: cm.Graph) -> float:
    columns = columns_of(graph)
    return float(columns.evaluate().cost.macs @ columns.counts)


def written(tmp_path: Path, document: dict[str, Any]) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    return f"hf:{path}"


def llama_weights(document: dict[str, Any]) -> tuple[int, int]:
    """(all parameters, those of the matrices every token is multiplied with), from the paper.

    Touvron et al. (2023), section 2: four attention projections (keys and values with fewer
    heads), three of the gated MLP, two norms a layer, a last norm, embedding and head.
    """
    h, f, n = (document[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    kv = h * document["num_key_value_heads"] // document["num_attention_heads"]
    head = document["vocab_size"] * h
    matrices = n * (2 * h * h + 2 * h * kv + 3 * h * f) + head
    return matrices + head + (2 * n + 1) * h, matrices


@pytest.mark.parametrize("name", sorted(known_models()))
def test_built_in_models_have_their_published_number_of_parameters(name: str) -> None:
    from costmodel.tracing.huggingface import build

    model = build(configuration(name))
    count = sum(p.numel() for p in model.parameters())
    assert count == known_models()[name]["parameters"]
    assert all(p.is_meta for p in model.parameters())


@pytest.mark.parametrize("name", [n for n in sorted(known_models()) if n.startswith("llama")])
def test_published_llama_sizes_follow_from_the_paper(name: str) -> None:
    assert llama_weights(configuration(name))[0] == known_models()[name]["parameters"]


def test_causal_language_model_by_hand(tmp_path: Path) -> None:
    batch, tokens = 2, 24
    graph = cm.load_graph(written(tmp_path, TINY_LLAMA), batch=batch, input_shape=(tokens,))
    everything, matrices = llama_weights(TINY_LLAMA)
    assert graph.parameters == everything
    pairs = tokens * (tokens + 1) // 2  # a query sees itself and what came before
    attention = TINY_LLAMA["num_hidden_layers"] * TINY_LLAMA["hidden_size"] * 2 * pairs
    assert macs(graph) == batch * (tokens * matrices + attention)
    assert graph.rung == "eager"
    assert "aten::cat" not in {op.target for op in graph.ops if "cache" in op.module}


def test_symbolic_language_model_by_hand(tmp_path: Path) -> None:
    import sympy

    source = written(tmp_path, TINY_LLAMA)
    names = {"batch": 0, "sequence": 1}
    graph = cm.load_graph(source, batch=2, input_shape=(24,), symbolic=names)
    assert graph.symbols == ("batch", "sequence")
    n, s = (sympy.Symbol(name, integer=True, positive=True) for name in names)
    _, matrices = llama_weights(TINY_LLAMA)
    attention = TINY_LLAMA["num_hidden_layers"] * TINY_LLAMA["hidden_size"] * s * (s + 1)
    assert sympy.expand(graph.cost().macs - n * (s * matrices + attention)) == 0
    eager = cm.load_graph(source, batch=3, input_shape=(70,)).cost()
    assert graph.substitute(batch=3, sequence=70).cost() == eager


def test_decode_step_by_hand(tmp_path: Path) -> None:
    batch, context = 3, 40
    source = written(tmp_path, TINY_LLAMA)
    graph = cm.load_graph(f"{source}?decode={context}", batch=batch)
    everything, matrices = llama_weights(TINY_LLAMA)
    attention = TINY_LLAMA["num_hidden_layers"] * TINY_LLAMA["hidden_size"] * 2 * (context + 1)
    assert macs(graph) == batch * (matrices + attention)
    # Keys and values of every layer are inputs that grow with the batch, read and not copied.
    cache = [graph.tensors[i] for i in graph.inputs[1:]]
    assert len(cache) == 2 * TINY_LLAMA["num_hidden_layers"]
    assert all(t.shape == (batch, 2, context + 1, 8) and t.batched for t in cache)
    columns = columns_of(graph)
    cost = columns.evaluate().cost
    cache_bytes = sum(t.bytes for t in cache)
    # what each step must read: the weights once (one row of the embedding), and the cache
    least = 4 * (everything - 500 * 64) + cache_bytes
    assert least <= float(cost.bytes_read @ columns.counts) <= 1.2 * least
    computed = [t for op in graph.ops if not op.is_view for t in graph.outputs_of(op)]
    assert all(t.shape != cache[0].shape for t in computed)


@pytest.mark.parametrize("context", [8, 15, 16, 40])
def test_a_layer_with_a_window_reads_no_more_than_it(tmp_path: Path, context: int) -> None:
    document = {**TINY_LLAMA, "model_type": "mistral", "architectures": ["MistralForCausalLM"],
                "sliding_window": 16}  # fmt: skip
    graph = cm.load_graph(f"{written(tmp_path, document)}?decode={context}")
    _, matrices = llama_weights(TINY_LLAMA)
    seen = min(context + 1, 16)  # the new token and at most 15 before it
    attention = TINY_LLAMA["num_hidden_layers"] * TINY_LLAMA["hidden_size"] * 2 * seen
    assert macs(graph) == matrices + attention
    assert {graph.tensors[i].shape for i in graph.inputs[1:]} == {(1, 2, seen, 8)}


def test_windows_in_some_layers_only(tmp_path: Path) -> None:
    document = {**TINY_LLAMA, "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"],
                "head_dim": 8, "sliding_window": 16, "use_sliding_window": True,
                "layer_types": ["full_attention", "sliding_attention", "full_attention"],
                }  # fmt: skip
    graph = cm.load_graph(f"{written(tmp_path, document)}?decode=40")
    _, matrices = llama_weights(TINY_LLAMA)
    assert macs(graph) == matrices + TINY_LLAMA["hidden_size"] * 2 * (41 + 16 + 41)


def test_layers_with_another_state_are_refused_for_decode() -> None:
    with pytest.raises(UsageError, match="this one has full_attention, linear_attention"):
        cm.load_graph("hf:jamba?decode=16")


def test_sliding_window_prefill_traces_without_values(tmp_path: Path) -> None:
    document = {**TINY_LLAMA, "model_type": "mistral", "architectures": ["MistralForCausalLM"],
                "sliding_window": 16}  # fmt: skip
    graph = cm.load_graph(written(tmp_path, document), input_shape=(64,))
    assert graph.rung == "eager"


def test_mixture_of_experts_multiplies_only_with_the_chosen(tmp_path: Path) -> None:
    document = {**TINY_LLAMA, "model_type": "mixtral", "architectures": ["MixtralForCausalLM"],
                "num_local_experts": 8, "num_experts_per_tok": 2}  # fmt: skip
    tokens, layers, h, f = 16, 3, 64, 160
    graph = cm.load_graph(written(tmp_path, document), input_shape=(tokens,))
    experts = layers * 2 * 3 * h * f  # two of eight, three matrices each
    router = layers * h * 8
    projections = layers * (2 * h * h + 2 * h * h // 4) + 500 * h
    attention = layers * h * 2 * tokens * (tokens + 1) // 2
    assert macs(graph) == tokens * (experts + router + projections) + attention
    assert not columns_of(graph).uncovered.any()


def test_encoder_decoder_and_image_models_trace() -> None:
    t5 = cm.load_graph("hf:t5-base", input_shape=(32, 8))
    assert [t5.tensors[i].shape for i in t5.inputs] == [(1, 32), (1, 8)]
    vit = cm.load_graph("hf:vit-base", batch=2)
    assert vit.tensors[vit.inputs[0]].shape == (2, 3, 224, 224)
    bert = cm.load_graph("hf:bert-base", batch=2, input_shape=(100,))
    # 12 layers of 12 h^2 weights and 2 x 100 x h of attention a token; the pooler sees one token
    assert macs(bert) == 2 * (100 * 12 * (12 * 768**2 + 2 * 100 * 768) + 768**2)


def test_wrong_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean llama-2-7b"):
        cm.load_graph("hf:llama-2-7")
    with pytest.raises(UsageError, match="no such file"):
        cm.load_graph("hf:absent.json")
    with pytest.raises(UsageError, match='has no "model_type"'):
        cm.load_graph(written(tmp_path, {"hidden_size": 3}))
    with pytest.raises(UnknownNameError, match="transformers model type 'lama'"):
        cm.load_graph(written(tmp_path, {**TINY_LLAMA, "model_type": "lama"}))
    with pytest.raises(UnknownNameError, match="transformers architecture"):
        cm.load_graph(written(tmp_path, {**TINY_LLAMA, "architectures": ["os.system"]}))
    with pytest.raises(UsageError, match="decode=TOKENS"):
        cm.load_graph("hf:gpt2?decode=many")
    with pytest.raises(UsageError, match=r"expected \(tokens,\)"):
        cm.load_graph("hf:gpt2", input_shape=(3, 224, 224))
    with pytest.raises(UsageError, match="language model without an encoder"):
        cm.load_graph("hf:bert-base?decode=4")


def test_code_and_weights_that_a_configuration_names_are_ignored(tmp_path: Path) -> None:
    document = {
        **TINY_LLAMA,
        "auto_map": {"AutoModelForCausalLM": "somewhere/else--modeling.Model"},
        "_attn_implementation": "somewhere/kernel",
        "quantization_config": {"quant_method": "none-such"},
    }
    graph = cm.load_graph(written(tmp_path, document), input_shape=(4,))
    assert graph.parameters == llama_weights(TINY_LLAMA)[0]


def test_large_models_are_never_run_for_real() -> None:
    import torch
    from torch import nn

    class Peeks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(2**16, 2**16, device="meta"))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if bool((x > 0).all()) else -x

    with pytest.raises(TraceError, match=r"not run for real, its weights take 16 GiB"):
        cm.trace(Peeks(), (2, 3))
