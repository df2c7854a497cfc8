"""How fast is it on a device nobody has? Its YAML is written by hand, from an announcement."""

from pathlib import Path
from tempfile import TemporaryDirectory

import costmodel as cm

PROFILE = """
name: Imagined NPU
vendor: Example
kind: npu
year: 2030
microarchitecture: Imagined 1
sources:
  slide:
    {title: Announcement, publisher: Example, section: slide 7, date: 2030, verified: unverified}
compute:
  unit_name: core
  units: {value: 16, source: slide, kind: datasheet}
  clocks:
    base: {value: null, reason: not published}
    boost: {value: 1 GHz, source: slide, kind: datasheet}
    sustained: {value: null, reason: not published}
peaks:
  - {dtype: float16, engine: matrix, value: 32.8 TFLOP/s, source: slide, kind: datasheet}
memory:
  - name: dram
    scope: device
    capacity: {value: 8 GiB, source: slide, kind: datasheet}
    bandwidth: {value: 68 GB/s, source: slide, kind: datasheet}
board_power: {value: 10 W, source: slide, kind: datasheet}
launch_overhead: {value: null, reason: not published}
"""

with TemporaryDirectory() as folder:
    path = Path(folder) / "imagined-npu.yaml"
    path.write_text(PROFILE)
    device = cm.load_device(path)  # refused, with line and column, if a number lacks unit or source
print(cm.estimate(cm.load_graph("zoo:fasternet_t0", 2), device, batch=1, precision="fp16"))
