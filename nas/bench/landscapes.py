"""Landscapes: what a sampler is to search, with an answer for every configuration and no training."""

from __future__ import annotations

import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution

from nas.errors import InputError

Params = dict[str, Any]
Array = npt.NDArray[np.float64]


class Landscape(ABC):
    """Values of configurations; the larger the better.

    Attributes:
        name: in tables.
        choices: parameter to its values.
    """

    name: str
    choices: dict[str, list[Any]]

    @abstractmethod
    def nearest(self, params: Params, asked: set[int]) -> tuple[int, Params]:
        """Return the configuration that stands for a proposal: its number, and its own parameters."""

    @abstractmethod
    def value(self, number: int) -> float:
        """Return the value of a configuration."""

    @abstractmethod
    def score(self, best: float) -> float:
        """Return what is reported for the best value found so far."""

    @property
    @abstractmethod
    def better(self) -> str:
        """Return whether ``higher`` or ``lower`` scores are the better ones."""


def distributions(choices: Mapping[str, Sequence[Any]]) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each parameter, given its values."""
    return {name: CategoricalDistribution(tuple(values)) for name, values in choices.items()}


class NK(Landscape):
    """A random function of lists in which each slot's worth depends on k others (Kauffman 1987).

    The score is the best found, as a share of the way from the worst to the best there is.

    Args:
        slots: the list's length.
        blocks: choices of each slot.
        k: 0 is additive; the larger, the more rugged.
        seed: of the function.
    """

    better = "higher"

    def __init__(self, slots: int, blocks: int, k: int, seed: int) -> None:
        self.name = f"nk {slots}x{blocks} k={k}"
        self.slots, self.blocks, self.k = slots, blocks, k
        self.choices = {f"slot.{i}": list(range(blocks)) for i in range(slots)}
        self.tables = np.random.default_rng(seed).random((slots, *(blocks,) * (k + 1)))
        self._low, self._high = -self._highest(-self.tables), self._highest(self.tables)

    def nearest(self, params: Params, asked: set[int]) -> tuple[int, Params]:
        """Return the proposal itself."""
        values = [int(params[f"slot.{i}"]) for i in range(self.slots)]
        return int(np.ravel_multi_index(values, (self.blocks,) * self.slots)), params

    def value(self, number: int) -> float:
        """Return the mean of the slots' worths."""
        values = np.unravel_index(number, (self.blocks,) * self.slots)
        places = [tuple(values[(i + j) % self.slots] for j in range(self.k + 1)) for i in range(self.slots)]
        return float(np.mean([table[place] for table, place in zip(self.tables, places, strict=True)]))

    def score(self, best: float) -> float:
        """Return the share of the way from the lowest to the highest value."""
        return (best - self._low) / (self._high - self._low)

    def _highest(self, tables: Array) -> float:
        """Return the highest value there is, by dynamic programming around the ring of slots."""
        k = self.k
        if k == 0:
            return float(tables.max(axis=1).mean())
        best = -np.inf
        for start in np.ndindex(*(self.blocks,) * k):  # the first k slots, fixed
            reach = np.full((self.blocks,) * k, -np.inf)
            reach[start] = 0.0
            for i in range(self.slots - k):  # from slots i .. i+k-1 to i+1 .. i+k
                reach = (reach[..., None] + tables[i]).max(axis=0)
            total = reach
            for i in range(self.slots - k, self.slots):  # the ring closes: the next slots are the first
                known = start[i - (self.slots - k)]
                total = (
                    (total[..., None] + tables[i])[..., known].max(axis=0)
                    if k == 1
                    else (
                        (total[..., None] + tables[i])[..., known].max(axis=0)[..., None]
                        + np.where(np.arange(self.blocks) == known, 0.0, -np.inf)
                    )
                )
            best = max(best, float(total.max()))
        return best / self.slots


class Recorded(Landscape):
    """A table of configurations that somebody trained; a proposal stands for its nearest untried row.

    The score is the rank of the best found, 1 the best of the table.
    """

    better = "lower"

    def __init__(self, name: str, rows: list[Params], values: list[float], sizes: list[float]) -> None:
        self.name, self.rows, self.values, self.sizes = name, rows, np.array(values), sizes
        names = list(dict.fromkeys(key for row in rows for key in row))
        self.choices = {n: sorted({row[n] for row in rows if n in row}, key=str) for n in names}
        self._codes = np.array([self._code(row) for row in rows])

    def nearest(self, params: Params, asked: set[int]) -> tuple[int, Params]:
        """Return the untried row that differs in the fewest parameters."""
        apart = (self._codes != self._code(params)).sum(axis=1).astype(np.float64)
        apart[list(asked)] = np.inf
        number = int(apart.argmin())
        return number, self.rows[number]

    def value(self, number: int) -> float:
        """Return what was recorded."""
        return float(self.values[number])

    def score(self, best: float) -> float:
        """Return the rank."""
        return 1.0 + float((self.values > best).sum())

    def size(self, number: int) -> float:
        """Return how large a configuration is, for largest-first."""
        return self.sizes[number]

    def _code(self, params: Mapping[str, Any]) -> list[int]:
        return [options.index(params[k]) if k in params else -1 for k, options in self.choices.items()]


@functools.cache
def nas_bench_bert(path: Path, cell: tuple[int, int] | None = None) -> Recorded:
    """Return the mean GLUE scores of NAS-Bench-BERT (Serianni & Kalita 2023).

    Args:
        path: its JSON file.
        cell: only encoders of this hidden size and number of layers, where size can not help.

    Raises:
        InputError: the file is not there or is another.
    """
    try:
        entries = [e for e in json.loads(path.read_text()) if e["completed"]]
        parsed = [(_bert_params(e), float(e["scores"]["glue"])) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"bench.nas_bench_bert={str(path)!r} is not NAS-Bench-BERT's JSON: {error}"
        ) from error
    kept = [(p, v) for p, v in parsed if cell in (None, (p["hidden"], p["layers"]))]
    name = "nas-bench-bert" + (f" {cell[0]}x{cell[1]}" if cell else "")
    return Recorded(name, [p for p, _ in kept], [v for _, v in kept], [_bert_size(p) for p, _ in kept])


def _bert_params(entry: dict[str, Any]) -> Params:
    settings = entry["hparams"]["model_hparam_overrides"]
    layers = settings["nas_config"]["encoder_layers"]
    params: Params = {"hidden": settings["hidden_size"], "layers": len(layers)}
    for i, layer in enumerate(layers):
        params[f"operation.{i}"] = f"{layer['operation_type']} {layer['operation_parameter']}"
        params[f"heads.{i}"] = layer["num_operation_heads"]
        params[f"inner_dim.{i}"] = layer["feed_forward_dimension"]
        params[f"feedforwards.{i}"] = layer["num_feed_forward"]
    return params


def _bert_size(params: Params) -> float:
    """Return roughly how many weights the layers have: projections and feed-forwards."""
    width = params["hidden"]
    inner = sum(params[f"inner_dim.{i}"] * params[f"feedforwards.{i}"] for i in range(params["layers"]))
    return float(4 * width * width * params["layers"] + 2 * width * inner)
