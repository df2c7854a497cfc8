"""Which module a node belongs to, from what exporters write into a file."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import onnx


def module_of(node: onnx.NodeProto, weights: Sequence[str]) -> tuple[str, dict[str, str]]:
    """(qualified path, class names by path) of the module a node was written for.

    Torch's newer exporter keeps both in the node's metadata; its older one puts the path into the
    node's name ("/layer1/layer1.0/conv1/Conv"), as TensorFlow's does. Failing both, the name of a
    weight tells ("layer1.0.conv1.weight").
    """
    found = _from_metadata(node)
    if found is not None:
        return found
    if "/" in node.name:
        path: list[str] = []
        for part in node.name.split("/")[:-1]:
            # A child of a list carries its whole path already: "layer1.0" below "layer1".
            if path and part.startswith(f"{path[-1]}."):
                path[-1] = part
            elif part:
                path.append(part)
        return ".".join(path), {}
    for name in weights:
        owner, dot, leaf = name.rpartition(".")
        if dot and leaf in ("weight", "bias"):
            return owner, {}
    return "", {}


def _from_metadata(node: onnx.NodeProto) -> tuple[str, dict[str, str]] | None:
    entries = {entry.key: entry.value for entry in getattr(node, "metadata_props", ())}
    scopes = _strings(entries.get("pkg.torch.onnx.name_scopes"))
    if not scopes:
        return None
    kinds = _strings(entries.get("pkg.torch.onnx.class_hierarchy"))
    # The last entry is the operator itself.
    classes = {
        scope: kind.rpartition(".")[2] for scope, kind in zip(scopes[:-1], kinds[:-1], strict=False)
    }
    return (scopes[-2] if len(scopes) > 1 else ""), classes


def _strings(text: str | None) -> list[str]:
    if not text or len(text) > 10_000:
        return []
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return [str(v) for v in value] if isinstance(value, list) else []
