"""The grid: every configuration of a finite space, each once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from nas.errors import InputError
from nas.search.samplers.encoding import Encoding
from nas.search.samplers.structure import Structure
from nas.search.samplers.tree import Node, Step, Tree
from nas.search.samplers.turn import Turn

_CHECKED = 10_000
"""After so many configurations that are not allowed, the next is proposed all the same."""


class Exhausted(optuna.TrialPruned):
    """Every configuration was asked for: in an objective the trial ends as pruned, with nothing trained."""


class Grid(optuna.samplers.BaseSampler):
    """Tries every configuration of a space without continuous parameters, none of them twice.

    Close to Optuna's `BruteForceSampler`. Differences: the tree of what was tried is kept, so that a
    proposal does not read all trials anew; there is a natural order; what a structure does not allow is
    passed by; it says when nothing is left. A study's trials are the only memory: another process goes
    on where one stopped. Trials that run elsewhere or failed count as tried. A study that Optuna's
    `optimize` runs is stopped when nothing is left.

    Args:
        shuffle: draw each value from those below which something is left, so that an unfinished grid is
            a fair sample; otherwise the last parameter changes first.
        seed: of the sampler's own random stream.
    """

    def __init__(self, shuffle: bool = True, seed: int | None = None) -> None:
        self.shuffle = shuffle
        self._rng = np.random.default_rng(seed)
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
        wrong = [_mistake(name, d) for name, d in told.items() if not d.single() and _count(d) == 0]
        if wrong:
            raise InputError(*wrong)
        self._structure = structure
        self._distributions = dict(told)
        self._begin("")

    def exhausted(self, study: optuna.Study) -> str:
        """Return a sentence if every configuration was asked for, else an empty string."""
        with self._turn, self._reading(study, without=-1):
            left = not self._tree.root.shut if self._structure is None else self._untried() is not None
            return "" if left else str(self._all_tried())

    def reseed_rng(self) -> None:
        """Take another random stream: Optuna calls it in parallel workers."""
        self._rng = np.random.default_rng()

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
        count = _count(param_distribution)
        if count == 0:
            raise InputError(_mistake(param_name, param_distribution))
        with self._turn:
            if self._distributions.setdefault(param_name, param_distribution) != param_distribution:
                self._distributions[param_name] = param_distribution  # a value has another index now
                self._begin(study.study_name)
            with self._reading(study, without=trial.number):
                node = self._tree.at(self._path(study.get_trials(deepcopy=False)[trial.number]) or [])
                node.ask(param_name, count)
                if not node.open():
                    raise self._all_tried()
                return _value(param_distribution, self._take(node.open()))

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Stop a study that `optimize` runs when nothing is left."""
        if self.exhausted(study):
            with contextlib.suppress(RuntimeError):  # whoever asks and tells looks for himself
                study.stop()

    def _begin(self, study: str) -> None:
        self._study = study
        self._tree = Tree()
        self._finished: set[int] = set()
        self._refused: list[list[Step]] = []
        self._held: list[Node] = []
        told = self._structure.distributions if self._structure else {}
        self._encoding = Encoding({n: d for n, d in told.items() if not d.single()}, self._structure)

    @contextlib.contextmanager
    def _reading(self, study: optuna.Study, without: int) -> Iterator[None]:
        """Take in what has finished; what runs counts as tried meanwhile, as far as it is known."""
        if study.study_name != self._study:
            self._begin(study.study_name)
        trials = [t for t in study.get_trials(deepcopy=False) if t.params and t.number not in self._finished]
        for trial in trials:
            if trial.state.is_finished():
                self._finished.add(trial.number)
                self._shut(trial)
        running = [t for t in trials if t.state is TrialState.RUNNING and t.number != without]
        self._held = [node for trial in running for node in self._shut(trial)]
        refused = len(self._refused)
        try:
            yield
        finally:
            for node in self._held:
                node.shut = False
            for path in self._refused[refused:]:
                self._tree.shut(path)

    def _shut(self, trial: FrozenTrial) -> list[Node]:
        path = self._path(trial)
        return self._tree.shut(path) if path is not None else []

    def _path(self, trial: FrozenTrial) -> list[Step] | None:
        """Return a trial's values as steps; None if one of them is none of the space's."""
        names = [n for n in self._encoding.names if n in trial.params] if self._structure else trial.params
        steps: list[Step] = []
        for name in names:
            distribution = self._distributions.setdefault(name, trial.distributions[name])
            index = _index(distribution, trial.params[name])
            if index is None:
                return None
            if not distribution.single():
                steps.append((name, _count(distribution), index))
        return steps

    def _untried(self) -> dict[str, Any] | None:
        """Return the next configuration that is allowed; it stays untried. Those that are not are shut."""
        assert self._structure is not None
        for _ in range(_CHECKED):
            steps = self._descend()
            if steps is None:
                return None
            params = {name: _value(self._distributions[name], index) for name, _, index in steps}
            if self._structure.allowed(params):
                return params
            self._refused.append(steps)
            self._held += self._tree.shut(steps)  # for good when what is held is released
        return params

    def _descend(self) -> list[Step] | None:
        """Return the steps to an untried configuration, or None if there is none."""
        steps: list[Step] = []
        node, row = self._tree.root, np.zeros(len(self._encoding.names))
        place = 0
        while not node.shut:
            assert self._structure is not None
            row = self._structure.settle(self._encoding, np.nan_to_num(row)[None], self._rng)[0]
            place = next((i for i in range(place, len(row)) if not np.isnan(row[i])), len(row))
            if place == len(row):
                return steps
            name = self._encoding.names[place]
            count = _count(self._distributions[name])
            node.ask(name, count)
            index = self._take(node.open())
            steps.append((name, count, index))
            row[place] = self._encoding.encode({name: _value(self._distributions[name], index)})[place]
            node, place = node.children[index], place + 1
        return None

    def _take(self, left: list[int]) -> int:
        return int(self._rng.choice(left)) if self.shuffle else left[0]

    def _all_tried(self) -> Exhausted:
        held = self._tree.root.leaves() - len(self._refused)
        return Exhausted(f"the space holds {held:,} configurations, all are tried")


def _mistake(name: str, distribution: BaseDistribution) -> str:
    assert isinstance(distribution, FloatDistribution)
    return (
        f"sampler=grid: {name} is continuous, from {distribution.low:g} to {distribution.high:g}: "
        "give it a step, or a list of values"
    )


def _count(distribution: BaseDistribution) -> int:
    """Return how many values there are; 0: a continuous number."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None:
        return int(distribution.single())
    return round((distribution.high - distribution.low) / distribution.step) + 1


def _value(distribution: BaseDistribution, index: int) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[index]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return min(distribution.low + index * (distribution.step or 0), distribution.high)


def _index(distribution: BaseDistribution, value: Any) -> int | None:
    if isinstance(distribution, CategoricalDistribution):
        try:
            return int(distribution.to_internal_repr(value))
        except ValueError:  # a choice that an older version of the space had
            return None
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if not distribution.low <= value <= distribution.high:
        return None
    step = distribution.step
    index = round((value - distribution.low) / step) if step else 0
    return index if step is None or abs(distribution.low + index * step - value) < 1e-6 * step else None
