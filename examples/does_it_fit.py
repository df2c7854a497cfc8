"""Does it fit, and with what batch? Peak memory of weights and live activations, per device."""

import costmodel as cm

GIB = 2**30
graph = cm.load_graph("zoo:resnet50", batch=2)
sizes = [2**i for i in range(13)]

for device in ("jetson-nano", "t4", "v100-sxm2", "h200"):
    estimates = [
        found for found in cm.sweep(graph, [device], sizes, ["fp32"]) if found.fits is not False
    ]
    if not estimates:
        print(f"{device:12} does not fit, not even one image")
        continue
    largest = estimates[-1]
    print(
        f"{device:12} up to batch {largest.batch:5}: {largest.peak_memory / GIB:5.1f} GiB, "
        f"{largest.latency:7.3f} s a batch, {largest.throughput:7,.0f} images/s"
    )
