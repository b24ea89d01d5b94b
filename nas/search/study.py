"""A study: asks a sampler for trials, has them trained, and keeps everything that came out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from nas.files import write_json
from nas.search.admission import Admission
from nas.search.baselines import BASELINE, Baselines
from nas.search.census import Census
from nas.search.claims import Claims
from nas.search.evaluation import Evaluation, Proposal
from nas.search.gate import Gate
from nas.search.hands import Hands
from nas.search.leaderboard import RESULT, Leaderboard
from nas.search.left import deaths_in_a_row
from nas.search.orders import Orders
from nas.search.outcomes import Outcomes
from nas.search.pausing import Found, Pausing
from nas.search.question import Question
from nas.search.records import Records
from nas.search.replicates import REPLICATE, ranked
from nas.search.rungs import reports
from nas.search.rungs.race import Race
from nas.search.samplers.grid import Grid
from nas.search.screen import Screen
from nas.search.storages.leases import Alone, Leases
from nas.search.versions import name_of
from nas.search.worker import Order
from nas.train.rung import Answer

DEATHS = "deaths"
REDRAWS = 20
"""So many proposals in a row may be refused, then one is drawn at random from those that are not."""


class Study:
    """The trials of one question, in Optuna's storage and in the study's folder.

    Args:
        question: what is asked.
        folder: the study's folder; this process holds its lock.
        storage: Optuna's.
        sampler: Optuna's.
        race: decides at rungs; None trains every trial to the end.
        gate: decides which proposals are trained; None: all.
        replicates: how often an architecture is trained at most, with other seeds.
        baselines: what is trained beside the search, to compare with.
        evaluation: how trials get their values; None: each is trained from scratch.
        leases: say which trials are this supervisor's; None: all.
        scored: whether the zero-cost scores of trials are measured and compared with their results.
        screen: decides by a score which trials are trained; None: all.

    Raises:
        InputError: the folder holds a study with another space or objective.
    """

    def __init__(
        self,
        question: Question,
        folder: Path,
        storage: optuna.storages.BaseStorage,
        sampler: optuna.samplers.BaseSampler,
        race: Race | None,
        gate: Gate | None = None,
        replicates: int = 1,
        baselines: Baselines | None = None,
        evaluation: Evaluation | None = None,
        leases: Leases | None = None,
        scored: bool = False,
        screen: Screen | None = None,
    ) -> None:
        self.question = question
        self.folder = folder
        self.gate = gate or Gate(question.space)
        self.race = race
        self.replicates = replicates
        self.baselines = baselines
        self.evaluation = evaluation or Evaluation()
        self._leases = leases or Alone()
        self._records = Records(question, folder, storage, self._leases.others())
        self.optuna = optuna.create_study(
            study_name=name_of(question.name, self._records.version),
            storage=storage,
            sampler=sampler,
            pruner=optuna.pruners.NopPruner(),
            directions=[objective.direction for objective in question.objectives],
            load_if_exists=True,
        )
        self._records.leave_in(self.optuna)
        self._leaderboard = Leaderboard(self.optuna, question.objectives)
        self._census = Census(self.optuna, question.objectives, replicates, question.seed)
        self._hands = Hands(self.optuna, self._leases)
        self._claims = Claims(self.optuna, self._leases, self._hands)
        self._orders = Orders(
            question, folder, self.gate, self.optuna, self.evaluation, scored or screen is not None
        )
        self._admission = Admission(self._census, self._hands, screen)
        self._outcomes = Outcomes(question.objectives, race, self._census, self._hands)
        self._pausing = Pausing(self.optuna, race, self.gate, self._census, self._hands, self._claims)

    def abandoned(self) -> Iterator[Order]:
        """Yield the trials that a dead supervisor left in a worker's hands; they keep number and values."""
        orders = (self._order(trial) for trial in self._claims.free())
        yield from (order for order in orders if order is not None)

    def asked(self) -> int:
        """Return how many trials the search has, in whatever state, without refused ones and baselines."""
        return self._census.asked() - self._claims.foreign()

    def elsewhere(self) -> int:
        """Return how many trials run in other supervisors' hands."""
        return self._claims.elsewhere()

    def renew(self) -> set[int]:
        """Keep the trials in hand this supervisor's, and return those that another one has by now."""
        return self._leases.renew()

    def lose(self, number: int) -> None:
        """Forget a trial that another supervisor has by now."""
        self._hands.lose(number)

    def lacks(self, n_trials: int) -> bool:
        """Return whether there is a trial to ask for: up to ``n_trials``, and then the baselines'."""
        wanted = 2 * self.baselines.count if self.baselines else 0
        if self._census.baselines() < wanted or self._final() is not None:
            return True
        return self.asked() < n_trials and not self.exhausted()

    def exhausted(self) -> str:
        """Return a sentence if all there is has been proposed, else an empty string."""
        asked = self.asked()
        told = self.evaluation.exhausted(asked)
        if told or self.evaluation.proposal(asked) is not None:
            return told
        return self.optuna.sampler.exhausted(self.optuna) if isinstance(self.optuna.sampler, Grid) else ""

    def next(self, n_trials: int) -> Order | None:
        """Return the next trial: one that was left or paused and may go on, or one that `lacks` tells of.

        None: there is none now.
        """
        return self._claims.in_turn(lambda: self._next(n_trials))

    def _next(self, n_trials: int) -> Order | None:
        self._claims.refuse_surplus(self.asked() - n_trials)
        known = next(self.abandoned(), None) or self._continued(self._pausing.promoted(n_trials))
        return known or self._new(n_trials) or self._continued(self._pausing.last_hope())

    def _new(self, n_trials: int) -> Order | None:
        if self.asked() < n_trials and not self.exhausted():
            return self.ask()
        final = self._final()
        if final is not None:
            return self._enqueued(*final)
        if self.baselines is None or not self.lacks(n_trials):
            return None
        kind, params = self.baselines.proposal(self._census.baselines())
        return self._enqueued(params, {BASELINE: kind})

    def ask(self) -> Order | None:
        """Let the sampler propose a trial; what may not be trained is recorded, and another one asked for.

        None: it has nothing left, though it had when this supervisor looked.
        """
        again = self._due_again()
        if again is not None:
            return again
        proposal = self.evaluation.proposal(self.asked())
        if proposal is not None:
            return self._enqueued(*proposal)
        for _ in range(REDRAWS):
            order = self._order(self._leases.ask(self.optuna, {}, {}))
            if order is not None or self.exhausted():
                return order
        params = self.gate.sample(random.Random(len(self._census.every())))
        assert params is not None  # a plan without any is refused
        return self._enqueued(params, {})

    def again(self, number: int) -> Order:
        """Return a trial whose architecture is known, to be trained with another seed."""
        return self._admitted(self._hands[number])

    def identify(self, number: int, key: str, description: dict[str, Any]) -> bool:
        """Note what a trial is; return False if an equal one is finished.

        The trial then has its result and is over; or, where replicates are wanted, it is not, and
        `again` returns it with another seed.
        """
        return self._admission.identify(number, key, description)

    def report(self, number: int, progress: float, metrics: dict[str, float]) -> Answer:
        """Record an evaluation; return whether the trial goes on, is paused or ends here."""
        return self._outcomes.report(number, progress, metrics)

    def let_go(self, number: int, seconds: float = 0.0) -> None:
        """Note that no worker has a trial any more that `report` has paused, after so many seconds of it."""
        self._hands.note(number, seconds=seconds)
        self._hands.let_go(number)

    def is_paused(self, number: int) -> bool:
        """Return whether a trial is paused."""
        return reports.is_paused(self._census.every()[number])

    def is_complete(self, n_trials: int) -> bool:
        """Return whether there is nothing to train: nothing to ask for, and nothing left that may go on."""
        going = (t for t in self._census.unended() if not reports.is_paused(t))
        return not self.lacks(n_trials) and next(going, None) is None and not self._pausing.goes_on(n_trials)

    def take_ended(self) -> list[int]:
        """Return the paused trials that ended without hope since the last call."""
        return self._pausing.take_ended()

    def succeed(self, number: int, result: dict[str, Any]) -> None:
        """Record a run's result: completed, pruned or diverged."""
        self._outcomes.succeed(number, result)

    def fail(self, number: int, reason: str) -> None:
        """Record that a trial has no result, and why."""
        self._hands.note(number, reason=reason)
        self._hands.end(number, TrialState.FAIL, None)

    def is_over(self, number: int) -> bool:
        """Return whether a trial that was handed out is recorded with its end."""
        return number not in self._hands

    def count_death(self, number: int) -> int:
        """Return how many workers this trial has cost by now."""
        trial = self._hands[number]
        deaths = int(trial.user_attrs.get(DEATHS, 0)) + 1
        trial.set_user_attr(DEATHS, deaths)
        return deaths

    def count_left(self, order: Order) -> int:
        """Return at how many deaths of a supervisor in a row a trial was trained; see `nas.search.left`."""
        return deaths_in_a_row(self._hands[order.number], order.folder)

    def rows(self) -> list[dict[str, Any]]:
        """Return the leaderboard; with replicates, by the mean over seeds."""
        rows = self._leaderboard.rows()
        if self.replicates < 2:
            return rows
        return ranked(rows, self._census.every(), self.question.objectives)

    def rows_of(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Return the rows of some trials, each once; one that was screened out has none."""
        return self._leaderboard.of(dict.fromkeys(numbers))

    def values_of(self, number: int) -> list[str] | None:
        """Return the overrides of an ended trial that the study's trials do not share.

        None: no worker trained it, a user has told its value.
        """
        result = self.optuna.get_trials(deepcopy=False)[number].user_attrs.get(RESULT)
        if result is None:
            return None
        return list(result["overrides"][-result["own"] :] if result["own"] else [])

    def write(self, workers: int, n_trials: int, sampler: str, seconds: float, finished: bool) -> None:
        """Write ``leaderboard.json`` and ``study.json``; see `nas.search.records.Records.write`."""
        write_json(self.folder / "leaderboard.json", self.rows())
        proportion = self._census.proportion()
        proportion["remarks"] += self.evaluation.remarks(self._census.every())
        proportion["remarks"] += self._census.of_scores()
        if finished:
            proportion["remarks"] += self._admission.remarks() + self._pausing.remarks()
        self._records.write(proportion, workers, n_trials, sampler, seconds, finished)

    def _due_again(self) -> Order | None:
        """Return a trial that trains one of the best architectures again, if one is due."""
        due = self._census.due()
        return None if due is None else self._enqueued(due[0].params, {REPLICATE: due[1]})

    def _continued(self, found: Found | None) -> Order | None:
        return None if found is None else self._admitted(self._pausing.go_on(found))

    def _final(self) -> Proposal | None:
        return self.evaluation.due(self._census.every())

    def _enqueued(self, params: dict[str, Any], attributes: dict[str, Any]) -> Order:
        return self._admitted(self._leases.ask(self.optuna, params, attributes))

    def _admitted(self, trial: Trial) -> Order:
        order = self._order(trial)
        assert order is not None  # what was looked at before is not refused
        return order

    def _order(self, trial: Trial) -> Order | None:
        """Take a trial in hand and return its order; None if it may not be trained."""
        order = self._orders.of(trial)
        if order is not None:
            self._claims.take(trial, order)
        return order
