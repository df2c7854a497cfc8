"""What limits it? The time of a network by what bounds it, by kind, and its slowest operators."""

import costmodel as cm

graph = cm.load_graph("zoo:mobilenet_v2", batch=2)
found = cm.estimate(graph, "v100-sxm2", batch=256)
print(found, "\n")

for bound, seconds in found.time_by_bound.items():
    print(f"{seconds / found.latency:6.1%} of the time is {bound} bound")

print()
for kind, seconds in found.time_by_kind.items():
    print(f"{seconds / found.latency:6.1%} {kind}")

print("\nslowest operators:")
for op in sorted(found.operators, key=lambda op: -op.time)[:5]:
    print(f"{op.time * 1e3:6.2f} ms  {op.bound:7} {op.intensity:7.1f} FLOP/B  {op.name}")

for entry in found.uncovered:  # an operator without a formula is never free: it pays its bytes
    print(f"no formula: {entry.op}, {entry.time_share:.1%} of the time")
