"""``evaluator=inherit``: a trial starts from the weights of the finished one that is most like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from optuna.trial import FrozenTrial, Trial, TrialState

from nas.config.compose import Composed
from nas.configured import Configured
from nas.errors import InputError
from nas.files import settled_folder
from nas.search.census import KEY
from nas.search.evaluation import Evaluation, Proposal
from nas.search.gate import Gate
from nas.search.purposes import EXTRA, FINAL, INHERITED, SCRATCH
from nas.search.question import Question
from nas.search.rungs.reports import is_paused
from nas.search.spaces.slots import Slots
from nas.search.spaces.space import Space
from nas.train.checkpoint import FOLDER

_FREE = ("optimizer", "schedule", "trainer")
"""What may differ from the parent without a weight being another one's."""
_BUDGETS = ("steps", "tokens", "seconds")


class Inherit(Configured):
    """Lets trials start from the weights of earlier ones, and trains the best again from scratch.

    The parent is the finished trial with the fewest edits between the lists, the better one of
    several: for evolution and local search, whose proposals are neighbours of a trial, one edit away.
    Values rise with the steps that the weights have seen in all, which says little of the list: for the
    same number of steps it found nothing better than training from scratch (`nas-bench inheritance`, 24
    times 100 steps of MLM; see ``nas/search/README.md``).

    Args:
        share: of the budget, for trials that have a parent.
        final: so many of the best are trained again from scratch once the search is over; only
            values from scratch count.

    Raises:
        InputError: a number is out of range.
    """

    name: ClassVar[str] = "inherit"

    def __init__(self, share: float = 0.5, final: int = 3) -> None:
        if not 0 < share <= 1:
            raise InputError(f"evaluator.share={share!r} must be in (0, 1]")
        if final < 1:
            raise InputError(f"evaluator.final={final!r} must be at least 1: inherited values are no result")
        self.share, self.final = share, final

    def mistakes(self, space: Space, config: Mapping[str, Any]) -> list[str]:
        """Return what weights can not be inherited over, a sentence for each key."""
        found = []
        if not any(isinstance(entry, Slots) for entry in space.entries):
            found.append("evaluator=inherit has no effect: the space varies no list of blocks")
        if config["match"] is not None and not str(config["match"].get("by")).startswith("encoder.blocks."):
            found.append("match solves for a width, over which evaluator=inherit can not inherit weights")
        if config["replicates"] > 1:
            found.append(
                f"replicates={config['replicates']} trains from scratch, evaluator=inherit does not: "
                "use one of them"
            )
        if "tasks" in config["task"]:
            found.append("task=suite: evaluator=inherit needs one task")
        return found

    def begin(self, question: Question, composed: Composed, gate: Gate, folder: Path) -> Inheritance:
        """Return what does so in a study; the arguments are those of `nas.search.study.Study`."""
        trainer = composed.values()["trainer"]
        budget = {f"trainer.{key}": trainer[key] for key in _BUDGETS if trainer[key] is not None}
        whole = {key: value for key, value in budget.items() if isinstance(value, int)}
        shared = {key: max(1, round(value * self.share)) for key, value in whole.items()}
        return Inheritance(
            self, question, folder.resolve(), {k: v * self.share for k, v in budget.items()} | shared
        )


@dataclass(frozen=True)
class Inheritance(Evaluation):
    """Finds parents, and what is to be trained again from scratch.

    Attributes:
        inherit: the settings.
        question: what is asked; of one objective.
        folder: of the study, absolute.
        budget: of a trial with a parent, by key.
    """

    inherit: Inherit
    question: Question
    folder: Path
    budget: Mapping[str, float]

    def settings(self, trial: Trial, trials: Sequence[FrozenTrial]) -> Mapping[str, Any]:
        """Return the checkpoint that a trial starts from; its parent stays the same, also after a kill."""
        if EXTRA & trial.user_attrs.keys() or SCRATCH in trial.user_attrs:
            return {}
        if INHERITED not in trial.user_attrs:
            parent = self._parent(trial.params, trials)
            if parent is None:
                trial.set_user_attr(SCRATCH, True)
                return {}
            trial.set_user_attr(INHERITED, {"of": parent})
        folder = self._folder(trial.user_attrs[INHERITED]["of"])
        return {"checkpoint": str(folder), "transfer": "inherit", **self.budget}

    @property
    def final(self) -> int:
        """How many are trained again."""
        return self.inherit.final

    def due(self, trials: Sequence[FrozenTrial]) -> Proposal | None:
        """Return the next of the best that has only inherited weights, to be trained from scratch."""
        going = (t for t in trials if t.state is TrialState.RUNNING and not is_paused(t))
        if any(not EXTRA & t.user_attrs.keys() for t in going):
            return None  # it may turn out to be one of them
        again = {t.user_attrs[FINAL] for t in trials if FINAL in t.user_attrs}
        done = [t for t in trials if _is_trained(t) and INHERITED in t.user_attrs]
        best = sorted(done, key=self._goodness)[: self.inherit.final]
        return next(((dict(t.params), {FINAL: t.number}) for t in best if t.number not in again), None)

    def remarks(self, trials: Sequence[FrozenTrial]) -> list[str]:
        """Say how many values are inherited ones, and what became of the best of them from scratch."""
        done = [t for t in trials if _is_trained(t)]
        inherited = {t.number: t.values[0] for t in done if INHERITED in t.user_attrs}
        if not inherited:
            return []
        pairs = [
            f"{inherited[of]:.4g} -> {t.values[0]:.4g} (trial {of})"
            for t in done
            if (of := t.user_attrs.get(FINAL)) in inherited
        ]
        told = f"; the best of them, trained again from scratch: {', '.join(pairs)}" if pairs else ""
        return [
            f"{len(inherited)} of {len(done)} finished trials inherited weights: their values are marked, "
            f"and not ranked{told}."
        ]

    def _parent(self, params: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> int | None:
        """Return the finished trial with the fewest edits to a configuration, the better of several."""
        found = []
        for trial in trials:
            if _is_trained(trial) and (count := self._edits(trial.params, params)):
                found.append((count, *self._goodness(trial)))
        there = (n for *_, n in sorted(found) if settled_folder(self._folder(n) / FOLDER) is not None)
        return next(there, None)

    def _edits(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
        """Return how many edits lie between two configurations; 0: none, or nothing could be inherited."""
        count = kept = 0
        slots_names: set[str] = set()
        for entry in self.question.space.entries:
            if isinstance(entry, Slots):
                slots_names |= {p.name for p in entry.parameters()}
                one, other = (_blocks(entry, values) for values in (old, new))
                common = _common(one, other)
                kept += common
                count += max(len(one), len(other)) - common
        for name in {**old, **new}.keys() - slots_names:
            if old.get(name) == new.get(name) or name.split(".")[0] in _FREE:
                continue
            if not name.startswith("encoder.blocks."):
                return 0
            count += 1
        return count if kept else 0

    def _goodness(self, trial: FrozenTrial) -> tuple[float, int]:
        return self.question.objectives[0].sign * trial.values[0], trial.number

    def _folder(self, number: int) -> Path:
        return self.folder / "trials" / str(number)


def _is_trained(trial: FrozenTrial) -> bool:
    """Return whether a trial was trained to its end itself."""
    return trial.state is TrialState.COMPLETE and KEY in trial.user_attrs


def _blocks(slots: Slots, values: Mapping[str, Any]) -> list[str]:
    return [str(item) for item in slots.value(slots.completed(values)) if item != "none"]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how long the longest common subsequence is."""
    row = [0] * (len(other) + 1)
    for item in one:
        before = row[:]
        for j, there in enumerate(other):
            row[j + 1] = before[j] + 1 if item == there else max(before[j + 1], row[j])
    return row[-1]
