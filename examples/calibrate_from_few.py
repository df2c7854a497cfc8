"""I timed a few networks there: what do they say of the device, and of the next network?"""

import costmodel as cm
from costmodel.estimation import resolve_target
from costmodel.measurement.validation.device_factors import network_times, sum_rows
from costmodel.measurement.validation.few_shot import refine
from costmodel.measurement.validation.networks import Case, stack_networks

# Put your own here, seconds per batch of 32. These are made up: a V100 with slow memory.
SLOWER = {"memory": 1.35, "compute": 1.0, "launch": 1.0, "lanes": 1.0}
TIMED = ("zoo:fasternet_t0", "zoo:fasternet_t1", "zoo:fasternet_t2", "zoo:mobilenet_v2")
NEXT = "zoo:resnet50"
BATCH, DEVICE = 32, resolve_target("v100-sxm2")


def stopwatch(graph: cm.Graph) -> float:
    parts = cm.estimate(graph, DEVICE, BATCH).time_by_bound
    return sum(seconds * SLOWER[bound] for bound, seconds in parts.items())


def measured(*sources: str):
    graphs = [cm.load_graph(source, batch=2) for source in sources]
    return stack_networks([Case(g.name, g, BATCH, stopwatch(g)) for g in graphs], "fp32")


found = refine(measured(*TIMED), DEVICE)
print(f"mean error on them: {found.spec_only_error:.1%} by the profile alone,")
print(f"{found.refined_error:.1%} refined and predicted from the others; used: {found.refined}")
print(found.factors)

test = measured(NEXT)
for name, factors in (("profile alone", {}), ("refined", {"factors": found.factors})):
    seconds = sum_rows(test, network_times(test, DEVICE, **factors).total[0, 0])[0]
    print(f"{NEXT}, {name}: {seconds * 1e3:.1f} ms, measured {test.measured[0] * 1e3:.1f} ms")
