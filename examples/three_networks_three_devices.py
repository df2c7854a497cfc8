"""Which of three networks should I take? Throughput on three devices, relative to the first."""

import costmodel as cm

NETWORKS = ("zoo:resnet50", "zoo:mobilenet_v2", "zoo:fasternet_t2")
DEVICES = ("v100-sxm2", "mi250-gcd", "epyc-73f3")

graphs = [cm.load_graph(source, batch=2) for source in NETWORKS]
print(f"{'':18}{'GMACs':>8}" + "".join(f"{device:>20}" for device in DEVICES))
first = None
for graph in graphs:
    found = [cm.estimate(graph, device, batch=64) for device in DEVICES]
    first = first or found
    cells = [
        f"{one.throughput:9,.0f}/s {one.throughput / base.throughput:6.2f}x"
        for one, base in zip(found, first, strict=True)
    ]
    gmacs = found[0].total.macs / 64 / 1e9
    print(f"{graph.name:18}{gmacs:8.2f}" + "".join(f"{cell:>20}" for cell in cells))
