"""The grid: every configuration of a finite space, each once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.errors import InputError
from nas.search.samplers import levels
from nas.search.samplers.encoding import Encoding
from nas.search.samplers.every_trial import every_trial
from nas.search.samplers.streams import Streams
from nas.search.samplers.structure import Structure
from nas.search.samplers.tree import Step, Tree
from nas.search.samplers.turn import Turn
from nas.search.samplers.under_way import UnderWay

_CHECKED = 10_000
"""After so many configurations that are not allowed, the next is proposed all the same."""

_PATIENCE = 10.0
"""Seconds that a thread with nothing left to try waits for what another thread's trial leaves it."""


class Exhausted(optuna.TrialPruned):
    """Every configuration was asked for: in an objective the trial ends as pruned, with nothing trained."""


class Grid(optuna.samplers.BaseSampler):
    """Tries every configuration of a space without continuous parameters, none of them twice.

    Close to Optuna's `BruteForceSampler`. Differences: the tree of what was tried is kept, so that a
    proposal does not read all trials anew; there is a natural order; what a structure does not allow is
    passed by; it says when nothing is left. A study's trials are the only memory: another process goes
    on where one stopped. Trials that run elsewhere or failed count as tried. A study that Optuna's
    `optimize` runs is stopped when nothing is left; while a trial of another thread (``n_jobs``) may ask
    for more than was known, a thread without anything to try waits up to ten seconds before its trial is
    pruned.

    Args:
        shuffle: draw each value from those below which something is left, so that an unfinished grid is
            a fair sample; otherwise the last parameter changes first.
        seed: of the random streams, one for each trial.
    """

    def __init__(self, shuffle: bool = True, seed: int | None = None) -> None:
        self.shuffle = shuffle
        self._streams = Streams(seed)
        self._rng = self._streams.of(0)
        self._structure: Structure | None = None
        self._distributions: dict[str, BaseDistribution] = {}
        self._turn = Turn()
        self._begin("")

    def guide(self, structure: Structure) -> None:
        """Tell the sampler what is known of the space beyond the distributions of past trials.

        Raises:
            InputError: a parameter is continuous.
        """
        told = structure.distributions
        wrong = [_mistake(name, d) for name, d in told.items() if not d.single() and levels.size(d) == 0]
        if wrong:
            raise InputError(*wrong)
        self._structure = structure
        self._distributions = dict(told)
        self._begin("")

    def exhausted(self, study: optuna.Study) -> str:
        """Return a sentence if every configuration was asked for, else an empty string."""
        return "" if self.held(study) is None else str(self._all_tried())

    def held(self, study: optuna.Study) -> int | None:
        """Return how many configurations there are if every one was asked for, else None."""
        with self._turn, self._reading(study, without=-1):
            if self._structure is None:
                left = self._tree.root.free or self._own.busy()
            else:
                left = self._untried() is not None
            return None if left else self._count()

    def reseed_rng(self) -> None:
        """Optuna calls it in parallel workers: their trials have other numbers, and so other streams."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter, if a structure tells them; else they are met one by one."""
        return dict(self._encoding.space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return an untried configuration that is allowed, if a structure tells of the space.

        Raises:
            Exhausted: there is none.
        """
        if not search_space:
            return {}
        with self._turn, self._reading(study, without=trial.number):
            params = self._untried()
            if params is None:
                raise self._all_tried()
            self._own.come(trial.number, self._path(params, search_space) or [])
            return params

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a value below which something untried may be left.

        Raises:
            InputError: the parameter is continuous.
            Exhausted: there is no such value.
        """
        count = levels.size(param_distribution)
        if count == 0:
            raise InputError(_mistake(param_name, param_distribution))
        with self._turn:
            if self._distributions.setdefault(param_name, param_distribution) != param_distribution:
                self._distributions[param_name] = param_distribution  # a value has another index now
                self._begin(study.study_name)
            deadline = time.monotonic() + _PATIENCE
            while (index := self._below(study, trial.number, param_name, count)) is None:
                patience = deadline - time.monotonic()
                if patience <= 0 or not self._own.busy(elsewhere=True):
                    raise self._all_tried()
                with self._own.waiting(trial.number):
                    self._turn.wait(patience)
            self._turn.changed()
            return levels.at(param_distribution, index)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Note that a trial of this process begins."""
        with self._turn:
            self._rng = self._streams.of(trial.number)
            self._own.begin(trial.number)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Stop a study that `optimize` runs when nothing is left."""
        with self._turn:
            self._own.end(trial.number)
            self._turn.changed()
        if self.exhausted(study):
            with contextlib.suppress(RuntimeError):  # whoever asks and tells looks for himself
                study.stop()

    def _begin(self, study: str) -> None:
        self._study = study
        self._tree = Tree()
        self._finished: set[int] = set()
        self._own = UnderWay()
        self._refused = 0
        told = self._structure.distributions if self._structure else {}
        self._encoding = Encoding({n: d for n, d in told.items() if not d.single()}, self._structure)

    @contextlib.contextmanager
    def _reading(self, study: optuna.Study, without: int) -> Iterator[None]:
        """Take in what has finished; what is under way keeps one configuration each meanwhile."""
        if study.study_name != self._study:
            self._begin(study.study_name)
        trials = [t for t in every_trial(study) if t.number not in self._finished]
        for trial in trials:
            if trial.state.is_finished():
                self._finished.add(trial.number)
                self._own.end(trial.number)
                path = self._path(trial.params, trial.distributions)
                if trial.params and path is not None:
                    self._tree.tried(path)
        running = [t for t in trials if t.state is TrialState.RUNNING and t.number != without]
        held = [node for path in map(self._way, running) if path for node in self._tree.hold(path)]
        try:
            yield
        finally:
            for node in held:
                node.held -= 1

    def _way(self, trial: FrozenTrial) -> Sequence[Step]:
        return self._own.way(trial.number, self._path(trial.params, trial.distributions) or [])

    def _below(self, study: optuna.Study, number: int, name: str, count: int) -> int | None:
        """Return a value's index below which something is left for a trial that asks for a parameter."""
        with self._reading(study, without=number):
            path = self._way(every_trial(study)[number])
            left = self._tree.ask(path, name, count).open()
            if not left:
                return None
            index = self._take(left)
            if count > 1:
                self._own.come(number, [*path, (name, count, index)])
            return index

    def _path(
        self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
    ) -> list[Step] | None:
        """Return values as steps; None if one of them is none of the space's."""
        names = [n for n in self._encoding.names if n in params] if self._structure else params
        steps: list[Step] = []
        for name in names:
            distribution = self._distributions.setdefault(name, distributions[name])
            index = levels.index_of(distribution, params[name])
            if index is None:
                return None
            if not distribution.single():
                steps.append((name, levels.size(distribution), index))
        return steps

    def _untried(self) -> dict[str, Any] | None:
        """Return the next configuration that is allowed; it stays untried. Those that are not are shut."""
        assert self._structure is not None
        for _ in range(_CHECKED):
            steps = self._descend()
            if steps is None:
                return None
            params = {name: levels.at(self._distributions[name], index) for name, _, index in steps}
            if self._structure.allowed(params):
                return params
            self._refused += 1
            self._tree.tried(steps)
        return params

    def _descend(self) -> list[Step] | None:
        """Return the steps to an untried configuration, or None if there is none."""
        steps: list[Step] = []
        node, row = self._tree.root, np.zeros(len(self._encoding.names))
        place = 0
        while node.free:
            assert self._structure is not None
            row = self._structure.settle(self._encoding, np.nan_to_num(row)[None], self._rng)[0]
            place = next((i for i in range(place, len(row)) if not np.isnan(row[i])), len(row))
            if place == len(row):
                return steps
            name = self._encoding.names[place]
            count = levels.size(self._distributions[name])
            left = self._tree.ask(steps, name, count).open()
            if not left:
                return None
            index = self._take(left)
            steps.append((name, count, index))
            row[place] = self._encoding.encode({name: levels.at(self._distributions[name], index)})[place]
            node, place = node.children[index], place + 1
        return None

    def _take(self, left: list[int]) -> int:
        return int(self._rng.choice(left)) if self.shuffle else left[0]

    def _count(self) -> int:
        return self._tree.root.leaves() - self._refused

    def _all_tried(self) -> Exhausted:
        return Exhausted(f"the space holds {self._count():,} configurations, all are tried")


def _mistake(name: str, distribution: BaseDistribution) -> str:
    assert isinstance(distribution, FloatDistribution)
    return (
        f"sampler=grid: {name} is continuous, from {distribution.low:g} to {distribution.high:g}: "
        "give it a step, or a list of values"
    )
