"""Device profiles: what a device can do at most, where every number has a unit and a source.

>>> device = load_device("Tesla V100-PCIE-32GB")
>>> device.id, device.peak("float16", "matrix"), device.bandwidth("dram")
('v100-pcie-32gb', 112000000000000.0, 900000000000.0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from costmodel.hardware.catalogue import (
    catalogue_folder,
    device_ids,
    list_devices,
    load_device,
)

if TYPE_CHECKING:
    from costmodel.hardware.comparison import compare
    from costmodel.hardware.dtypes import canonical_dtype
    from costmodel.hardware.json_schema import schema
    from costmodel.hardware.profile import DeviceProfile
    from costmodel.hardware.template import new_profile_text
    from costmodel.hardware.validation import validate_file

# What needs pydantic is imported on first use: listing ids must not wait for it.
_LAZY = {
    "DeviceProfile": "profile",
    "canonical_dtype": "dtypes",
    "compare": "comparison",
    "new_profile_text": "template",
    "schema": "json_schema",
    "validate_file": "validation",
}

__all__ = [
    "DeviceProfile",
    "canonical_dtype",
    "catalogue_folder",
    "compare",
    "device_ids",
    "list_devices",
    "load_device",
    "new_profile_text",
    "schema",
    "validate_file",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
