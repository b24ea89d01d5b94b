"""Inheritance: an encoder takes over what fits of another one's weights, and the rest starts anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from nas.errors import InputError
from nas.scaffold import EncoderScaffold
from nas.train import manifest
from nas.train.checkpoint import DAMAGE, MODEL, damaged, stored_names
from nas.train.grow import Slot, changes

if TYPE_CHECKING:
    from nas.train.start import Start

_BLOCK = "encoder.blocks"


@dataclass(frozen=True)
class Heir:
    """What an encoder takes over of a checkpoint of another architecture.

    As weight inheritance in evolution (Real et al. 2017, arXiv 1703.01041): a part whose weights all
    have the same shapes is taken over whole, every other part stays as it was drawn. Slots are matched
    in order, as many as possible: what stands before or after an inserted one keeps its weights.

    Attributes:
        start: the checkpoint.
        blocks: the number of each block that is taken over to that of the trained one.
        slots: the numbers of the slots that are taken over.
        count: of all slots that are not empty.
    """

    start: Start
    blocks: Mapping[int, int]
    slots: tuple[int, ...]
    count: int

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the weights come from, and which slots have them."""
        return {**self.start.provenance, "inherited": [*self.slots], "slots": self.count}

    def told(self) -> dict[str, Any]:
        """Return how many slots are taken over, and of how many."""
        return {"inherited": [len(self.slots), self.count]}

    def load(self, model: nn.Module, task: str) -> str:
        """Fill the weights of every part that fits; those outside the encoder if the task is the same.

        Args:
            model: of the task, with the encoder as its ``encoder``.
            task: its name.

        Returns:
            What was taken over, in words.

        Raises:
            InputError: the checkpoint is damaged, or nothing in it fits.
        """
        folder = self.start.folder
        try:
            manifest.verify(folder)
            tensors = load_file(folder / MODEL)
        except DAMAGE as error:
            raise damaged(folder, error) from error
        state, shared = model.state_dict(), self.start.about["shared"]
        taken: list[str] = []
        for part, names in _parts(model).items():
            sources = {name: self._source(part, name, task) for name in names}
            found = {name: tensors.get(shared.get(s, s)) for name, s in sources.items() if s is not None}
            if len(found) < len(names) or any(
                v is None or v.shape != state[n].shape for n, v in found.items()
            ):
                continue
            taken.append(part)
            for name, value in found.items():
                state[name].copy_(value)
        if not taken:
            raise InputError(f"checkpoint={self.start.given!r}: no part of it fits this encoder")
        others = [p.removeprefix("encoder.") for p in taken if not p.startswith(_BLOCK)]
        return f"inherited from {folder}: {len(self.slots)} of {self.count} slots, {', '.join(others)}"

    def _source(self, part: str, name: str, task: str) -> str | None:
        """Return the name of a weight in the checkpoint; None if it is not taken over."""
        if part.startswith(f"{_BLOCK}."):
            there = self.blocks.get(int(part.rpartition(".")[2]))
            return None if there is None else f"{_BLOCK}.{there}{name.removeprefix(part)}"
        return name if part.startswith("encoder.") or self.start.about["task"] == task else None


def heir_of(start: Start, old: Mapping[int, Slot], new: Mapping[int, Slot], encoder: EncoderScaffold) -> Heir:
    """Match slots, by their numbers, with those of a checkpoint.

    Raises:
        InputError: the checkpoint is damaged.
    """
    blocks = [encoder.blocks[encoder.slots[here].block] for here in new]
    places = matched([*old.values()], [*new.values()], blocks)
    shapes = _shapes(start.folder)
    taken: dict[int, int] = {}
    slots = []
    for here, place in zip(new, places, strict=True):
        if place is None:
            continue
        block, there = encoder.slots[here].block, start.about["modules"][list(old)[place]]
        if block in taken or _fits(encoder.blocks[block], there, shapes, start.about["shared"]):
            taken.setdefault(block, there)
            slots.append(here)
    return Heir(start, taken, tuple(slots), len(new))


def matched(old: Sequence[Slot], new: Sequence[Slot], blocks: Sequence[nn.Module]) -> list[int | None]:
    """Return for each new slot the trained one with the same settings, in order and as many as possible.

    Args:
        old, new: slots of two descriptions.
        blocks: the modules of the new ones.
    """
    same = [[not changes(o, n, block) for n, block in zip(new, blocks, strict=True)] for o in old]
    rows, columns = len(old), len(new)
    most = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            most[i][j] = max(same[i][j] + most[i + 1][j + 1], most[i + 1][j], most[i][j + 1])
    found: list[int | None] = [None] * columns
    i = j = 0
    while i < rows and j < columns:
        if same[i][j] and most[i][j] == 1 + most[i + 1][j + 1]:
            found[j] = i
            i, j = i + 1, j + 1
        elif most[i][j] == most[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


def _fits(block: nn.Module, there: int, shapes: Mapping[str, list[int]], shared: Mapping[str, str]) -> bool:
    """Return whether all weights of a block have the shapes of those of a trained one."""
    own = {f"{_BLOCK}.{there}.{name}": list(value.shape) for name, value in block.state_dict().items()}
    return all(shapes.get(shared.get(name, name)) == shape for name, shape in own.items())


def _shapes(folder: Path) -> dict[str, list[int]]:
    try:
        with safe_open(folder / MODEL, framework="pt") as file:
            return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except DAMAGE as error:
        raise damaged(folder, error) from error


def _parts(model: nn.Module) -> dict[str, list[str]]:
    """Return the names of stored weights by the part that is taken over whole or not at all."""
    parts: dict[str, list[str]] = {}
    for name in sorted(set(stored_names(model).values())):
        words = name.split(".")
        depth = (3 if words[1] == "blocks" else 2) if words[0] == "encoder" else 1
        parts.setdefault(".".join(words[:depth]), []).append(name)
    return parts
