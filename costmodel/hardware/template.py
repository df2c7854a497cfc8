"""The text of a new profile: every field in its place, every number still to be filled in."""

from __future__ import annotations

_TEMPLATE = """\
# yaml-language-server: $schema=device.schema.json
# Save as <id>.yaml: the marketing name in lower case with hyphens, without the vendor.
# Every number: {{value: 900 GB/s, source: datasheet, kind: datasheet}}
# calculated:   {{value: 897 GB/s, source: datasheet, kind: derived, how: 4096 bit x 1.752 Gb/s}}
# not known:    {{value: null, reason: not published}}
name: {name}
vendor: FILL IN       # who makes it
kind: gpu            # gpu, cpu, npu, tpu or mcu
year: 0              # of first availability
microarchitecture: FILL IN # architecture and chip, such as Volta (GV100)
aliases: []          # other names, above all what the driver prints

sources:
  datasheet:
    title: FILL IN    # as printed on the document
    publisher: FILL IN
    section: FILL IN  # section, table or page that has the numbers
    date: FILL IN     # YYYY, YYYY-MM or YYYY-MM-DD
    url: https://
    verified: vendor # vendor: compared with the document; secondary: with two others; unverified

compute:
  unit_name: SM      # SM, CU, core, Xe-core, chip
  units: {{value: 0, source: datasheet, kind: datasheet}}
  clocks:
    base: {{value: 0 MHz, source: datasheet, kind: datasheet}}
    boost: {{value: 0 MHz, source: datasheet, kind: datasheet}}
    sustained: {{value: null, reason: not published}}
  vector_lanes: {{value: 0, source: datasheet, kind: datasheet}} # float32 lanes per unit
  # CPUs also have vector_width (256 bit), fma_units (per core) and threads (per core).

peaks: # dense only, never a figure "with sparsity"; per_clock counts a multiply-add as two
  - dtype: float32
    engine: vector
    value: 0 TFLOP/s
    per_clock: 0
    source: datasheet
    kind: datasheet
  - dtype: float16
    engine: matrix
    accumulate: float32
    value: 0 TFLOP/s
    per_clock: 0
    source: datasheet
    kind: datasheet

memory: # innermost first
  - name: l1
    scope: unit
    capacity: {{value: 0 KiB, source: datasheet, kind: datasheet}}
    bandwidth: {{value: null, reason: not published}}
  - name: l2
    scope: device
    capacity: {{value: 0 MiB, source: datasheet, kind: datasheet}}
    bandwidth: {{value: null, reason: not published}}
  - name: dram
    scope: device
    capacity: {{value: 0 GiB, source: datasheet, kind: datasheet}}
    bandwidth: {{value: 0 GB/s, source: datasheet, kind: datasheet}}
    type: FILL IN
    bus_width: {{value: 0 bit, source: datasheet, kind: datasheet}}
    data_rate: {{value: 0 Gb/s, source: datasheet, kind: datasheet}} # of one pin
    ecc: none        # none, in-line, side-band, on-die

board_power: {{value: 0 W, source: datasheet, kind: datasheet}}
interconnect:
  - name: PCIe 4.0 x16
    bandwidth: {{value: 31.5 GB/s, source: datasheet, kind: datasheet}} # one direction
launch_overhead: {{value: null, reason: depends on host and software stack}}
"""


def new_profile_text(name: str) -> str:
    """Return a profile to fill in; as it stands, validation lists all that is still missing."""
    return _TEMPLATE.format(name=_quoted(name))


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
