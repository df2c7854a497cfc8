# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Add your own operator and device
#
# An operator is one function, a device is one YAML file. Both work at once with everything else:
# tracing, sweeps, reports, crossovers.

# %% [markdown]
# ## An operator
#
# The shift operation moves channels by a pixel instead of filtering them: no FLOPs, no parameters,
# only bytes. A formula is a function from the field's symbols (`costmodel.formulas.symbols`) to a
# `Cost`; its parameter names are its symbols.

# %%
import costmodel as cm
from costmodel.formulas.cost import Cost
from costmodel.formulas.registry import bind, binds, formula


@formula(
    "shift",
    kind="movement",
    source="Wu et al., Shift: a zero FLOP, zero parameter "
    "alternative to spatial convolutions (CVPR 2018)",
)
def shift(n, c, h, w, b_x, b_y):
    """Each channel moved by its own offset: one read and one write of every element."""
    return Cost(bytes_read=n * c * h * w * b_x, bytes_written=n * c * h * w * b_y)


shift

# %% [markdown]
# It takes numbers, arrays and symbols. Check it against a count by hand, not against itself:

# %%
cost = shift(n=1, c=64, h=56, w=56, b_x=4, b_y=4)
assert cost.macs == 0
assert cost.bytes == 2 * 64 * 56 * 56 * 4
print(f"{cost.bytes:,} bytes, intensity {cost.intensity}")

# %% [markdown]
# ## The operator in a model
#
# PyTorch knows a custom operator by name. `binds` says how its shapes fill in the formula's
# symbols. Before that, a trace lists it as uncovered, charged its bytes; it is never free.

# %%
import torch
from torch import nn


@torch.library.custom_op("lesson::shift", mutates_args=())
def shift_op(x: torch.Tensor) -> torch.Tensor:
    return x.roll(1, -1)


@shift_op.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Block(nn.Module):
    """Shift instead of a 3 x 3 convolution, then mix the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(shift_op(x))


before = cm.estimate(cm.trace(Block(64), (1, 64, 56, 56), name="before"), "v100-sxm2")
print("not covered:", before.uncovered)


# %%
@binds("lesson::shift")
def bind_shift(op, inputs, outputs):
    n, c, h, w = inputs[0].shape
    return bind("shift", n=n, c=c, h=h, w=w)


graph = cm.trace(Block(64), (1, 64, 56, 56), name="shift block")
found = cm.estimate(graph, "v100-sxm2", batch=64)
assert not found.uncovered
found

# %% [markdown]
# ## A device
#
# A profile states what it knows and where from. `costmodel devices new NAME` writes the template;
# this is a small one. A wrong unit, a missing source or a peak that does not fit the clock is
# refused.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

PROFILE = """
name: My accelerator
vendor: Us
kind: npu
year: 2026
microarchitecture: first silicon
sources:
  lab: {title: Bring-up notes, publisher: Us, section: page 1, date: 2026, verified: unverified}
compute:
  unit_name: core
  units: {value: 4, source: lab, kind: measured}
  clocks:
    base: {value: null, reason: not decided}
    boost: {value: 800 MHz, source: lab, kind: measured}
    sustained: {value: null, reason: not decided}
peaks:
  - dtype: float16
    engine: matrix
    value: 3.28 TFLOP/s
    per_clock: 1024
    source: lab
    kind: derived
    how: 4 cores x 1024 FLOP per clock x 800 MHz
memory:
  - name: dram
    scope: device
    capacity: {value: 4 GiB, source: lab, kind: measured}
    bandwidth: {value: 25.6 GB/s, source: lab, kind: measured}
board_power: {value: 5 W, source: lab, kind: measured}
launch_overhead: {value: 20 us, source: lab, kind: measured}
"""

folder = TemporaryDirectory()
path = Path(folder.name) / "my-accelerator.yaml"
path.write_text(PROFILE)
mine = cm.load_device(path)
mine

# %% [markdown]
# ## Both together
#
# An operator without FLOPs still moves its bytes: about as many as the depthwise convolution that
# it replaces. Where that one waits for memory, saving all of its FLOPs saves no time.

# %%
sizes = {"n": 1, "c": 64, "h": 56, "w": 56, "b_x": 2, "b_y": 2}
depthwise = cm.formula("dwconv")(**sizes, k=3, b_w=2)
print(f"bytes, shift / depthwise: {shift(**sizes).bytes / depthwise.bytes:.3f}")
print(
    f"depthwise has {depthwise.intensity:.1f} FLOP/B, the ridge point here is "
    f"{mine.ridge_point('float16'):.0f}"
)
assert depthwise.intensity < mine.ridge_point("float16")

for device in ("v100-sxm2", mine):
    one = cm.estimate(graph, device, batch=1, precision="fp16")
    print(f"{one.device:16} {one.latency * 1e6:8.1f} us, {one.bound} bound")

# %%
folder.cleanup()
