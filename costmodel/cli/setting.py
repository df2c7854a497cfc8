"""Where and how models are to run: the options that every command that predicts has in common."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

from costmodel.cli import loading, options
from costmodel.errors import UsageError

if TYPE_CHECKING:
    from costmodel.estimation import Estimate
    from costmodel.graph import Graph
    from costmodel.roofline.ceilings import Target


@dataclass(frozen=True)
class Setting:
    """The options, as they are typed, and what they ask for; a command takes them by `grouped`.

    Raises:
        UsageError: by the properties, for a value that cannot be read.
        UnknownNameError: likewise, for an unknown device or precision.
    """

    device: options.Devices = None
    device_folders: options.Folders = None
    batch: options.Batches = None
    precision: options.Precisions = None
    input_shape: options.InputShape = None
    threads: options.Threads = None
    without: options.Without = None

    @cached_property
    def sizes(self) -> list[int] | None:
        """Batch sizes; None for the one a model is traced at."""
        return options.batch_sizes(self.batch)

    @cached_property
    def policies(self) -> list[str]:
        """Names of precisions."""
        return options.precisions(self.precision)

    @cached_property
    def targets(self) -> list[Target]:
        """Devices."""
        return loading.load_targets(self.device, self.threads)

    @property
    def runs(self) -> int:
        """How many estimates there are of each model."""
        return len(self.targets) * len(self.sizes or [1]) * len(self.policies)

    def graphs(self, models: Iterable[str], *, compiled: bool = False) -> list[Graph]:
        """Models traced for these runs; what is wrong with an option shows before the work."""
        sizes, _, _ = self.sizes, self.policies, self.targets
        return loading.load_models(models, self.input_shape, scaled_to=sizes, compiled=compiled)

    def estimates(
        self,
        graphs: Iterable[Graph],
        *,
        strict: bool,
        targets: Sequence[Target] | None = None,
        sizes: Sequence[int] | None = None,
        policies: Sequence[str] | None = None,
    ) -> list[Estimate]:
        """Estimates of traced models on all devices at all batches and precisions.

        With `-d all`, a device that cannot compute in a precision is left out, with a line on
        stderr, rather than an error.

        Args:
            graphs: traced models.
            strict: whether an operator without a formula is an error.
            targets: other devices than those of the setting.
            sizes: other batch sizes.
            policies: names of other precisions.

        Raises:
            UsageError: if none of the devices can compute them.
        """
        from costmodel.estimation import sweep
        from costmodel.estimation.predictions import unable_targets
        from costmodel.estimation.prepared import workload_for

        skip_unable, laws = "all" in (self.device or ()), options.listed(self.without)
        targets, sizes = targets or self.targets, sizes or self.sizes
        policies = policies or self.policies
        found: list[Estimate] = []
        for graph in graphs:
            unable = unable_targets(workload_for(graph), targets, policies) if skip_unable else {}
            for why in unable.values():
                print(f"left out: {why}", file=sys.stderr)
            if able := [target for target in targets if target not in unable]:
                found += sweep(graph, able, sizes, policies, strict=strict, without=laws)
        if not found:
            raise UsageError("none of the devices can compute this")
        return found


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer whose parameter `setting` is spread into the options of a `Setting`."""
    own = inspect.signature(command, eval_str=True)
    group = inspect.signature(Setting, eval_str=True).parameters
    spread = [
        option
        for name, parameter in own.parameters.items()
        for option in (group.values() if name == "setting" else [parameter])
    ]

    @wraps(command)
    def run(**values: Any) -> None:
        setting = Setting(**{name: values.pop(name) for name in group})
        command(setting=setting, **values)

    run.__signature__ = own.replace(parameters=spread)  # type: ignore[attr-defined]
    return run
