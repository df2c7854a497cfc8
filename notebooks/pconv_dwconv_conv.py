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
# # PConv, DWConv, Conv
#
# Three ways to filter a feature map of $h \times w$ positions and $c$ channels with a $k \times k$
# window:
#
# * **Conv** mixes all channels with all channels,
# * **DWConv** (depthwise) filters each channel by itself,
# * **PConv** (partial) convolves $c_p$ of the channels and leaves the others alone.
#
# Their formulas are in the library, written once; everything below comes from them.

# %%
import costmodel as cm

conv, dwconv, pconv = (cm.formula(name) for name in ("conv", "dwconv", "pconv"))
dwconv

# %%
pconv

# %% [markdown]
# ## The ratios in symbols
#
# With a quarter of the channels, $c_p = c/4$, a partial convolution has a sixteenth of the
# multiply-accumulates. What of the memory accesses?

# %%
from sympy import limit

ratio = pconv.ratio_to("conv", c_p="c/4")
h = next(symbol for symbol in ratio.bytes.free_symbols if str(symbol) == "h")
print("MACs, PConv / Conv: ", ratio.macs)
print("bytes, PConv / Conv:", ratio.bytes, " for large maps:", limit(ratio.bytes, h, "oo"))
assert (ratio.macs, limit(ratio.bytes, h, "oo")) == (ratio.macs.func(1, 16), ratio.macs.func(1, 4))

# %% [markdown]
# A depthwise convolution saves even more arithmetic, $c$-fold, but reads and writes every channel:

# %%
ratio = dwconv.ratio_to("conv")
print("MACs, DWConv / Conv: ", ratio.macs)
print("bytes, DWConv / Conv:", limit(ratio.bytes, h, "oo"), "for large maps")

# %% [markdown]
# So its intensity is tiny. In float32, at 3 x 3, it cannot pass 9/4 FLOP per byte however large
# the map (nine multiply-accumulates for one element read and one written):

# %%
sizes = {"h": 56, "w": 56, "k": 3, "b_x": 4, "b_w": 4, "b_y": 4, "n": 16}
for c in (32, 64, 128, 256, 512):
    intensity = [
        float(cost.intensity)
        for cost in (conv(c=c, **sizes), dwconv(c=c, **sizes), pconv(c_p=c // 4, **sizes))
    ]
    print(
        f"{c:4} channels: Conv {intensity[0]:6.1f}, DWConv {intensity[1]:5.2f}, "
        f"PConv {intensity[2]:6.1f} FLOP/B"
    )

# %% [markdown]
# ## On a device
#
# The same three on a V100. The last column names the operators that have more FLOPs and still take
# no longer.

# %%
from costmodel.reports.operators.comparison import compare_operators
from costmodel.reports.operators.variants import parse_operator

operators = [parse_operator(name) for name in ("conv", "dwconv", "pconv:1/4")]
(found,) = compare_operators(operators, [32, 64, 128, 256, 512], 56, 3, ["v100-sxm2"], [16])
for point in found.points:
    print(
        f"{point.channels:4} {point.operator:10} {point.flops / 1e9:8.3f} GFLOPs "
        f"{point.time * 1e6:8.1f} us {point.achieved_flops / 1e12:6.2f} TFLOP/s  "
        f"{', '.join(point.beaten_by)}"
    )

# %% [markdown]
# ## Where do they tie?
#
# Left of the tie PConv is faster in spite of its FLOPs, right of it DWConv is. On the plain
# roofline the equation is "bytes of one / bandwidth = FLOPs of the other / peak", and it can be
# solved in symbols.

# %%
from costmodel.crossovers import closed_form

shape = {"n": 16, "h": 56, "w": 56, "k": 3}
(tie,) = cm.crossover("dwconv", "pconv", "v100-sxm2", "c", c_p="c/4", **shape)
print(f"equal at {tie.size:.0f} channels: {tie.before} is faster below, {tie.after} above")
closed_form("dwconv", "pconv", "v100-sxm2", tie, c_p="c/4", **shape)

# %% [markdown]
# For large maps that is $c = 16\, b\, P / (B k^2)$: sixteen times the ridge point, times the bytes
# of an element, over $k^2$. A device with more arithmetic per byte moves the tie to the right:

# %%
for device in ("epyc-73f3@1", "v100-sxm2", "rtx-4090"):
    for tie in cm.crossover("dwconv", "pconv", device, "c", c_p="c/4", **shape):
        print(f"{device:12} {tie.size:6.0f} channels")

# %% [markdown]
# ## A fair fight
#
# Depthwise layers lose accuracy, so networks widen them: to $c' = 6c$ in MobileNetV2's blocks. At
# $c'$ channels DWConv moves $h \cdot w \cdot 2c'$ elements, PConv $h \cdot w \cdot 2c_p$:

# %%
wide = dwconv(c=6 * 64, **sizes)
partial = pconv(c_p=64 // 4, **sizes)
print(
    f"DWConv of 384 channels moves {float(wide.bytes / partial.bytes):.1f} times what PConv of "
    f"16 of 64 does, and does {float(wide.macs / partial.macs):.2f} times its MACs"
)

# %% [markdown]
# The command does all of this for any operators, sizes, kernels and devices, with the regions
# shaded where fewer FLOPs are not faster:
#
# ```
# costmodel compare-ops conv dwconv pconv:1/4 patconv:1/4 --size 14,28,56 -d v100-sxm2 -o ops.html
# ```
