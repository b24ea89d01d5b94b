"""What predicting results from blocks and zero-cost scores is worth: correlations, and a screen replayed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nas.search.correlation import kendall_within
from nas.search.features import Features
from nas.search.predicted import LEAST, Learned, features, learn
from nas.search.proxies.agreement import SIMILAR
from nas.search.ridge import Array
from nas.search.spaces.space import Space

if TYPE_CHECKING:
    from rich.table import Table

Order = npt.NDArray[np.int64]
KNOWN = (16, 32, 64, 128)
"""So many finished lists a model learns from."""
TRAINED = (16, 32, 64)
"""After so many trained lists the best one is told."""
_GROWN = 1.1


def predictions(
    space: Space,
    rows: Sequence[Mapping[str, Any]],
    scores: Sequence[Mapping[str, float]],
    goodness: Sequence[float],
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Return what models by kinds of features order, and what a screen by them finds, over random orders.

    Args:
        space: of the lists.
        rows: their parameters.
        scores: their zero-cost scores.
        goodness: their results, the higher the better.
        draws: random orders.
        seed: of these.
    """
    every = features(Features(space), rows, scores)
    split = every.shape[1] - len(scores[0])
    kinds = {"parameters and blocks": every[:, :split], "scores": every[:, split:], "both": every}
    sizes = [told["parameters"] for told in scores]
    orders = [np.random.default_rng([seed, draw]).permutation(len(rows)) for draw in range(draws)]
    return {
        "correlations": {
            kind: {
                known: _correlations(x, goodness, sizes, orders, known)
                for known in KNOWN
                if known <= len(rows) // 2
            }
            for kind, x in kinds.items()
        },
        "found": _replayed(kinds, goodness, sizes, orders),
    }


def prediction_tables(name: str, told: Mapping[str, Any]) -> list[Table | str]:
    """Return the tables of what `predictions` returned."""
    from rich.table import Table

    title = f"{name}: Kendall's tau at similar size of predictions with results, mean ± s. d. over orders"
    first = Table("features", "lists known", "left out in turn", "of unseen lists", "trusted", title=title)
    for kind, by_known in told["correlations"].items():
        for known, found in by_known.items():
            cells = (_spread(found[key]) for key in ("left_out", "unseen"))
            first.add_row(kind, str(known), *cells, f"{statistics.fmean(found['trusted']):.0%}")
    title = f"{name}: rank of the best trained list among all (1 is best), mean ± s. d. over orders"
    second = Table("screen, keep 0.5", *(f"{n} trained" for n in TRAINED), title=title)
    for kind, ranks in told["found"].items():
        second.add_row(kind, *(_spread(found) for found in ranks.values()))
    return [first, second]


def _correlations(
    x: Array, goodness: Sequence[float], sizes: Sequence[float], orders: Sequence[Order], known: int
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"left_out": [], "unseen": [], "trusted": []}
    for order in orders:
        learned = _learned(x, goodness, sizes, order[:known])
        unseen = order[known:]
        predicted = learned.model.predict(x[unseen])
        worth, near = [goodness[i] for i in unseen], [sizes[i] for i in unseen]
        tau, _ = kendall_within(list(map(float, predicted)), worth, near, SIMILAR, samples=0)
        found["left_out"].append(learned.similar.value)
        found["unseen"].append(tau.value)
        found["trusted"].append(float(learned.trusted))
    return found


def _replayed(
    kinds: Mapping[str, Array], goodness: Sequence[float], sizes: Sequence[float], orders: Sequence[Order]
) -> dict[str, dict[int, list[float]]]:
    ranks = np.argsort(np.argsort(-np.asarray(goodness))) + 1
    size = np.asarray(sizes)[:, None]
    screens: dict[str, Array | None] = {"none": None, "size alone": size, **kinds}
    found: dict[str, dict[int, list[float]]] = {}
    for kind, x in screens.items():
        told = found[kind] = {n: [] for n in TRAINED if n <= len(goodness) // 4}
        for order in orders:
            trained = list(_trained(x, goodness, sizes, order, max(told)))
            for n, best in told.items():
                best.append(float(min(ranks[i] for i in trained[:n])))
    return found


def _trained(
    x: Array | None, goodness: Sequence[float], sizes: Sequence[float], order: Order, most: int
) -> Iterator[int]:
    """Yield the lists that are trained of those proposed in this order, as `PredictedScreen` has it."""
    seen: list[int] = []
    trained: list[int] = []
    learned: Learned | None = None
    count = 0
    for number in map(int, order):
        seen.append(number)
        if x is not None and len(trained) >= LEAST and (learned is None or len(trained) >= _GROWN * count):
            learned, count = _learned(x, goodness, sizes, np.array(trained)), len(trained)
        if x is not None and learned is not None and learned.trusted:
            predicted = learned.model.predict(x[seen])
            if (predicted > predicted[-1]).sum() >= len(seen) / 2:
                continue
        trained.append(number)
        yield number
        if len(trained) == most:
            return


def _learned(x: Array, goodness: Sequence[float], sizes: Sequence[float], chosen: Order) -> Learned:
    return learn(x[chosen], [goodness[i] for i in chosen], [sizes[i] for i in chosen])


def _spread(found: Sequence[float]) -> str:
    known = [value for value in found if value == value]
    if not known:
        return "unknown"
    return f"{statistics.fmean(known):+.2f} ± {statistics.pstdev(known):.2f}".removeprefix("+")
