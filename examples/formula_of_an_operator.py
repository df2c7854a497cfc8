"""Is that formula right? An operator's cost in symbols, in numbers, as arrays and as LaTeX."""

import numpy as np

import costmodel as cm

pconv = cm.formula("pconv")
print(pconv.description, "\nsource:", pconv.source)
print("MACs     ", pconv.cost.macs)
print("intensity", pconv.intensity)
print("LaTeX    ", pconv.latex("macs"))

shape = {"n": 1, "h": 56, "w": 56, "k": 3, "b_x": 4, "b_w": 4, "b_y": 4}
one = pconv(c_p=16, **shape)
print(f"\n16 of 64 channels: {one.macs:,} MACs, {one.bytes:,} bytes, {one.parameters:,} weights")
assert one.macs == 56 * 56 * 3**2 * 16**2  # equation 5 of its paper

many = pconv(c_p=np.arange(8, 65, 8), **shape)  # a million variants work as well
print("FLOP per byte at 8, 16, ... 64 channels:", np.round(many.intensity, 1))

ratio = pconv.ratio_to("conv", c_p="c/4")
print("of a convolution's MACs:", ratio.macs, "and bytes:", ratio.bytes)
