"""Which module is running: the qualified path under which an operator is filed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


class ModulePaths:
    """Follows a model's forward and knows the path of the innermost running module.

    A module registered under several names (shared, or in a sliced list) is filed under the name
    that lies below its caller, or the first one if none does.
    """

    def __init__(self, model: nn.Module) -> None:
        self.current = ""
        self.classes: dict[str, str] = {}
        self._names: dict[int, list[str]] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            self._names.setdefault(id(module), []).append(name)
            self.classes[name] = type(module).__name__

    def _path_of(self, module: nn.Module) -> str:
        names = self._names.get(id(module))
        if names is None:
            return self.current
        if len(names) == 1:
            return names[0]
        prefix = f"{self.current}." if self.current else ""
        return next((name for name in names if name.startswith(prefix)), names[0])

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep `current` up to date while modules are called inside this context.

        Calls are watched at `nn.Module.__call__`, which costs a tenth of per-module hooks.
        """
        original = nn.Module.__call__

        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            caller = self.current
            self.current = self._path_of(module)
            try:
                return original(module, *args, **kwargs)
            finally:
                self.current = caller

        nn.Module.__call__ = call  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.__call__ = original  # type: ignore[method-assign]
