"""What a search is compared with at equal budget: random candidates, and the largest ones."""

from __future__ import annotations

import random
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas import pareto
from nas.errors import InputError
from nas.search.gate import Gate
from nas.search.objectives import Objectives, signed
from nas.search.pricing import Pricing
from nas.search.spaces.literals import Scalar
from nas.seeding import derive

BASELINE = "baseline"
"""The user attribute of a trial that the sampler did not propose: ``random`` or ``largest``."""

KINDS = ("random", "largest")
_SAMPLES = 400


class Baselines:
    """Proposes the baselines' candidates, the same ones whenever it is asked.

    Args:
        gate: what may be trained.
        pricing: tells sizes.
        count: candidates of each kind.
        seed: of the study.
    """

    def __init__(self, gate: Gate, pricing: Pricing, count: int, seed: int) -> None:
        self.count = count
        self._gate, self._pricing, self._seed = gate, pricing, seed
        self._largest: list[dict[str, Scalar]] = []

    def proposal(self, index: int) -> tuple[str, dict[str, Scalar]]:
        """Return the kind and the parameters of a candidate; ``index`` counts both kinds."""
        if index < self.count:
            drawn = self._gate.sample(self._stream(index))
            assert drawn is not None  # a plan without any is refused
            return KINDS[0], drawn
        if not self._largest:
            self._largest = self._find_largest()
        return KINDS[1], self._largest[(index - self.count) % len(self._largest)]

    def _find_largest(self) -> list[dict[str, Scalar]]:
        stream = self._stream(-1)
        drawn = [self._gate.sample(stream) for _ in range(_SAMPLES)]
        known = {tuple(values.items()): values for values in drawn if values is not None}
        return sorted(known.values(), key=self._parameters, reverse=True)[: self.count]

    def _parameters(self, values: dict[str, Scalar]) -> float:
        try:
            return self._pricing.costs(self._gate.judge(values).changes)["cost/parameters"]
        except InputError:  # it cannot be built
            return 0.0

    def _stream(self, index: int) -> random.Random:
        return random.Random(derive(self._seed, "baseline", index))


def compared(trials: list[FrozenTrial], objectives: Objectives) -> dict[str, dict[str, Any]] | None:
    """Return how good each baseline is, and as many of the search's first trials; None without any.

    Of one objective that is the best value, of several the share of the hypervolume of all of them.

    Args:
        trials: of a study, those that were refused left out.
        objectives: of the study.
    """
    kinds = {kind: [t for t in trials if t.user_attrs.get(BASELINE) == kind] for kind in KINDS}
    kinds = {kind: found for kind, found in kinds.items() if any(map(_done, found))}
    if not kinds:
        return None
    own = [t for t in trials if BASELINE not in t.user_attrs]
    count = max(len(found) for found in kinds.values())
    sets = {"search": own[:count], **kinds}
    values = {
        kind: [signed(objectives, trial.values) for trial in found if _done(trial)]
        for kind, found in sets.items()
    }
    best = _shares(values) if len(objectives) > 1 else _best(values, objectives[0].sign)
    return {kind: {"trials": len(found), "best": best[kind]} for kind, found in sets.items()}


def in_words(told: dict[str, dict[str, Any]], objectives: Objectives) -> str:
    """Return what `compared` found as a sentence."""
    what = "Best" if len(objectives) == 1 else "Share of the common hypervolume"
    names = {"search": "the search's first", "random": "random", "largest": "largest first"}
    parts = [
        f"{names[kind]} {found['trials']} {found['best']:.4g}"
        for kind, found in told.items()
        if found["best"] is not None
    ]
    return f"{what} at equal budget: {', '.join(parts)}."


def _done(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.COMPLETE and bool(trial.values)


def _best(values: dict[str, list[list[float]]], sign: int) -> dict[str, float | None]:
    return {kind: sign * min(v for [v] in found) if found else None for kind, found in values.items()}


def _shares(values: dict[str, list[list[float]]]) -> dict[str, float | None]:
    """Return which share of what all dominate together each dominates, from one reference point."""
    every = [row for found in values.values() for row in found]
    front = [every[i] for i in pareto.front(every)]
    reference = pareto.reference_point(front)
    whole = pareto.hypervolume(front, reference)
    return {kind: pareto.hypervolume(found, reference) / whole for kind, found in values.items()}
