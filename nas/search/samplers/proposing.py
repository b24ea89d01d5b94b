"""What the samplers of this package share: a whole configuration is proposed at once, never one twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.history import History
from nas.search.samplers.reader import Reader
from nas.search.samplers.streams import Streams
from nas.search.samplers.structure import Structure
from nas.search.samplers.turn import Turn

_CHECKED = 500
"""After so many candidates that are not allowed, a proposal is left to chance."""
_DRAWN = 32
"""Where what is asked for next can't be new for sure, the rarest of so many random values is taken."""


class ProposingSampler(optuna.samplers.BaseSampler):
    """An Optuna sampler that proposes from the history of a study.

    The space is that of all parameters seen so far, so the very first trial is random, as is a
    parameter that appears for the first time; of threads that meet one at once, each gets another
    value, as far as there are enough. What a proposed configuration does not ask for is ignored.
    Trials that run elsewhere count as asked for. A subclass defines `propose`.

    Each trial has a random stream of its own, by its number: a search that was interrupted goes on as
    if it had not been, as far as a sampler learns nothing on the way.

    Args:
        seed: of the random streams; None: another each time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._streams = Streams(seed)
        self._rng = self._streams.of(0)
        self._independent = optuna.samplers.RandomSampler(seed)
        self._reader = Reader()
        self._turn = Turn()

    def guide(self, structure: Structure) -> None:
        """Tell the sampler what is known of the space beyond the distributions of past trials."""
        self._reader = Reader(structure)

    def propose(self, encoding: Encoding, history: History) -> Array:
        """Return a row [N] to try next; `fresh` gives a random one that was not tried."""
        raise NotImplementedError

    def fresh(self, encoding: Encoding, history: History, candidates: Array | None = None) -> Array:
        """Return the first of ``candidates`` [M, N] that was never asked for, or else a random row.

        What a structure does not allow is passed by. If nothing else is found, any may come again.
        """
        rows = (encoding.filled(row, self._rng) for row in self._candidates(encoding, candidates))
        choose = self._unlike_others if encoding.structure is None else self._first_allowed
        return choose(encoding, history, rows)

    def _first_allowed(self, encoding: Encoding, history: History, rows: Iterable[Array]) -> Array:
        """Return the first of some rows of a space that is known."""
        new = (row for row in rows if not history.holds(row))
        for row in itertools.islice(new, _CHECKED):
            if encoding.allowed(row):
                return row
        last: Array = encoding.random(self._rng, 1)[0]
        return last

    def _unlike_others(self, encoding: Encoding, history: History, rows: Iterable[Array]) -> Array:
        """Return the first of some rows that no other trial has or may come to, or else the rarest."""
        perhaps = []
        for row in rows:
            if history.repeats(row):
                continue
            if not history.may_repeat(row):
                return row
            perhaps.append(row)
        return history.rarest(np.array(perhaps) if perhaps else encoding.random(self._rng, _DRAWN))

    def _candidates(self, encoding: Encoding, given: Array | None) -> Iterator[Array]:
        yield from given if given is not None else ()
        for _ in range(1 if encoding.structure is None else 5):
            yield from encoding.random(self._rng, 100)

    def reseed_rng(self) -> None:
        """Optuna calls it in parallel workers: their trials have other numbers, and so other streams."""
        self._independent.reseed_rng()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter that was seen and has more than one value."""
        with self._turn:
            return dict(self._reader.encoding(study, without=trial.number).space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of a proposal."""
        if not search_space:
            return {}
        with self._turn:  # another thread may have asked since: what it proposed runs
            self._rng = self._streams.of(trial.number)
            encoding, history = self._reader.read(study, without=trial.number)
            proposed = encoding.decode(self.propose(encoding, history))
            # By now there may be more parameters, or some are another sampler's.
            promised = {name: value for name, value in proposed.items() if name in search_space}
            self._reader.promise(trial.number, promised)
            return promised

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a random value for a parameter that was never seen, unlike those of like trials."""
        with self._turn:
            taken = self._reader.like(study, trial, param_name)
            drawn = (
                self._independent.sample_independent(study, trial, param_name, param_distribution)
                for _ in range(_DRAWN)
            )
            value = _rarest(drawn, taken)
            self._reader.promise(trial.number, {param_name: value})
            return value


def _rarest(drawn: Iterator[Any], taken: list[Any]) -> Any:
    """Return the first value that was not taken, or else the first of those that were most rarely."""
    seen: list[Any] = []
    for value in drawn:
        if value not in taken:
            return value
        seen.append(value)
    return min(seen, key=taken.count)
