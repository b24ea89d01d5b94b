"""Orders: what a sampler has proposed, as what a worker is to train; what may not be trained is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.trial import Trial

from nas.search.evaluation import Evaluation
from nas.search.gate import Gate, Verdict
from nas.search.leaderboard import REFUSED
from nas.search.question import Question
from nas.search.replicates import REPLICATE
from nas.search.spaces.space import lines
from nas.search.worker import Order

COSTS = "costs"
"""The user attribute that holds what is known of a trial before it is trained, by name."""


class Orders:
    """Makes orders of trials.

    Args:
        question: of the study.
        folder: the study's.
        gate: decides which proposals are trained.
        study: Optuna's, which learns of those that are refused.
        evaluation: knows what else a trial sets.
        scored: whether zero-cost scores are wanted.
    """

    def __init__(
        self,
        question: Question,
        folder: Path,
        gate: Gate,
        study: optuna.Study,
        evaluation: Evaluation,
        scored: bool = False,
    ) -> None:
        self._evaluation, self._scored = evaluation, scored
        self._question, self._folder, self._gate, self._study = question, folder, gate, study

    def of(self, trial: Trial) -> Order | None:
        """Return what a worker is told of a trial; None if it may not be trained, which is then recorded.

        So it is where the sampler has nothing left, because another supervisor asked for the last one
        after this one had looked.
        """
        try:
            values = self._question.space.walk(lambda parameter: parameter.suggest(trial))
        except optuna.TrialPruned as error:
            self._refuse(trial, str(error), {})
            return None
        verdict = self._gate.judge(values)
        if not verdict.fits:
            self._refuse(trial, verdict.reason, verdict.broken)
            return None
        costs = self._costs(trial, verdict)
        replicate = trial.user_attrs.get(REPLICATE)
        more = self._evaluation.settings(trial, self._study.get_trials(deepcopy=False))
        seed = [f"seed={replicate['seed']}"] if replicate else []
        own = (*verdict.overrides, *lines(more), *seed)
        overrides = (*self._question.base, *own)
        folder = self._folder / "trials" / str(trial.number)
        return Order(trial.number, overrides, own, folder, self._question.name, self._scored, costs)

    def _costs(self, trial: Trial, verdict: Verdict) -> dict[str, float]:
        """Return the objectives that are known by now, and keep them: a latency is not measured twice."""
        told: dict[str, float] | None = trial.user_attrs.get(COSTS)
        if told is not None:
            return told
        costs = {o.name: verdict.measures[o.name] for o in self._question.objectives if o.is_cost}
        if costs:
            trial.set_user_attr(COSTS, costs)
        return costs

    def _refuse(self, trial: Trial, reason: str, broken: Mapping[str, float]) -> None:
        """Record what is wrong with a proposal, such that samplers learn of it."""
        for rule, share in broken.items():
            trial.set_constraint(rule, share)
        trial.set_user_attr(REFUSED, reason)
        # Not a failure: Optuna's own samplers learn nothing from these.
        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
