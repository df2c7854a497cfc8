"""How fast will this network run there, what limits it, and what should I change?

    import costmodel as cm

    graph = cm.trace(model, (1, 3, 224, 224))     # or cm.load_graph("timm:resnet50")
    print(cm.estimate(graph, "v100-sxm2", batch=256))

Public names are listed here and load their modules on first use, so that importing the package
is quick and needs neither torch nor sympy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costmodel.crossovers import crossover as crossover
    from costmodel.errors import CostModelError as CostModelError
    from costmodel.estimation import Estimate as Estimate
    from costmodel.estimation import Sweep as Sweep
    from costmodel.estimation import estimate as estimate
    from costmodel.estimation import sweep as sweep
    from costmodel.formulas import Cost as Cost
    from costmodel.formulas import Formula as Formula
    from costmodel.formulas import get_formula as formula
    from costmodel.graph import Graph as Graph
    from costmodel.graph import Op as Op
    from costmodel.graph import TensorSpec as TensorSpec
    from costmodel.hardware import DeviceProfile as DeviceProfile
    from costmodel.hardware import list_devices as list_devices
    from costmodel.hardware import load_device as load_device
    from costmodel.tracing.eager import trace as trace
    from costmodel.tracing.source import load_graph as load_graph
    from costmodel.tracing.training import trace_training_step as trace_training_step
    from costmodel.tracing.training_step import TrainingStep as TrainingStep

__version__ = "0.1.0"

_HOME = {
    "Cost": "costmodel.formulas",
    "CostModelError": "costmodel.errors",
    "DeviceProfile": "costmodel.hardware",
    "Estimate": "costmodel.estimation",
    "Formula": "costmodel.formulas",
    "Graph": "costmodel.graph",
    "Op": "costmodel.graph",
    "Sweep": "costmodel.estimation",
    "TensorSpec": "costmodel.graph",
    "TrainingStep": "costmodel.tracing.training_step",
    "crossover": "costmodel.crossovers",
    "estimate": "costmodel.estimation",
    "formula": "costmodel.formulas:get_formula",
    "list_devices": "costmodel.hardware",
    "load_device": "costmodel.hardware",
    "load_graph": "costmodel.tracing.source",
    "sweep": "costmodel.estimation",
    "trace": "costmodel.tracing.eager",
    "trace_training_step": "costmodel.tracing.training",
}
"""Where each public name lives: "module", or "module:name" if it has another name there."""

__all__ = [
    "Cost",
    "CostModelError",
    "DeviceProfile",
    "Estimate",
    "Formula",
    "Graph",
    "Op",
    "Sweep",
    "TensorSpec",
    "TrainingStep",
    "__version__",
    "crossover",
    "estimate",
    "formula",
    "list_devices",
    "load_device",
    "load_graph",
    "sweep",
    "trace",
    "trace_training_step",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
