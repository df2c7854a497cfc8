"""Options of `costmodel search`, and how their text is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from costmodel.errors import UsageError

if TYPE_CHECKING:
    from costmodel.search.goals import Budget, Goal, Reward
    from costmodel.search.space import Space

_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([kMGT]?)", re.IGNORECASE)
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}

SpaceName = Annotated[
    str, typer.Argument(metavar="SPACE", help="A space that ships, or FILE.yaml.")
]
Latency = Annotated[
    str | None, typer.Option("--latency", metavar="TIME", help="At most, for the batch: 5ms.")
]
Memory = Annotated[
    str | None, typer.Option("--memory", metavar="SIZE", help="At most, peak: 64MiB.")
]
Parameters = Annotated[str | None, typer.Option("--parameters", metavar="N", help="At most: 10M.")]
Macs = Annotated[
    str | None, typer.Option("--macs", metavar="N", help="At most, for the batch: 1.2G.")
]
Bytes = Annotated[
    str | None, typer.Option("--bytes", metavar="SIZE", help="At most, moved: 200MiB.")
]
Energy = Annotated[
    str | None, typer.Option("--energy", metavar="ENERGY", help="At most, for the batch: 50mJ.")
]
Throughput = Annotated[
    str | None, typer.Option("--throughput", metavar="N", help="Samples/s, at least: 500.")
]
Maximize = Annotated[
    str | None,
    typer.Option("--maximize", metavar="METRIC", help="Default: capacity, a proxy."),
]
Minimize = Annotated[
    str | None, typer.Option("--minimize", metavar="METRIC", help="Instead of --maximize.")
]
RewardTarget = Annotated[
    str | None,
    typer.Option("--reward", metavar="TIME", help="MnasNet's reward with this target."),
]
Accuracy = Annotated[
    str | None,
    typer.Option(
        "--accuracy",
        metavar="SOURCE",
        help="`published`, or FILE.py:function of the parameters' arrays.",
    ),
]
Fix = Annotated[
    list[str] | None,
    typer.Option("--fix", metavar="NAME=VALUE,...", help="Choices of a parameter; repeat."),
]
Batch = Annotated[str, typer.Option("--batch", "-b", metavar="N", help="Batch size.")]
PrecisionName = Annotated[
    str, typer.Option("--precision", "-p", metavar="P", help="fp32, tf32, fp16, bf16, int8.")
]
MethodName = Annotated[
    str,
    typer.Option("--method", help="auto, exhaustive, tpe, nsga2 or random."),
]
Trials = Annotated[
    int, typer.Option("--trials", metavar="N", min=1, help="Designs a sampler proposes.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of a sampler.")]
Storage = Annotated[
    str | None,
    typer.Option("--storage", metavar="FILE", help="Keep a sampler's study, to resume it."),
]
Engine = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="Spread the work: loky, dask or ray."),
]
Address = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="Of the cluster.")
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", metavar="N", help="Workers of an engine; -1 for all.")
]
Top = Annotated[int, typer.Option("--top", metavar="N", min=1, help="Designs to recommend.")]
Folder = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Write tables, a page, and the designs as YAML and PyTorch code there.",
    ),
]


def limit(name: str, text: str, unit: str) -> Budget:
    """A budget of the command line.

    Raises:
        UsageError: if it is not a positive number with a fitting unit.
    """
    from costmodel.search.goals import Budget
    from costmodel.units import parse

    try:
        value = parse(text, unit) if unit else _plain_number(text)
        return Budget(name, value)
    except UsageError as error:
        raise UsageError(f"--{name}: {error}") from None


def _plain_number(text: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"expected a number such as 1.2G, got {text!r}")
    return float(match[1]) * _FACTORS[match[2].lower()]


def goal(
    maximize: str | None, minimize: str | None, reward: str | None, accuracy: str | None
) -> Goal | Reward:
    """What is wanted.

    Raises:
        UsageError: if several goals are given.
    """
    from costmodel.search.goals import Goal, Reward
    from costmodel.units import parse

    asked = [name for name, text in (("--maximize", maximize), ("--minimize", minimize),
                                     ("--reward", reward)) if text]  # fmt: skip
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)}: one goal at a time; drop one")
    quality = "capacity" if accuracy is None else "accuracy"
    if reward is not None:
        return Reward(parse(reward, "s"), quality)
    if minimize is not None:
        return Goal(minimize, maximize=False)
    return Goal(maximize or quality, maximize=True)


def fixed(space: Space, fix: list[str] | None) -> Space:
    """The space with the choices of `--fix`.

    Raises:
        UsageError: if one is not NAME=VALUE,...
    """
    choices: dict[str, list[Any]] = {}
    for text in fix or ():
        name, equals, values = text.partition("=")
        if not equals or not values:
            raise UsageError(f"--fix {text!r}: expected NAME=VALUE,... such as width=64,96")
        choices[name.strip()] = [_value(value.strip()) for value in values.split(",")]
    return space.restricted(**choices) if choices else space


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def scores(accuracy: str | None, space: Space) -> tuple[Any, str]:
    """The accuracy function that `--accuracy` names, and where its values are from."""
    if accuracy is None:
        return None, ""
    from costmodel.search.accuracy import published_scores

    if accuracy == "published":
        return published_scores(space)
    from costmodel.tracing.source import load_function

    return load_function(accuracy), f"the function {accuracy}"
