"""What becomes of a proposal once a worker has built it: trained, screened out, a replicate, or answered."""

from __future__ import annotations

from typing import Any

from optuna.trial import TrialState

from nas.search.baselines import BASELINE
from nas.search.census import KEY, Census
from nas.search.hands import Hands
from nas.search.leaderboard import REFUSED
from nas.search.purposes import TO_THE_END
from nas.search.replicates import REPLICATE, mean, root_of
from nas.search.rungs import reports
from nas.search.screen import MEASURED, PASSED, SCREENED, Screen


class Admission:
    """Decides before the first step whether a trial is trained.

    Args:
        census: counts the trials.
        hands: the trials in hand.
        screen: decides by a score; None: nothing is screened out.
    """

    def __init__(self, census: Census, hands: Hands, screen: Screen | None) -> None:
        self._census, self._hands, self._screen = census, hands, screen

    def identify(self, number: int, key: str, description: dict[str, Any]) -> bool:
        """Note what a trial is, and return whether it is trained; see `nas.search.study.Study.identify`."""
        self._hands.note(
            number,
            architecture=description["string"],
            hash=description["hash"],
            parameters=description["parameters"],
            flops=description["flops_per_token"],
            **{key: description[key] for key in ("inherited",) if key in description},
        )
        twin = self._hands.keys.get(key)
        if "scores" in description:
            self._hands[number].set_user_attr(MEASURED, description["scores"])
        if twin is None or twin == number or self._is_measured_beside(number, twin):
            if self._screened_out(number):
                return False
            self._hands.note(number, **{KEY: key})
            return True
        if not self._made_replicate(number, twin):
            self._answer_from(number, twin)
        return False

    def remarks(self) -> list[str]:
        """Return what the screen's score is worth, in words."""
        return self._screen.remarks(self._census.every()) if self._screen else []

    def _screened_out(self, number: int) -> bool:
        """Return whether a trial is not trained because of its score; it has then ended."""
        trial, every = self._hands[number], self._census.every()
        if self._screen is None or TO_THE_END & every[number].user_attrs.keys():
            return False
        refusal = self._screen.refusal(every[number], every)
        if refusal is None:
            trial.set_user_attr(PASSED, True)
            return False
        trial.set_user_attr(SCREENED, True)
        trial.set_user_attr(REFUSED, refusal)
        self._hands.end(number, TrialState.PRUNED, None)
        return True

    def _is_measured_beside(self, number: int, twin: int) -> bool:
        """Return whether a trial must come to an end that its twin, paused at a rung, may never reach."""
        every = self._census.every()
        return bool(TO_THE_END & every[number].user_attrs.keys()) and not every[twin].state.is_finished()

    def _made_replicate(self, number: int, twin: int) -> bool:
        """Turn a trial whose architecture is known into another run of it, if there may be one."""
        trial, known = self._hands[number], self._census.every()[twin]
        run = self._census.next_run(root_of(known)) if known.state.is_finished() else None
        if run is None or {REPLICATE, BASELINE} & trial.user_attrs.keys():
            return False
        trial.set_user_attr(REPLICATE, run)
        return True

    def _answer_from(self, number: int, twin: int) -> None:
        """End a trial with what another one of its architecture has: a result, or rungs so far."""
        frozen, trial = self._census.every()[twin], self._hands[number]
        self._hands.note(number, seconds=0.0, reason=f"same as trial {twin}")
        values = tuple(frozen.values) if frozen.state == TrialState.COMPLETE else None
        known = self._census.values().get(root_of(frozen), [])
        if values is not None and len(known) > 1:
            values = mean(known)
        for step, told in reports.reported(frozen).items():
            reports.record(trial, self._census.every()[number], step, told)
        state = frozen.state if frozen.state.is_finished() else TrialState.PRUNED
        self._hands.end(number, state, values)
