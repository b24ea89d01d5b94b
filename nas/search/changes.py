"""What has changed in a study since it was looked at last, found without looking into every trial again."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from nas.search.rungs.reports import paused_at
from nas.search.storages.observed import Observed


class Changes:
    """Looks at a study's trials again and again.

    A trial that changes is another object, as in all of Optuna's storages; one that has ended never
    changes.

    Attributes:
        seen: how many trials there were.
        going: those that have neither ended nor are paused, by number.
        paused: those that are paused, each with its rung.
    """

    def __init__(self) -> None:
        self.seen = 0
        self._log: list[int] | None = None
        self._read = 0
        self.going: dict[int, FrozenTrial] = {}
        self.paused: dict[int, tuple[FrozenTrial, int]] = {}

    def take(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return those that are new or have changed since the last call.

        Args:
            trials: all of the study, by number.
        """
        changed = self._noted(trials)
        if changed is None:
            known = [*self.going.values(), *(trial for trial, _ in self.paused.values())]
            changed = [trials[t.number] for t in known if trials[t.number] is not t]
            changed += trials[self.seen :]
        self.seen = len(trials)
        for trial in changed:
            self.going.pop(trial.number, None)
            self.paused.pop(trial.number, None)
            rung = paused_at(trial)
            if rung is not None:
                self.paused[trial.number] = trial, rung
            elif not trial.state.is_finished():
                self.going[trial.number] = trial
        return changed

    def _noted(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial] | None:
        """Return what the storage has noted since the last call; None if it does not, or not since then."""
        if not isinstance(trials, Observed):
            self._log = None
            return None
        same, since = trials.log is self._log, self._read
        self._log, self._read = trials.log, trials.end
        return [trials[number] for number in dict.fromkeys(trials.log[since : trials.end])] if same else None
