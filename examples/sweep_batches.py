"""What batch pays? Latency and throughput over batch sizes and precisions, in one call."""

import costmodel as cm

BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
PRECISIONS = ["fp32", "fp16"]

graph = cm.load_graph("zoo:fasternet_t1", batch=2)
sweep = cm.sweep(graph, ["t4"], BATCHES, PRECISIONS)
latency = sweep.latency[0]  # seconds, (batches, precisions): arrays, no loop over operators

print("batch" + "".join(f"{p + ' ms':>12}{p + ' img/s':>14}" for p in PRECISIONS))
for batch, row in zip(BATCHES, latency, strict=True):
    print(f"{batch:5}" + "".join(f"{t * 1e3:12.2f}{batch / t:14,.0f}" for t in row))

one, many = latency[0], latency[-1] / BATCHES[-1]
for precision, gain in zip(PRECISIONS, one / many, strict=True):
    print(f"{precision}: an image of a batch of {BATCHES[-1]} takes 1/{gain:.1f} of one alone")
