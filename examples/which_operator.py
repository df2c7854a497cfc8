"""Which operator is better where? Convolution, depthwise and partial, and where they tie."""

import costmodel as cm
from costmodel.reports.operators.comparison import compare_operators
from costmodel.reports.operators.variants import parse_operator

DEVICES = ("v100-sxm2", "jetson-orin-nano", "epyc-73f3@1")
operators = [parse_operator(name) for name in ("conv", "dwconv", "pconv:1/4")]

for found in compare_operators(operators, [32, 64, 128, 256, 512], 56, 3, DEVICES, [16]):
    print(f"\n{found.target.label}, batch {found.batch}, 56x56")
    for channels in found.channels:
        best = found.fastest(channels)
        print(f"  {channels:4} channels: {best.operator} in {best.time * 1e6:,.0f} us")
    for tie in found.ties():
        print(f"  {tie.before} gives way to {tie.after} between {tie.low} and {tie.high} channels")

print("\nSolved on the plain roofline: depthwise against partial convolution")
for device in DEVICES:
    ties = cm.crossover("dwconv", "pconv", device, "c", c_p="c/4", n=16, h=56, w=56, k=3)
    for tie in ties:
        print(f"  {device}: equal at {tie.size:.0f} channels, {tie.after} is faster above")
