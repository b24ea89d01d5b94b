"""Several objectives at once: who dominates whom, the front, its knee and its hypervolume.

Values are arrays [n, M]: n candidates, M objectives, each the smaller the better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Values = Sequence[Sequence[float]] | Array


def ranks(values: Values) -> list[int]:
    """Return which front each candidate belongs to: 0 if none dominates it, 1 if only those of 0 do, ...

    One dominates another if it is nowhere worse and somewhere better; equal ones share a front.
    Efficient non-dominated sorting with binary search (Zhang et al. 2015).
    """
    told = _array(values)
    found = [0] * len(told)
    fronts: list[list[int]] = []
    for index in np.lexsort(told.T[::-1]):  # none is dominated by a later one
        row = told[index]
        low, high = 0, len(fronts)
        while low < high:
            middle = (low + high) // 2
            if _dominated_by_front(row, told, fronts[middle]):
                low = middle + 1
            else:
                high = middle
        if low == len(fronts):
            fronts.append([])
        fronts[low].append(int(index))
        found[index] = low
    return found


def front(values: Values) -> list[int]:
    """Return the indices, ascending, of the candidates that no other one dominates; equal ones all count."""
    told = _array(values)
    kept: list[int] = []
    for index in np.lexsort(told.T[::-1]):
        if not _dominated_by_front(told[index], told, kept):
            kept.append(int(index))
    return sorted(kept)


def is_dominated(row: Sequence[float], values: Values) -> bool:
    """Return whether any of ``values`` is nowhere worse than ``row`` and somewhere better."""
    told = _array(values)
    return bool(len(told)) and _dominated(np.asarray(row, float), told)


def order(values: Values) -> list[int]:
    """Return all indices, best first: by front after front, within one by how alone a candidate stands.

    Non-dominated sorting with crowding distance (Deb et al. 2002, NSGA-II). Of one objective it is the
    order of its values. Ties keep their order.
    """
    told = _array(values)
    if told.shape[1] == 1:
        return [int(i) for i in np.argsort(told[:, 0], kind="stable")]
    rank, lonely = np.array(ranks(told), int), np.zeros(len(told))
    for one in range(rank.max(initial=-1) + 1):
        members = np.flatnonzero(rank == one)
        lonely[members] = crowding(told[members])
    return [int(i) for i in np.lexsort((-lonely, rank))]


def crowding(values: Values) -> Array:
    """Return the crowding distance [n] of candidates of one front; infinite for the ends of an objective."""
    told = _array(values)
    distance = np.zeros(len(told))
    for column in told.T:
        ranks = np.argsort(column, kind="stable")
        spread = column[ranks[-1]] - column[ranks[0]]
        distance[ranks[[0, -1]]] = np.inf
        if spread > 0:
            distance[ranks[1:-1]] += (column[ranks[2:]] - column[ranks[:-2]]) / spread
    return distance


def knee(values: Values) -> int:
    """Return the index of the candidate of a front that gives up least of everything.

    Objectives are scaled to 0 .. 1 over the front; the knee lies farthest below the plane through the
    ends of the axes (Das 1999), where the sum of the scaled objectives is smallest. Ties go to the
    better first objective.
    """
    told = _array(values)
    low, spread = told.min(axis=0), np.ptp(told, axis=0)
    scaled = (told - low) / np.where(spread > 0, spread, 1.0)
    total = scaled.sum(axis=1).round(12)
    return int(np.lexsort((scaled[:, 0], total))[0])


def reference_point(values: Values) -> list[float]:
    """Return the point from which the hypervolume of a front is measured.

    A tenth of the front's extent beyond its worst value of each objective, so that its ends count too.
    """
    told = _array(values)
    spread = np.ptp(told, axis=0)
    room = np.where(spread > 0, spread, np.maximum(np.abs(told).max(axis=0), 1e-12))
    return [float(v) for v in told.max(axis=0) + 0.1 * room]


def hypervolume(values: Values, reference: Sequence[float]) -> float:
    """Return the volume that ``values`` dominate below a reference point.

    Exact, by slicing along the last objective (Zitzler 1999; While et al. 2006): quick for two and three
    objectives and for fronts of some dozens.
    """
    told = _array(values)
    limit = np.asarray(reference, float)
    inside = told[(told < limit).all(axis=1)] if len(told) else told
    return _volume(inside[front(inside)], limit) if len(inside) else 0.0


def _volume(points: Array, limit: Array) -> float:
    if points.shape[1] == 1:
        return float(limit[0] - points[:, 0].min())
    ranked = points[np.argsort(points[:, -1], kind="stable")]
    edges = np.append(ranked[1:, -1], limit[-1]) - ranked[:, -1]
    volume = 0.0
    for count, height in enumerate(edges, start=1):
        if height > 0:
            below = ranked[:count, :-1]
            volume += float(height) * _volume(below[front(below)], limit[:-1])
    return volume


def _dominated_by_front(row: Array, values: Array, members: list[int]) -> bool:
    """Return whether a front, in lexical order, dominates a row that comes after all of it in that order."""
    if not members:
        return False
    if len(row) > 2:
        return _dominated(row, values[members])
    last = values[members[-1]]  # of two objectives, the best in the second
    return bool((last <= row).all() and (last < row).any())


def _dominated(row: Array, others: Array) -> bool:
    return bool(((others <= row).all(axis=1) & (others < row).any(axis=1)).any())


def _array(values: Values) -> Array:
    told = np.asarray(values, dtype=float)
    return told.reshape(len(told), -1) if told.size else np.empty((0, 1))
