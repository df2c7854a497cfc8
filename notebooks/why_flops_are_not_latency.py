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
# # Why FLOPs are not latency
#
# A network with fewer floating-point operations should be faster. Often it is not. The identity
#
# $$\text{latency} = \frac{\text{FLOPs}}{\text{FLOPS}}$$
#
# has two sides: how much there is to compute (FLOPs), and how fast the device gets to compute it
# (FLOPS, per second). A design that halves the first and quarters the second is twice as slow.
# This notebook finds out where the second goes. It needs no GPU: nothing here is run, everything
# is predicted from shapes and data sheets.

# %%
import costmodel as cm

resnet = cm.load_graph("zoo:resnet50", batch=2)
mobilenet = cm.load_graph("zoo:mobilenet_v2", batch=2)
mobilenet

# %% [markdown]
# ## Two networks, one device
#
# MobileNetV2 has about a fourteenth of ResNet-50's multiply-accumulates. How much faster is it?

# %%
DEVICE = "v100-sxm2"
slow, fast = (cm.estimate(graph, DEVICE, batch=256) for graph in (resnet, mobilenet))
fewer = slow.total.macs / fast.total.macs
faster = slow.latency / fast.latency
print(f"{fewer:.1f} times fewer multiply-accumulates, {faster:.1f} times faster")
assert faster < fewer / 2

# %%
fast

# %% [markdown]
# The rest went into the achieved rate. The V100 can do 15.7 TFLOP/s in float32.

# %%
for found in (slow, fast):
    print(f"{found.graph.name:14} achieves {found.achieved_flops / 1e12:5.2f} TFLOP/s")
    for bound, seconds in found.time_by_bound.items():
        print(f"    {seconds / found.latency:6.1%} of the time bound by {bound}")

# %% [markdown]
# ## The roofline
#
# An operator has to do two things: compute its FLOPs and move its bytes. A device has a peak rate
# for either. Whichever takes longer is the limit (Williams, Waterman and Patterson, 2009):
#
# $$\text{attainable} = \min(\text{peak},\ \text{bandwidth} \times \text{intensity}),
# \qquad \text{intensity} = \frac{\text{FLOPs}}{\text{bytes}}$$
#
# Below the ridge point, peak / bandwidth, an operator waits for memory and its FLOPs do not matter.

# %%
device = cm.load_device(DEVICE)
ridge = device.ridge_point("float32")
print(f"ridge point of the {device.name}: {ridge:.1f} FLOP per byte")

waiting = [op for op in fast.operators if op.intensity < ridge]
share = sum(op.time for op in waiting) / fast.latency
print(f"{len(waiting)} of {len(fast.operators)} operators of MobileNetV2 are left of it,")
work = sum(op.macs for op in waiting) / fast.total.macs
print(f"they take {share:.0%} of its time and do {work:.0%} of its multiply-accumulates")
assert share > 0.7

# %% [markdown]
# The chart: one dot per operator, as large as its share of the time. Point at one for its shapes
# and its formula.

# %%
fast.roofline()

# %% [markdown]
# ## The lesson
#
# 1. Count bytes beside FLOPs: an activation or a norm has hardly any FLOPs and costs a trip through
#    memory.
# 2. Compare intensity with the ridge point of *your* device before you save FLOPs: left of it,
#    saved FLOPs save nothing.
# 3. Ask for the same network elsewhere. On a device with little arithmetic per byte, MobileNetV2's
#    savings come true:

# %%
for name in ("v100-sxm2", "h200", "epyc-73f3@1", "snapdragon-855-cpu"):
    one, other = (cm.estimate(graph, name, batch=16) for graph in (resnet, mobilenet))
    ridge = cm.load_device(name.partition("@")[0]).ridge_point("float32")
    print(f"{name:20} ridge {ridge:5.1f} FLOP/B: {one.latency / other.latency:5.1f} times faster")
