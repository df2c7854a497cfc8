"""Activation checkpointing: repeated blocks keep their inputs and run again before backward.

What `torch.utils.checkpoint` does, block by block; the operators of the second run are recorded
in the phase "recompute" (Chen et al., Training deep nets with sublinear memory cost, 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import groupby

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from costmodel.errors import UsageError
from costmodel.tracing.recorder import tensors_in
from costmodel.tracing.tape import Tape
from costmodel.tracing.training_forward import Call, Replay


def repeated_blocks(model: nn.Module) -> list[str]:
    """Paths of the blocks a model repeats.

    They are the members of the outermost lists (`ModuleList`, `Sequential`) of two or more
    modules of one class that have modules and parameters of their own; a list of lists, such as
    the stages of a network, is looked into.
    """
    found: list[str] = []

    def visit(path: str, module: nn.Module) -> None:
        children = list(module.named_children())
        is_list = isinstance(module, (nn.ModuleList, nn.Sequential))
        if is_list and _are_blocks([child for _, child in children]):
            found.extend(f"{path}.{name}".lstrip(".") for name, _ in children)
            return
        for name, child in children:
            visit(f"{path}.{name}".lstrip("."), child)

    visit("", model)
    return found


def _are_blocks(children: Sequence[nn.Module]) -> bool:
    if len(children) < 2 or len({type(child) for child in children}) > 1:
        return False
    return all(
        any(True for _ in child.children())
        and any(True for _ in child.parameters())
        and not _holds_blocks(child)
        for child in children
    )


def _holds_blocks(module: nn.Module) -> bool:
    return any(
        isinstance(part, (nn.ModuleList, nn.Sequential)) and _are_blocks(list(part.children()))
        for part in module.modules()
    )


def run_checkpointed(
    replay: Replay, calls: Sequence[Call], model: nn.Module, result: Tensor, tape: Tape
) -> None:
    """Repeat the calls of a forward with each repeated block checkpointed.

    Args:
        replay: runs the calls.
        calls: of the whole forward.
        model: whose blocks are meant.
        result: what the forward ends in, as recorded.
        tape: told of the phase.

    Raises:
        UsageError: if the model has no repeated blocks.
    """
    blocks = repeated_blocks(model)
    if not blocks:
        raise UsageError(
            f"checkpointing: {type(model).__name__} has no repeated blocks to run again"
        )
    homes = {path: index for index, path in enumerate(blocks)}

    def block_of(call: Call) -> int:
        parts = call.module.split(".")
        prefixes = (".".join(parts[: n + 1]) for n in range(len(parts)))
        return next((homes[p] for p in prefixes if p in homes), -1)

    @contextmanager
    def again() -> Iterator[None]:
        phase, path = tape.phase, tape.paths.current
        tape.phase = "recompute"
        try:
            yield
        finally:
            tape.phase, tape.paths.current = phase, path

    segments = [(key, list(group)) for key, group in groupby(calls, block_of)]
    needed = {id(result)}
    outputs: list[list[Tensor]] = []
    for _, group in reversed(segments):
        made = {id(t): t for call in group for t in tensors_in(call.result)}
        outputs.insert(0, [t for key, t in made.items() if key in needed])
        needed |= {id(t) for call in group for t in tensors_in((call.args, call.kwargs))}
    for (key, group), wanted in zip(segments, outputs, strict=True):
        if key < 0 or not wanted:
            replay.run(group)
            continue
        inside = {id(t) for call in group for t in tensors_in(call.result)}
        used = {id(t): t for call in group for t in tensors_in((call.args, call.kwargs))}
        inputs = [t for name, t in used.items() if name not in inside or replay.knows(t)]
        found = checkpoint(
            replay.function(group, inputs, wanted), *map(replay.of, inputs), use_reentrant=False,
            preserve_rng_state=False, context_fn=lambda: (nullcontext(), again()),
            determinism_check="none",
        )  # fmt: skip
        for recorded, tensor in zip(wanted, found, strict=True):
            replay.stands_for(recorded, tensor)
