"""torchvision's tasks: inputs of their own, and the numbers that the library publishes."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")
models = pytest.importorskip("torchvision.models", reason="needs torchvision")

from torch import nn  # noqa: E402

import costmodel as cm  # noqa: E402
from costmodel.errors import UnknownNameError, UsageError  # noqa: E402
from costmodel.formulas.columns import columns_of  # noqa: E402


def gmacs(graph):
    columns = columns_of(graph)
    return float((columns.evaluate().cost.macs * columns.counts).sum()) / 1e9


@pytest.mark.parametrize("name", ["r3d_18", "r2plus1d_18", "mvit_v1_b", "swin3d_t", "s3d"])
def test_video_models_have_the_published_operations_and_parameters(name):
    meta = models.get_model_weights(name).DEFAULT.meta
    graph = cm.load_graph(f"torchvision:{name}")
    assert round(gmacs(graph), 3) == meta["_ops"]
    assert graph.parameters == meta["num_params"]
    assert not columns_of(graph).uncovered.any()


def test_optical_flow_takes_pairs_of_frames():
    graph = cm.load_graph("torchvision:raft_small", batch=2, input_shape=(3, 128, 128))
    assert [graph.tensors[i].shape for i in graph.inputs] == [(2, 3, 128, 128)] * 2
    assert graph.parameters == models.get_model_weights("raft_small").DEFAULT.meta["num_params"]
    assert not columns_of(graph).uncovered.any()


def test_wrong_names_and_shapes():
    with pytest.raises(UnknownNameError, match="did you mean resnet50"):
        cm.load_graph("torchvision:resnet5")
    with pytest.raises(UsageError, match="sizes must be positive"):
        cm.load_graph("torchvision:resnet18", input_shape=(3, 0, 224))


class Small(nn.Module):
    """Every sort of quantised layer once."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = torch.ao.quantization.QuantStub()
        self.convolution = nn.Conv2d(4, 8, 3, groups=2, bias=True)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(8, 5)
        self.sum = torch.ao.nn.quantized.FloatFunctional()
        self.dequant = torch.ao.quantization.DeQuantStub()

    def forward(self, x):
        y = self.relu(self.convolution(self.quant(x)))
        y = self.sum.add(y, y).mean((2, 3))
        return self.dequant(self.linear(y))


@pytest.fixture
def quantized():
    from torch.ao import quantization

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library announces another place for it
        model = Small().eval()
        model = quantization.fuse_modules(model, [["convolution", "relu"]])
        model.qconfig = quantization.default_qconfig
        quantization.prepare(model, inplace=True)
        model(torch.rand(1, 4, 6, 6))
        return quantization.convert(model, inplace=True)


def test_quantised_layers_show_the_weights_inside_them(quantized):
    graph = cm.trace(quantized, (2, 4, 6, 6))
    assert graph.rung == "cpu"
    # 8 x 2 x 3 x 3 weights and 8 biases; 5 x 8 weights and 5 biases. Biases stay float32.
    assert graph.parameters == 144 + 8 + 40 + 5
    parameters = [graph.tensors[i] for i in graph.weights if graph.tensors[i].kind == "parameter"]
    assert sum(spec.bytes for spec in parameters) == 144 + 40 + 4 * 13
    assert {spec.name for spec in parameters} == {
        "convolution.weight", "convolution.bias", "linear.weight", "linear.bias"
    }  # fmt: skip
    (convolution,) = (op for op in graph.ops if op.target == "quantized::conv2d_relu")
    assert convolution.module == "convolution"
    assert graph.tensors[convolution.inputs[1]].name == "convolution.weight"
    assert graph.tensors[convolution.outputs[0]].dtype == "quint8"
    # 2 images x 16 places x 8 channels x 18 taps, and 2 rows x 40.
    assert gmacs(graph) * 1e9 == 2 * 16 * 8 * 18 + 2 * 40
    assert not columns_of(graph).uncovered.any()


def test_quantised_models_run_at_the_peak_for_integers(quantized):
    kinds = {row.target: row.dtype for row in columns_of(cm.trace(quantized, (2, 4, 6, 6))).table}
    assert kinds["quantized::conv2d_relu"] == "quint8"
    assert kinds["aten::quantize_per_tensor"] == "float32"
