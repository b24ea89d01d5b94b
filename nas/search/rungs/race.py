"""The race of a study's trials up the rungs: who goes on, who is paused, who is continued and who ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from optuna.trial import FrozenTrial, Trial, TrialState

from nas import pareto
from nas.search.census import KEY
from nas.search.changes import Changes
from nas.search.leaderboard import REFUSED
from nas.search.objectives import Objectives, signed
from nas.search.purposes import APART, TO_THE_END
from nas.search.rungs import reports
from nas.search.rungs.finished import Finished
from nas.search.rungs.forecast import Forecast, forecast
from nas.search.rungs.halving import SuccessiveHalving, percent
from nas.search.rungs.ladder import Ladder, Values
from nas.seeding import derive
from nas.train.rung import GO_ON, PAUSE, STOP, Answer

_ANSWERS: dict[str, Answer] = {
    reports.BEST: GO_ON, reports.BOLD: GO_ON, reports.MEASURED: GO_ON, reports.PAUSED: PAUSE,
}  # fmt: skip


class Race:
    """Decides at the rungs, from what a study's trials have reported there.

    Args:
        settings: where the rungs are and who goes on.
        evaluate_at: the shares of the budget at which a run is evaluated.
        objectives: of the study; costs are the same at every rung.
        seed: of the study; it decides who is bold.
    """

    def __init__(
        self,
        settings: SuccessiveHalving,
        evaluate_at: Sequence[float],
        objectives: Objectives,
        seed: int,
    ) -> None:
        self._settings, self._seed = settings, seed
        self._objectives = objectives
        signs = [objective.sign for objective in objectives]
        self._ladder = Ladder(settings.levels(evaluate_at), settings.reduction_factor, signs)
        self._finished = Finished(self._ladder.levels, len(objectives))
        self._front: list[Values] = []
        self._changes = Changes()

    def report(self, trials: Sequence[FrozenTrial], trial: Trial, progress: float, values: Values) -> Answer:
        """Keep what a trial reports, and decide what becomes of it.

        Args:
            trials: of the study.
            trial: one of them.
            progress: the share of its budget.
            values: its objectives.
        """
        self._take_in(trials)
        frozen = trials[trial.number]
        level = self._level(frozen, percent(progress))
        reports.record(trial, frozen, percent(progress) if level is None else level, values)
        if level is None:  # no rung, or it passed there before it was cut off
            return GO_ON
        told = {**reports.reported(frozen), level: values}
        word = self._word(frozen, level, told)
        reports.decide(trial, frozen, level, word)
        return _ANSWERS.get(word, STOP)

    def promoted(self, trials: Sequence[FrozenTrial]) -> Iterator[tuple[FrozenTrial, int]]:
        """Yield the paused trials that may go on by now, with their rung: the highest and best first."""
        self._take_in(trials)
        for level in reversed(self._ladder.levels):
            yield from self._paused(self._ladder.best(level), level)

    def resting(self, trials: Sequence[FrozenTrial]) -> Iterator[tuple[FrozenTrial, int]]:
        """Yield all paused trials, with their rung: the highest and best first."""
        self._take_in(trials)
        for level in reversed(self._ladder.levels):
            yield from self._paused(self._ladder.ranked(level), level)

    def hopeless(self, trial: FrozenTrial, told: dict[int, Values] | None = None) -> str | None:
        """Return why a trial has no hope of being among the best, or None while it has.

        It has none if its objectives, each as good as it will be with the probability of the settings,
        are dominated by a finished trial; those known before training are what they are.
        """
        told = reports.reported(trial) if told is None else told
        if self._settings.hopeless is None or not told:
            return None
        found = self._forecasts(told)
        if found is None:
            return None
        last = told[max(told)]
        hoped = [
            value if end is None else end.bound(self._settings.hopeless, objective.sign)
            for value, end, objective in zip(last, found, self._objectives, strict=True)
        ]
        if not pareto.is_dominated(signed(self._objectives, hoped), self._front):
            return None
        return self._in_words(found, last)

    def _word(self, trial: FrozenTrial, level: int, told: dict[int, Values]) -> str:
        if TO_THE_END & trial.user_attrs.keys():
            return reports.MEASURED
        self._ladder.reach(trial.number, level, told[level])
        bold = self._is_bold(trial.number)
        if trial.number in self._ladder.best(level):
            return (None if bold else self.hopeless(trial, told)) or reports.BEST
        if bold:
            return reports.BOLD
        if self._settings.pause:
            return reports.PAUSED
        return (
            f"not among the best {len(self._ladder.best(level))} of {self._ladder.count(level)} at {level} %"
        )

    def _is_bold(self, number: int) -> bool:
        return derive(self._seed, "bold", number) % 10_000 < 10_000 * self._settings.bold

    def _level(self, trial: FrozenTrial, step: int) -> int | None:
        """Return the rung that an evaluation at ``step`` is for a trial, or None."""
        reached = [level for level in self._ladder.levels if level <= step]
        return reached[-1] if reached and reached[-1] not in reports.decided(trial) else None

    def _take_in(self, trials: Sequence[FrozenTrial]) -> None:
        """Note what trials have reported since the last call."""
        for trial in self._changes.take(trials):
            twin = trial.state.is_finished() and KEY not in trial.user_attrs
            if twin or {REFUSED, *APART} & trial.user_attrs.keys():
                continue
            told = reports.reported(trial)
            if not TO_THE_END & trial.user_attrs.keys():
                for level in told.keys() & set(self._ladder.levels):
                    self._ladder.reach(trial.number, level, told[level])
            if trial.state is TrialState.COMPLETE:
                self._finish(told, tuple(trial.values))

    def _paused(self, numbers: Iterable[int], level: int) -> Iterator[tuple[FrozenTrial, int]]:
        """Yield those of the trials that are paused at a rung, with it."""
        paused = self._changes.paused
        for number in filter(paused.__contains__, numbers):  # of thousands, few are paused among the best
            if paused[number][1] == level:
                yield paused[number]

    def _finish(self, told: dict[int, Values], values: Values) -> None:
        """Note the end of a trial, and keep those that no other one dominates."""
        self._finished.add(told, values)
        end = tuple(signed(self._objectives, values))
        if not pareto.is_dominated(end, self._front):
            self._front = [*(other for other in self._front if not pareto.is_dominated(other, [end])), end]

    def _forecasts(self, told: dict[int, Values]) -> list[Forecast | None] | None:
        """Return a forecast of every objective that training decides, or None if one cannot be told."""
        steps = [level for level in self._ladder.levels if level in told]
        found: list[Forecast | None] = []
        for index, objective in enumerate(self._objectives):
            end = None
            if not objective.is_cost:
                end = forecast([told[step][index] for step in steps], *self._finished.at(steps, index))
                if end is None:
                    return None
            found.append(end)
        return found

    def _in_words(self, found: Sequence[Forecast | None], last: Values) -> str:
        told = [
            f"{value:.4g}" if end is None else f"{end.mean:.4g} ± {end.deviation:.2g}"
            for end, value in zip(found, last, strict=True)
        ]
        if len(told) > 1:
            return f"hopeless: predicted {', '.join(told)}, dominated by a finished trial"
        best = self._objectives[0].sign * min(end[0] for end in self._front)
        return f"hopeless: predicted {told[0]}, best {best:.4g}"
