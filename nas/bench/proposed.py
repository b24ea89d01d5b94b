"""Recorded candidates that a sampler proposes, as trials of a study of its own."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from nas.bench.entrants import Candidate, Entrant, Entrants
from nas.bench.landscapes import Recorded, distributions
from nas.search.census import KEY
from nas.search.samplers.every_trial import every_trial


class Proposed(Entrants):
    """What a sampler asks for, while it learns from every trial so far: there is always another one.

    What is asked for again is trained again, with the same result.

    Args:
        sampler: of a study in memory.
        landscape: the table's configurations.
        candidates: what was recorded of each, in the same order.
    """

    def __init__(
        self, sampler: optuna.samplers.BaseSampler, landscape: Recorded, candidates: Sequence[Candidate]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._landscape, self._candidates = landscape, candidates
        self._study = optuna.create_study(sampler=sampler, direction="minimize")
        self._space = distributions(landscape.choices)

    def enter(self) -> Entrant:
        """Ask the sampler; see `Entrants`."""
        trial = self._study.ask(self._space)
        trial.set_user_attr(KEY, str(trial.number))
        number, _ = self._landscape.nearest(trial.params, set())
        return Entrant(self._candidates[number], trial)

    def trials(self) -> Sequence[FrozenTrial]:
        """Return the study's; see `Entrants`."""
        return every_trial(self._study)

    def end(self, entrant: Entrant, state: TrialState, value: float | None = None) -> None:
        """Tell the study; see `Entrants`."""
        self._study.tell(entrant.trial, value, state=state)
