"""Which module is running: the qualified path under which an operator is filed."""

from __future__ import annotations

import threading
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
        """Keep `current` up to date while this thread calls modules inside this context.

        Calls are watched at `nn.Module.__call__`, which costs a tenth of per-module hooks.
        """
        outer = getattr(_followed, "paths", None)
        _followed.paths = self
        _watch.begin()
        try:
            yield
        finally:
            _watch.end()
            _followed.paths = outer

    def called(self, call: Any, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """What a module returns; it is the current one meanwhile."""
        caller = self.current
        self.current = self._path_of(module)
        try:
            return call(module, *args, **kwargs)
        finally:
            self.current = caller


class _Watch:
    """Puts itself in the place of `nn.Module.__call__` while any thread follows a model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers = 0
        self._original: Any = nn.Module.__call__

    def begin(self) -> None:
        with self._lock:
            if not self._followers:
                self._original = original = nn.Module.__call__

                def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
                    paths = getattr(_followed, "paths", None)
                    if paths is None:  # another thread's model
                        return original(module, *args, **kwargs)
                    return paths.called(original, module, args, kwargs)

                nn.Module.__call__ = call  # type: ignore[method-assign]
            self._followers += 1

    def end(self) -> None:
        with self._lock:
            self._followers -= 1
            if not self._followers:
                nn.Module.__call__ = self._original  # type: ignore[method-assign]


_followed = threading.local()
"""`paths`: of the model that a thread follows."""
_watch = _Watch()
