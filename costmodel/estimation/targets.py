"""Devices as they are named: "v100-sxm2", a YAML file, "epyc-73f3@1" for one core."""

from __future__ import annotations

from costmodel.errors import UsageError
from costmodel.hardware import DeviceProfile, load_device
from costmodel.roofline.ceilings import Target


def resolve_target(device: str | DeviceProfile | Target, threads: int | None = None) -> Target:
    """A target from a profile, a name or path, or "name@threads".

    Raises:
        UnknownNameError: if there is no such device.
        UsageError: if the number of threads makes no sense.
    """
    if isinstance(device, Target):
        return device
    if isinstance(device, DeviceProfile):
        return Target(device, threads)
    name, at, count = device.rpartition("@")
    if not at:
        name = device
    elif not count.isdigit():
        raise UsageError(f"device {device!r}: expected a number of threads after '@'")
    else:
        threads = int(count)
    return Target(load_device(name), threads)
