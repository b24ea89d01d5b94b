"""The screen: of what is proposed only the better part, by a number known before training, is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from nas.errors import InputError, nearest, not_allowed
from nas.search.proxies.scores import SCORES

MEASURED = "scores"
"""The user attribute that holds a trial's zero-cost scores."""
SCREENED = "screened"
"""The user attribute of a trial that was not trained because of its score: nothing is known of its value."""
PASSED = "passed"
"""The user attribute of a trial that was let through: a kill shall not change that."""
PREDICTED = "predicted"
"""The name of the score that a model of the study's own results gives."""
_KEYS = ("score", "keep")
_IN_A_ROW = 20
"""After so many that were not let through, the next one is: there may be nothing better left."""


class Screen:
    """A rung before the first step.

    Asynchronous, as successive halving is: a trial is let through if it is among the best share of all
    scores so far, so nobody waits for others, and early ones pass more easily.

    Args:
        score: which of `nas.search.proxies.scores.SCORES`.
        keep: the share that is let through.
    """

    def __init__(self, score: str, keep: float) -> None:
        self.score, self.keep = score, keep

    def judged(self, trials: Sequence[FrozenTrial]) -> Mapping[int, float] | None:
        """Return a number for every trial that has one, the higher the better; None: nothing can be told."""
        return {t.number: t.user_attrs[MEASURED][self.score] for t in trials if MEASURED in t.user_attrs}

    def remarks(self, trials: Sequence[FrozenTrial]) -> list[str]:
        """Return what this screen's number is worth, in words."""
        return []

    def refusal(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> str | None:
        """Return why a trial is not trained, or None if it is.

        Args:
            trial: with its scores.
            trials: of the study, it among them.
        """
        if PASSED in trial.user_attrs or self._had_no_luck(trials):
            return None
        known = self.judged(trials)
        if known is None:
            return None
        own, kept = known[trial.number], math.ceil(self.keep * len(known))
        if sum(value > own for value in known.values()) < kept:
            return None
        return f"{self.score} {own:.4g} is not among the best {kept} of {len(known)}"

    def _had_no_luck(self, trials: Sequence[FrozenTrial]) -> bool:
        ended = [t for t in trials if t.state.is_finished()]
        latest = ended[-_IN_A_ROW:]
        return len(latest) == _IN_A_ROW and all(SCREENED in t.user_attrs for t in latest)


def read_screen(given: Mapping[str, Any] | None) -> Screen | None:
    """Return the screen of ``screen: {score: jacobian_covariance, keep: 0.5}``.

    One by prediction is made of it by `nas.search.predicted`, which knows the study.

    Raises:
        InputError: one sentence for each mistake.
    """
    if given is None:
        return None
    mistakes = [f"screen.{key} is not a key here{nearest(key, _KEYS)}" for key in given if key not in _KEYS]
    score, keep = given.get("score"), given.get("keep", 0.5)
    if score not in (*SCORES, PREDICTED):
        mistakes.append(not_allowed("screen.score", score, [*SCORES, PREDICTED]))
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep < 1:
        mistakes.append(f"screen.keep={keep!r} must be a share between 0 and 1")
    if mistakes:
        raise InputError(*mistakes)
    return Screen(str(score), float(keep))
