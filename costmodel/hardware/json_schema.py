"""The JSON Schema of device profiles, which editors use for completion and checks.

python -m costmodel.hardware.json_schema     writes hardware_specs/device.schema.json
"""

from __future__ import annotations

import json
from typing import Any

from costmodel.hardware.catalogue import catalogue_folder
from costmodel.hardware.profile import DeviceProfile

FILE_NAME = "device.schema.json"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile's file."""
    document = DeviceProfile.model_json_schema(by_alias=True)
    del document["properties"]["id"]  # the file's name, never in the file
    document["required"].remove("id")
    for part in (document, *document["$defs"].values()):
        for field in part.get("properties", {}).values():
            field.pop("title", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **document,
        "title": "Device profile",
    }


def schema_text() -> str:
    """Return the JSON Schema as it is committed beside the profiles."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (catalogue_folder() / FILE_NAME).write_text(schema_text(), encoding="utf-8")
