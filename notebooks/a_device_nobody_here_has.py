# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A device nobody here has
#
# Whether to buy a device, or to wait for it, is decided before anyone can measure on it. All that
# exists is a data sheet. This notebook predicts from one, says how sure it is, and changes the
# device to see what would help.

# %%
import costmodel as cm

device = cm.load_device("h200")
device

# %% [markdown]
# Every number above has a unit and a source; what is not published is unknown, with the reason. It
# never becomes a guess.

# %%
for path, reason in device.unknowns():
    print(f"{path}: {reason}")

# %% [markdown]
# ## How fast, and how sure?

# %%
graph = cm.load_graph("zoo:fasternet_s", batch=2)
found = cm.estimate(graph, "h200", batch=256, precision="fp16")
print(
    f"{found.latency * 1e3:.2f} ms, 90 % interval {found.interval.low * 1e3:.2f} "
    f"to {found.interval.high * 1e3:.2f} ms"
)
print(found.interval.basis)
assert found.interval.low < found.latency < found.interval.high

# %% [markdown]
# ## What if?
#
# Which of its numbers matters for this network? Change one at a time: a profile is a mapping of
# text with units, and is checked again when it is loaded.

# %%
from costmodel.documents import read_text, yaml_text
from costmodel.hardware.catalogue import device_files
from costmodel.hardware.validation import parse_profile

TEXT = device_files()["h200"].read_text()


def variant(change) -> cm.DeviceProfile:
    """The H200 with something changed in its YAML."""
    document = read_text(TEXT).data
    change(document)
    return parse_profile("variant", yaml_text(document))


def as_printed(document) -> None:
    pass


def dram_of_the_h100(document) -> None:
    (dram,) = [level for level in document["memory"] if level["name"] == "dram"]
    source = dram["bandwidth"]["source"]
    dram["bandwidth"] = {"value": "3.35 TB/s", "source": source, "kind": "datasheet"}
    for key in ("bus_width", "data_rate"):
        dram.pop(key, None)


for change in (as_printed, dram_of_the_h100):
    one = cm.estimate(graph, variant(change), batch=256, precision="fp16")
    print(f"{change.__name__:20} {one.latency * 1e3:6.2f} ms, {one.bound} bound")

# %% [markdown]
# Loading refuses what cannot be: numbers without a unit or a source, peaks that do not fit units
# and clocks, a memory bus that does not give its bandwidth. All mistakes come at once, with line
# and column.

# %%
from costmodel.errors import SpecError


def too_good(document) -> None:
    document["board_power"] = {"value": 700}


try:
    variant(too_good)
except SpecError as error:
    for problem in error.problems:
        print(problem.rpartition("variant.yaml")[2])
else:
    raise AssertionError("a number without a unit was taken")

# %% [markdown]
# ## Everything else on the shelf
#
# The same question for the whole catalogue takes a moment, since the graph is traced once.

# %%
names = ["v100-sxm2", "a100", "h100-sxm5", "h200", "mi300x", "rtx-4090", "l4", "jetson-orin-nano"]
sweep = cm.sweep(graph, names, [256], ["fp16"])
for one in sorted(sweep, key=lambda e: e.latency):
    fits = {True: "", False: "does not fit", None: "capacity unknown"}[one.fits]
    print(f"{one.device:20} {one.throughput:10,.0f} images/s, {one.bound:8} {fits}")
