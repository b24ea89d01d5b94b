"""Functions of an Optuna trial that no sampler was made for: switches, numbers, conditions, traps, noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import optuna

from nas.bench.landscapes import NK

Objective = Callable[[optuna.Trial], float]
Maker = Callable[[int], Objective]
"""Makes a function from a seed; the larger its values, the better."""


def switches(seed: int) -> Objective:
    """Return a quadratic function of 20 switches, in which one pair in three acts together."""
    rng = np.random.default_rng(seed)
    pairs = rng.standard_normal((20, 20)) * (rng.random((20, 20)) < 0.3)
    alone = rng.standard_normal(20)

    def value(trial: optuna.Trial) -> float:
        on = np.array([trial.suggest_categorical(f"switch_{i}", [False, True]) for i in range(20)], float)
        return float(on @ pairs @ on + alone @ on)

    return value


def wide(seed: int) -> Objective:
    """Return a function of 10 slots of 12 blocks in which neighbours act together."""
    rng = np.random.default_rng(seed)
    alone, pairs = rng.standard_normal((10, 12)), 0.7 * rng.standard_normal((9, 12, 12))
    blocks = [f"block_{i}" for i in range(12)]

    def value(trial: optuna.Trial) -> float:
        chosen = [blocks.index(trial.suggest_categorical(f"slot_{i}", blocks)) for i in range(10)]
        return float(
            sum(alone[i, b] for i, b in enumerate(chosen))
            + sum(pairs[i, a, b] for i, (a, b) in enumerate(itertools.pairwise(chosen)))
        )

    return value


def mixed(seed: int) -> Objective:
    """Return a function of six choices, a rate whose best depends on the first one, a share and a depth."""
    rng = np.random.default_rng(seed)
    worth, best_rate, moved = rng.standard_normal((6, 5)), rng.uniform(-4, -2), 0.7 * rng.uniform(-1, 1, 5)

    def value(trial: optuna.Trial) -> float:
        chosen = ["abcde".index(trial.suggest_categorical(f"choice_{i}", [*"abcde"])) for i in range(6)]
        rate = math.log10(trial.suggest_float("rate", 1e-5, 1e-1, log=True))
        share, depth = trial.suggest_float("share", 0.0, 0.5), trial.suggest_int("depth", 1, 12)
        apart = (rate - best_rate - moved[chosen[0]]) ** 2
        others = 1.2 * math.log(depth) - 0.1 * depth - 8 * (share - 0.15) ** 2
        return float(sum(worth[i, c] for i, c in enumerate(chosen)) - 1.5 * apart + others)

    return value


def conditional(seed: int) -> Objective:
    """Return a function that asks for a depth, then for each layer's kind, then for settings of that kind."""
    rng = np.random.default_rng(seed)
    worth, best = rng.standard_normal((8, 4)), rng.uniform(0, 1, 4)
    kinds, heads = ["conv", "attn", "mlp", "none"], [1, 2, 4, 8]

    def value(trial: optuna.Trial) -> float:
        depth, total = trial.suggest_int("depth", 2, 8), 0.0
        for i in range(depth):
            kind = trial.suggest_categorical(f"kind_{i}", kinds)
            total += worth[i, kinds.index(kind)] + 0.15
            if kind == "conv":
                total -= 2 * (trial.suggest_float(f"width_{i}", 0.0, 1.0) - best[i % 4]) ** 2
            if kind == "attn":
                total += 0.3 * (trial.suggest_categorical(f"heads_{i}", heads) == heads[i % 4])
        return float(total / math.sqrt(depth))

    return value


def contents(seed: int) -> Objective:
    """Return a function of 8 slots that mostly counts how often each of 6 blocks is there."""
    rng = np.random.default_rng(seed)
    worth, places = rng.uniform(0, 2, 6), 0.3 * rng.standard_normal((8, 6))

    def value(trial: optuna.Trial) -> float:
        chosen = ["ABCDEF".index(trial.suggest_categorical(f"slot_{i}", [*"ABCDEF"])) for i in range(8)]
        counted = worth @ np.sqrt(np.bincount(chosen, minlength=6))
        return float(counted + sum(places[i, c] for i, c in enumerate(chosen)))

    return value


def bells(seed: int) -> Objective:
    """Return a sum of five bells over six numbers."""
    rng = np.random.default_rng(seed)
    middles, heights, steep = rng.uniform(0, 1, (5, 6)), rng.uniform(0.5, 1.5, 5), rng.uniform(1, 6, (5, 6))

    def value(trial: optuna.Trial) -> float:
        at = np.array([trial.suggest_float(f"x_{i}", 0.0, 1.0) for i in range(6)])
        return float(heights @ np.exp(-(steep * (at - middles) ** 2).sum(axis=1)))

    return value


def traps(seed: int) -> Objective:
    """Return a sum over six groups of four switches that leads away from where each group is best."""
    best = np.random.default_rng(seed).integers(0, 2, 24)

    def value(trial: optuna.Trial) -> float:
        right = np.array([trial.suggest_categorical(f"switch_{i}", [0, 1]) for i in range(24)]) == best
        return float(sum(4 if count == 4 else 3 - count for count in right.reshape(6, 4).sum(axis=1)))

    return value


def triples(seed: int) -> Objective:
    """Return a sum over six triples of 8 slots, in which three act together and none by itself."""
    rng = np.random.default_rng(seed)
    parts = [(rng.choice(8, 3, replace=False), rng.standard_normal((4, 4, 4))) for _ in range(6)]

    def value(trial: optuna.Trial) -> float:
        chosen = [trial.suggest_categorical(f"slot_{i}", [0, 1, 2, 3]) for i in range(8)]
        return float(sum(table[tuple(chosen[i] for i in triple)] for triple, table in parts))

    return value


def noisy(k: int, deviation: float) -> Maker:
    """Return a maker of NK landscapes (8 slots, 6 blocks) whose values are seen with noise."""

    def make(seed: int) -> Objective:
        landscape, rng = NK(8, 6, k, seed), np.random.default_rng(seed + 7)

        def value(trial: optuna.Trial) -> float:
            params = {
                key: trial.suggest_categorical(key, values) for key, values in landscape.choices.items()
            }
            number, _ = landscape.nearest(params, set())
            true = landscape.value(number)
            trial.set_user_attr(TRUE, landscape.score(true))
            return true + deviation * float(rng.standard_normal())

        return value

    return make


TRUE = "true"
"""The user attribute of a trial of a noisy function: its score without noise."""

FUNCTIONS: dict[str, Maker] = {
    "switches": switches,
    "wide": wide,
    "mixed": mixed,
    "conditional": conditional,
    "contents": contents,
    "bells": bells,
    "traps": traps,
    "triples": triples,
    "noisy k=0": noisy(0, 0.1),
    "noisy k=1": noisy(1, 0.1),
    "very noisy k=0": noisy(0, 0.3),
    "very noisy k=1": noisy(1, 0.3),
}
"""Every function by name; the landscapes' own deviation is about 0.1."""
