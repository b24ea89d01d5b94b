"""The trials of a study by what they are for: the search, its baselines, and runs of one architecture."""

from __future__ import annotations

from collections import Counter
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nas.search.baselines import BASELINE, compared, in_words
from nas.search.changes import Changes
from nas.search.leaderboard import REFUSED
from nas.search.objectives import Objectives
from nas.search.proxies.agreement import in_words as in_words_of_scores
from nas.search.purposes import EXTRA, INHERITED
from nas.search.replicates import Values, due, groups, noise, root_of
from nas.search.screen import MEASURED

KEY = "key"
"""The user attribute of a trial that was trained: what equal trials share."""

_ASKED = "asked"


class Census:
    """Counts the trials of a study.

    Args:
        study: Optuna's.
        objectives: its objectives.
        replicates: how often an architecture is trained at most.
        seed: of the first run of each.
    """

    def __init__(self, study: optuna.Study, objectives: Objectives, replicates: int, seed: int) -> None:
        self._study, self._objectives = study, objectives
        self._replicates, self._seed = replicates, seed
        self._changes, self._counts = Changes(), Counter[str]()
        self._kinds: dict[int, str] = {}

    def every(self) -> list[FrozenTrial]:
        """Return all trials, by number."""
        return self._study.get_trials(deepcopy=False)

    def admitted(self) -> list[FrozenTrial]:
        """Return the trials that were not refused before training."""
        return [t for t in self.every() if REFUSED not in t.user_attrs]

    def unended(self) -> list[FrozenTrial]:
        """Return the trials that have not ended: they run, are paused, or wait."""
        return [t for t in self.every() if not t.state.is_finished()]

    def asked(self) -> int:
        """Return how many trials the search itself has, in whatever state."""
        return self._count()[_ASKED]

    def baselines(self) -> int:
        """Return how many trials its baselines have."""
        return self._count()[BASELINE]

    def values(self) -> dict[int, list[Values]]:
        """Return the values of each architecture by the number of its first trial."""
        trials = self.every()
        return groups(trials, twins=[t.number for t in trials if KEY not in t.user_attrs])

    def due(self) -> tuple[FrozenTrial, dict[str, int]] | None:
        """Return the trial whose architecture is to be trained again now, if one is, and as which run."""
        if self._replicates < 2:
            return None
        root = due(self.values(), self._runs(), self.asked(), self._replicates, self._objectives)
        run = None if root is None else self.next_run(root)
        return None if root is None or run is None else (self.every()[root], run)

    def next_run(self, root: int) -> dict[str, int] | None:
        """Return what the next run of an architecture is, or None if it has been trained often enough."""
        runs = self._runs()[root]
        return {"of": root, "seed": self._seed + runs} if runs < self._replicates else None

    def proportion(self) -> dict[str, Any]:
        """Return what puts the best value into proportion, as data and in words."""
        spreads = noise(self.values().values(), self._objectives)
        beside = compared(self.admitted(), self._objectives)
        remarks = [spread.in_words() for spread in spreads]
        if beside:
            remarks.append(in_words(beside, self._objectives))
        elif any(trial.state is TrialState.COMPLETE for trial in self.every()):
            remarks.append(
                "What random or largest-first candidates reach at equal budget was not tried: the same "
                f"command with baselines={self.asked()} trains as many of each."
            )
        told = [spread.told() for spread in spreads]
        return {
            "refused": len(self.every()) - len(self.admitted()),
            "noise": None if not told else told[0] if len(self._objectives) == 1 else told,
            "baselines": beside,
            "remarks": remarks,
        }

    def of_scores(self) -> list[str]:
        """Return what zero-cost scores tell of the results, if any were measured, in words."""
        done = [t for t in self.every() if is_scored(t)]
        first = self._objectives[0]
        scores = [t.user_attrs[MEASURED] for t in done]
        return in_words_of_scores(scores, [-first.sign * t.values[0] for t in done], first.name)

    def _count(self) -> Counter[str]:
        """Return how many trials there are of each kind; those that have not changed stay counted."""
        for trial in self._changes.take(self.every()):
            if trial.number in self._kinds:
                self._counts[self._kinds[trial.number]] -= 1
            self._kinds[trial.number] = kind = _kind(trial)
            self._counts[kind] += 1
        return self._counts

    def _runs(self) -> Counter[int]:
        """Return how many trials each architecture has, those that run included."""
        return Counter(root_of(t) for t in self.admitted())


def is_scored(trial: FrozenTrial) -> bool:
    """Return whether a trial was trained to its end from scratch, and its zero-cost scores were measured."""
    measured = {KEY, MEASURED} <= trial.user_attrs.keys() and INHERITED not in trial.user_attrs
    return trial.state is TrialState.COMPLETE and measured


def _kind(trial: FrozenTrial) -> str:
    """Return what a trial counts as."""
    if REFUSED in trial.user_attrs:
        return REFUSED
    if BASELINE in trial.user_attrs:
        return BASELINE
    return _ASKED if not EXTRA & trial.user_attrs.keys() else "extra"
