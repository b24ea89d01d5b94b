"""The checkpoint that a run takes its first weights from: found, compared with the encoder, and loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import load_file
from torch import Tensor, nn

from nas.blocks.base import Block
from nas.blocks.growth import Widening
from nas.errors import InputError
from nas.files import settled_folder
from nas.scaffold import EncoderScaffold
from nas.train import manifest
from nas.train.checkpoint import ABOUT, DAMAGE, FOLDER, MODEL, STATE, one_line, read_object, stored_names
from nas.train.grow import align, differences
from nas.train.inherit import Heir, heir_of

_SHOWN = 3
_PLACES = "encoder.embedding.position_embeddings.weight"
Transfer = Literal["same", "grow", "inherit"]


@dataclass(frozen=True)
class Start:
    """A checkpoint of another run, and how its weights are taken over.

    Attributes:
        given: what the user said.
        folder: of the checkpoint.
        transfer: ``same``: by an encoder of the same architecture; ``grow``: slots may be inserted and
            widened where the function stays the same, Net2Net (Chen et al. 2016, arXiv 1511.05641), see
            `nas.blocks.growth`; ``inherit``: what fits, see `nas.train.inherit`.
        sha256: of the weights.
        about: what the checkpoint tells of its model.
    """

    given: str
    folder: Path
    transfer: Transfer
    sha256: str
    about: dict[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a run's result: the weights, wherever they lie."""
        return {"sha256": self.sha256, "transfer": self.transfer}

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the weights come from."""
        return {**self.identity, "path": str(self.folder), "step": read_object(self.folder / STATE)["step"]}

    @property
    def grow(self) -> bool:
        """Whether the encoder may be larger."""
        return self.transfer == "grow"

    def plan(
        self, description: Mapping[str, Any], form: Mapping[str, Any], encoder: EncoderScaffold
    ) -> Plan | Heir:
        """Compare with an encoder, and return what becomes of the weights.

        Args:
            description: of the encoder.
            form: what else makes it this architecture, beside its slots.
            encoder: that shall start from here.

        Raises:
            InputError: it is of another architecture, a new slot cannot start as the identity, or there
                is nothing to inherit.
        """
        theirs = self.about["architecture"]
        old, new = _working(theirs["slots"]), _working(description["slots"])
        if self.transfer == "inherit":
            return heir_of(self, old, new, encoder)
        blocks = [encoder.blocks[encoder.slots[here].block] for here in new]
        told = self._outside(description, form)
        places = None if told else align([*old.values()], [*new.values()], blocks, self.grow)
        if places is None:
            told = told or differences([*old.values()], [*new.values()], blocks)
            raise self._another(description, told)
        modules: dict[int, int | None] = {}
        for here, place in zip(new, places, strict=True):
            there = None if place is None else self.about["modules"][list(old)[place]]
            if modules.setdefault(encoder.slots[here].block, there) != there:
                raise self._another(
                    description, [f"slot {here} shares weights with one that it does not match"]
                )
        inserted = [here for here, place in zip(new, places, strict=True) if place is None]
        plan = Plan(self, modules, {here: encoder.blocks[encoder.slots[here].block] for here in inserted})
        plan.silence()
        return plan

    def _outside(self, description: Mapping[str, Any], form: Mapping[str, Any]) -> list[str]:
        """Say what differs beside the slots."""
        sizes = [d["hidden_size"] for d in (self.about["architecture"], description)]
        if sizes[0] != sizes[1]:
            return [f"hidden_size={sizes[0]} there, {sizes[1]} here (norms see all of it: it can not grow)"]
        return [f"its {key} differs" for key in form if form[key] != self.about["form"].get(key)]

    def _another(self, description: Mapping[str, Any], told: list[str]) -> InputError:
        more = f" (and {len(told) - _SHOWN} more)" if len(told) > _SHOWN else ""
        hint = "" if self.grow else "; transfer=grow widens and inserts where blocks keep their function"
        theirs = self.about["architecture"]["string"]
        return InputError(
            f"checkpoint={self.given!r} holds {theirs}, this encoder is {description['string']}: "
            f"{'; '.join(told[:_SHOWN])}{more}{hint}"
        )


@dataclass(frozen=True)
class Plan:
    """What becomes of a checkpoint's weights.

    Attributes:
        start: the checkpoint.
        modules: the number of each of the encoder's blocks to that of the trained one, or None.
        inserted: the slots that are new, and their blocks.
    """

    start: Start
    modules: dict[int, int | None]
    inserted: dict[int, nn.Module]

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the weights come from."""
        return self.start.provenance

    def told(self) -> dict[str, Any]:
        """Return nothing: all slots are taken over, or start as the identity."""
        return {}

    def silence(self) -> None:
        """Let inserted blocks start as the identity.

        Raises:
            InputError: one cannot.
        """
        for slot, block in self.inserted.items():
            where = f"checkpoint={self.start.given!r}: slot {slot} is new"
            if not isinstance(block, Block) or block.recursive:
                raise InputError(f"{where}, and can not start as the identity: it is recursive or no block")
            try:
                block.start_as_identity()
            except InputError as error:
                raise InputError(f"{where}: {error}") from None

    def load(self, model: nn.Module, task: str) -> str:
        """Fill the model's weights: the encoder's, and all others if the task is the same.

        Args:
            model: of the task, with the encoder as its ``encoder``.
            task: its name.

        Returns:
            What was loaded, in words.

        Raises:
            InputError: the checkpoint is damaged, or shapes differ.
        """
        found = self.start.folder
        try:
            manifest.verify(found)
            tensors = load_file(found / MODEL)
        except DAMAGE as error:
            raise InputError(f"checkpoint {found} is damaged ({one_line(error)})") from error
        same = self.start.about["task"] == task
        mistakes = [text for text in self._fill(model, tensors, same) if text]
        if mistakes:
            more = f" (and {len(mistakes) - _SHOWN} more)" if len(mistakes) > _SHOWN else ""
            raise InputError(f"checkpoint={self.start.given!r}: {'; '.join(mistakes[:_SHOWN])}{more}")
        what = "encoder and head" if same else f"encoder alone, its task was {self.start.about['task']}"
        new = f"; new slots: {', '.join(map(str, self.inserted))}" if self.inserted else ""
        return f"starting from {found} ({what}{new})"

    def _fill(self, model: nn.Module, tensors: Mapping[str, Tensor], same_task: bool) -> Iterator[str]:
        """Copy every weight; yield what does not fit."""
        state, shared = model.state_dict(), self.start.about["shared"]
        for name in sorted(set(stored_names(model).values())):
            source = self._source(name, same_task)
            if source is None:
                continue
            value = tensors.get(shared.get(source, source))
            if value is None:
                yield f"{name} is not in it"
            elif value.shape == state[name].shape:
                Widening().fill(value, state[name]) if value.dim() else state[name].copy_(value)
            elif (rule := self._rule(model, name)) is not None and rule.fits(value, state[name]):
                rule.fill(value, state[name])
            else:
                differs = f"{name} is {list(value.shape)} there, {list(state[name].shape)} here"
                yield f"{differs}{self._hint(model, name, value, state[name])}"

    def _hint(self, model: nn.Module, name: str, there: Tensor, here: Tensor) -> str:
        """Say how a weight of another shape could be taken over after all, or nothing."""
        rule = _widening_of(model, name)
        if rule is not None and rule.fits(there, here):
            return " (transfer=grow enlarges it)"
        if name == _PLACES and len(there) > len(here):
            return f" (embedding.max_seq_length={len(there)} keeps all places)"
        return ""

    def _source(self, name: str, same_task: bool) -> str | None:
        """Return the name of a weight in the checkpoint; None if it keeps what it was drawn as."""
        if not name.startswith("encoder."):
            return name if same_task else None
        head, _, rest = name.removeprefix("encoder.blocks.").partition(".")
        if not name.startswith("encoder.blocks.") or int(head) not in self.modules:
            return name
        theirs = self.modules[int(head)]
        return None if theirs is None else f"encoder.blocks.{theirs}.{rest}"

    def _rule(self, model: nn.Module, name: str) -> Widening | None:
        return _widening_of(model, name) if self.start.grow else None


def _widening_of(model: nn.Module, name: str) -> Widening | None:
    """Return how the innermost part that says so lets this weight grow."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        tables = getattr(model.get_submodule(".".join(parts[:end])), "widenings", {})
        for table in tables.values():
            if ".".join(parts[end:]) in table:
                rule: Widening = table[".".join(parts[end:])]
                return rule
    return None


def _working(slots: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the slots that are not empty, by their numbers."""
    return {index: slot for index, slot in enumerate(slots) if slot["role"] != "none"}


def find_start(given: str | None, transfer: Transfer) -> Start:
    """Return the checkpoint of ``checkpoint=<folder>``: a run folder, or the checkpoint folder in it.

    Raises:
        InputError: there is none, it cannot be read, or ``transfer`` is set without one.
    """
    if given is None:
        raise InputError(f"transfer={transfer} has no effect without checkpoint=<run folder>")
    folder = Path(given).expanduser()
    found = folder if (folder / STATE).is_file() else settled_folder(folder / FOLDER)
    if found is None:
        raise InputError(f"checkpoint={given!r}: there is none; give a run folder, or its folder {FOLDER}")
    try:
        about = read_object(found / ABOUT)
        sha256 = manifest.sums_in(found)[MODEL]
        _ = [about[key] for key in ("task", "architecture", "form", "modules", "shared")]
    except DAMAGE as error:
        raise InputError(f"checkpoint {found} is damaged ({one_line(error)})") from error
    return Start(given, found.resolve(), transfer, sha256, about)
