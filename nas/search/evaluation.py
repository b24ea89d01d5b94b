"""How trials get their values: from scratch, from inherited weights, or after a supernet's ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from optuna.trial import FrozenTrial, Trial

from nas.config.compose import Composed
from nas.search.gate import Gate
from nas.search.question import Question
from nas.search.spaces.space import Space

Proposal = tuple[dict[str, Any], dict[str, Any]]
"""A trial's parameters, and the user attributes that say what it is for."""


@dataclass(frozen=True)
class Evaluation:
    """The plain way: what the sampler proposes is trained from scratch. Others change parts of it."""

    def settings(self, trial: Trial, trials: Sequence[FrozenTrial]) -> Mapping[str, Any]:
        """Return what else a trial sets, by key, the same whenever it is asked.

        Args:
            trial: admitted, with its parameters.
            trials: of the study.
        """
        return {}

    def proposal(self, asked: int) -> Proposal | None:
        """Return what is trained after so many trials; None: the sampler proposes."""
        return None

    def exhausted(self, asked: int) -> str:
        """Return a sentence if there is nothing left to propose after so many trials, else nothing."""
        return ""

    @property
    def final(self) -> int:
        """How many trials `due` adds at most."""
        return 0

    def due(self, trials: Sequence[FrozenTrial]) -> Proposal | None:
        """Return what is trained once the search has all its trials, if anything is missing."""
        return None

    def remarks(self, trials: Sequence[FrozenTrial]) -> list[str]:
        """Return sentences for the report."""
        return []


class Evaluator(Protocol):
    """The settings of an `Evaluation`, as ``evaluator=...`` chooses them."""

    name: ClassVar[str]

    def mistakes(self, space: Space, config: Mapping[str, Any]) -> list[str]:
        """Return what of a search it can not work with, a sentence for each key."""

    def begin(self, question: Question, composed: Composed, gate: Gate, folder: Path) -> Evaluation:
        """Return the evaluation of a study.

        Args:
            question: what is asked.
            composed: the configuration that all trials share.
            gate: which configurations may be trained.
            folder: of the study.
        """
