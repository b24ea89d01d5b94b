"""What the samplers of this package share: a whole configuration is proposed at once, never one twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.history import History, Reader, key


class ProposingSampler(optuna.samplers.BaseSampler):
    """An Optuna sampler that proposes from the history of a study.

    The space is that of all parameters seen so far, so the very first trial is random, as is a
    parameter that appears for the first time; what a proposed configuration does not ask for is
    ignored. Trials that run elsewhere count as asked for. A subclass defines `propose`.

    Args:
        seed: of the sampler's own random stream; None: another each time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._rng = np.random.default_rng(seed)
        self._independent = optuna.samplers.RandomSampler(seed)
        self._reader = Reader()
        self._known: tuple[Encoding, History] | None = None

    def propose(self, encoding: Encoding, history: History) -> Array:
        """Return a row [N] to try next; `fresh` gives a random one that was not tried."""
        raise NotImplementedError

    def fresh(self, encoding: Encoding, history: History, candidates: Array | None = None) -> Array:
        """Return the first of ``candidates`` [M, N] that was never asked for, or else a random row.

        If all configurations were asked for, any may come again.
        """
        asked = history.asked
        for row in candidates if candidates is not None else ():
            if key(row) not in asked:
                chosen: Array = row
                return chosen
        drawn = encoding.random(self._rng, 100)
        return next((row for row in drawn if key(row) not in asked), drawn[0])

    def reseed_rng(self) -> None:
        """Take another random stream: Optuna calls it in parallel workers."""
        self._rng = np.random.default_rng()
        self._independent.reseed_rng()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter that was seen and has more than one value."""
        self._known = self._reader.read(study, without=trial.number)
        return dict(self._known[0].space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of a proposal."""
        if not search_space or self._known is None:
            return {}
        encoding, history = self._known
        return encoding.decode(self.propose(encoding, history))

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a random value for a parameter that was never seen."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)
