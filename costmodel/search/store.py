"""Results on disk under the digest of all that they depend on.

A result that is there need not be worked out again: work that was interrupted goes on where it
was, on whatever machine, and what is asked for twice is done once. Documents are small JSON files,
each written in one step; one that cannot be read counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.errors import UsageError
from costmodel.files import replace_file


def digest(document: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of a document, however its keys are ordered."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class ResultStore:
    """Documents by key, in a folder that processes may share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"store {folder}: cannot be a folder: {error.strerror}") from error

    def get(self, key: str) -> dict[str, Any] | None:
        """The document of a key, None if there is none that can be read."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def put(self, key: str, document: Mapping[str, Any]) -> None:
        """Keep a document. Raises UsageError if it cannot be written."""
        path = self._path(key)
        try:
            path.parent.mkdir(exist_ok=True)
            replace_file(path, json.dumps(document).encode())
        except OSError as error:
            raise UsageError(f"store {self.folder}: {error.strerror or error}") from error

    def __len__(self) -> int:
        return sum(1 for _ in self.folder.glob("??/*.json"))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"
