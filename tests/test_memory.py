"""Peak memory against a real run that counts every allocation, and the batch that fits."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import costmodel as cm
from costmodel.errors import UsageError
from costmodel.memory import MemoryModel, memory_of


class Allocations(TorchDispatchMode):
    """Bytes of all storages that are alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.peak = 0

    def add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.alive:
            self.alive[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self.alive.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(value, torch.Tensor):
                self.add(value)
        return result


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm = nn.BatchNorm2d(2 * width)
        self.second = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(F.gelu(self.norm(self.first(x))))


class Convolutional(nn.Module):
    def __init__(self, checkpointing: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(Residual(16) for _ in range(4))
        self.head = nn.Linear(16, 10)
        self.checkpointing = checkpointing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x), inplace=True)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointing else block(x)
        y: torch.Tensor = self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return y


class Mixing(nn.Module):
    """Attention, norms and linear layers on patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 8, stride=8)
        self.norm = nn.LayerNorm(32)
        self.qkv = nn.Linear(32, 96)
        self.mlp = nn.Sequential(nn.Linear(32, 128), nn.GELU(), nn.Linear(128, 32))
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        n, tokens, width = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, tokens, 3, 4, 8).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + y.transpose(1, 2).reshape(n, tokens, width)
        x = x + self.mlp(x)
        z: torch.Tensor = self.head(x.mean(1))
        return z


def real_peak(model: nn.Module, batch: int, name: str, implementation: str) -> int:
    """Bytes at the peak of the second step of a real run."""
    made: Any = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[name]
    options = {
        "for-loop": {"foreach": False},
        "foreach": {"foreach": True},
        "fused": {"fused": True},
    }
    optimizer = made(model.parameters(), lr=1e-3, **options[implementation])
    image, label = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))

    def step() -> None:
        F.cross_entropy(model(image), label).backward()
        optimizer.step()

    model.train()
    step()
    optimizer.zero_grad()
    gc.collect()
    counted = Allocations()
    states = [v for state in optimizer.state.values() for v in state.values()]
    for tensor in (*model.parameters(), *model.buffers(), *states, image, label):
        if isinstance(tensor, torch.Tensor):
            counted.add(tensor)
    with counted:
        step()
    return counted.peak


SMALL = 0.01
"""A step's counters on the host and the state of random numbers are in the real run alone."""


@pytest.mark.parametrize("module", [Convolutional, Mixing])
@pytest.mark.parametrize(
    ("optimizer", "implementation", "batch"),
    [("sgd", "for-loop", 16), ("adamw", "foreach", 2), ("adamw", "fused", 8)],
)
def test_peak_of_a_step_is_that_of_a_real_run(
    module: type[nn.Module], optimizer: str, implementation: str, batch: int
) -> None:
    measured = real_peak(module(), batch, optimizer, implementation)
    graph = cm.trace_training_step(
        module(), (batch, 3, 32, 32), device_type="cpu",
        step=cm.TrainingStep(optimizer, implementation),
    )  # fmt: skip
    assert memory_of(graph).at(batch).total == pytest.approx(measured, rel=SMALL)


def test_peak_with_checkpointing_is_that_of_a_real_run() -> None:
    measured = real_peak(Convolutional(checkpointing=True), 16, "sgd", "for-loop")
    graph = cm.trace_training_step(
        Convolutional(), (16, 3, 32, 32), device_type="cpu",
        step=cm.TrainingStep("sgd", "for-loop", checkpointing=True),
    )  # fmt: skip
    assert memory_of(graph).at(16).total == pytest.approx(measured, rel=0.05)


def test_weights_gradients_and_state_by_hand() -> None:
    """One linear layer, 100 x 50 and 50: with Adam, four times 5,050 float32 at the end."""
    graph = cm.trace_training_step(nn.Linear(100, 50), (1, 100), step=cm.TrainingStep("adam"))
    memory = memory_of(graph).at(1)
    assert memory.weights == 4 * 5_050
    assert memory.gradients == 4 * 5_050
    assert memory.optimizer_state == 2 * 4 * 5_050
    assert memory.phase == "optimizer"
    # The list form of Adam holds √v of all parameters as a temporary.
    assert memory.activations >= 4 * 5_050
    assert memory.total == sum(memory[:4])


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "checkpointing"])
def model(request: pytest.FixtureRequest) -> MemoryModel:
    step = cm.TrainingStep("sgd", checkpointing=request.param)
    return memory_of(cm.trace_training_step(Convolutional(), (2, 3, 32, 32), step=step))


@pytest.mark.parametrize("capacity", [1e6, 1.2345e7, 1e9])
def test_the_largest_batch_fits_and_the_next_does_not(model: MemoryModel, capacity: float) -> None:
    best = model.largest_batch(capacity)
    assert best is not None
    assert best > 0
    assert model.at(best).total <= capacity < model.at(best + 1).total


def test_a_device_too_small_for_the_weights_fits_nothing(model: MemoryModel) -> None:
    assert model.largest_batch(1000) == 0
    with pytest.raises(UsageError, match="more than 0"):
        model.largest_batch(0)


def test_inference_keeps_less_than_training() -> None:
    """Nothing is kept for backward, and there are no gradients and no state."""
    shape = (8, 3, 32, 32)
    inferred = memory_of(cm.trace(Convolutional(), shape)).at(8)
    trained = memory_of(cm.trace_training_step(Convolutional(), shape)).at(8)
    assert inferred.gradients == inferred.optimizer_state == 0
    assert inferred.weights == trained.weights
    assert inferred.activations < trained.activations / 2
