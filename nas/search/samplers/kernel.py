"""A kernel over configurations that learns which parameters matter, and how they act together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.likeness import Likeness

PARTS = {
    "alone": 0.35,
    "pairs": 0.15,
    "together": 0.35,
    "ordered": 0.1,
    "neighbours": 0.05,
    "counts": 0.05,
    "bigrams": 0.05,
}
"""The parts of the variance, and how large each is expected to be.

Parameters by themselves; any two of them; all of them at once; the same with choices that are numbers
compared by their order; and of lists: neighbouring places, how often each choice is made, and which choices
follow each other, wherever they stand.
"""
_OF_LISTS = ("neighbours", "counts", "bigrams")
_SHARPNESS = 3.0
"""How fast covariance of all parameters at once is expected to fall with the parameters that differ."""
_NOISE, _LEAST_NOISE = 0.02, 1e-4
"""The variance of chance: what is expected, and the least; the whole of the rest is 1."""
_SPREAD = 0.6
"""How far the logarithms of relevances are expected to lie apart; where few parameters matter, it is more."""
_SURE = {"relevance": 1.0, "spread": 0.7, "sharpness": 1.0, "shares": 1.0, "noise": 1.5}
"""The deviations of the logarithms of the settings from what is expected."""
_ROOT5 = 5**0.5


@dataclass(frozen=True)
class Layout:
    """Where the settings stand in one vector: relevances [N], their spread, sharpness, shares, noise.

    All are logarithms; those of the relevances are in units of their spread, so that one finding, that
    few parameters matter, makes room for all of them to differ.
    """

    parameters: int
    parts: tuple[str, ...]

    @classmethod
    def of(cls, encoding: Encoding) -> Layout:
        """Return the layout for a space; a part that could tell nothing is left out."""
        parameters = len(encoding.names)
        without = (() if encoding.lists else _OF_LISTS) + (() if parameters > 1 else ("pairs",))
        without += () if encoding.places else ("ordered",)
        return cls(parameters, tuple(part for part in PARTS if part not in without))

    @property
    def expected(self) -> Array:
        """The settings before anything is known."""
        shares = [np.log(PARTS[part]) for part in self.parts]
        spread, sharpness = np.log(_SPREAD), np.log(_SHARPNESS)
        return np.array([*np.zeros(self.parameters), spread, sharpness, *shares, np.log(_NOISE)])

    @property
    def deviation(self) -> Array:
        """How far the settings may well be from those."""
        sure, shares = _SURE, [_SURE["shares"]] * len(self.parts)
        apart = [*[sure["relevance"]] * self.parameters, sure["spread"]]
        return np.array([*apart, sure["sharpness"], *shares, sure["noise"]])


class Kernel:
    """Covariances by one vector of settings.

    Args:
        layout: what stands where.
        settings: logarithms.
    """

    def __init__(self, layout: Layout, settings: Array) -> None:
        self.layout = layout
        n = layout.parameters
        self._spread = float(np.exp(settings[n]))
        self._apart = self._spread * settings[:n]
        self.relevance = _softmax(self._apart)
        self.weights = np.exp(settings[n + 1]) * self.relevance
        self.shares = _softmax(settings[n + 2 : -1])
        self._chance = float(np.exp(settings[-1]))

    @property
    def noise(self) -> float:
        """The variance of chance."""
        return _LEAST_NOISE + self._chance

    def covariance(self, likeness: Likeness) -> Array:
        """Return the covariances [A, B]; 1 for equal rows."""
        return self.total(self.terms(likeness))

    def terms(self, likeness: Likeness) -> Terms:
        """Return the parts [A, B] of the covariance, and what their gradients need."""
        alone = likeness.alike(self.relevance)
        squares = likeness.squares(self.relevance**2)
        pairs = (alone**2 - squares) / self._off_diagonal
        joint = {"together": self._joint(likeness, ordered=False)}
        if "ordered" in self.layout.parts:
            joint["ordered"] = self._joint(likeness, ordered=True)
        found = {"alone": alone, "pairs": pairs, **{part: values for part, (values, _) in joint.items()}}
        if "counts" in self.layout.parts:
            found["neighbours"] = likeness.neighbours
            found["counts"] = np.exp(-2 * (1 - likeness.counts))
            found["bigrams"] = np.exp(-2 * (1 - likeness.bigrams))
        slopes = {part: slope for part, (_, slope) in joint.items()}
        return Terms({part: found[part] for part in self.layout.parts}, squares, slopes)

    def _joint(self, likeness: Likeness, ordered: bool) -> tuple[Array, Array]:
        """Return the covariance of all parameters at once, and its slope in the squared distance."""
        choices = np.exp(-likeness.differing(self.weights, ordered))
        if not ordered and not len(likeness.encoding.numeric):
            return choices, choices
        h = np.sqrt(likeness.apart(self.weights, ordered))
        decay = np.exp(-_ROOT5 * h) * choices
        return (1 + _ROOT5 * h + 5 / 3 * h * h) * decay, -5 / 6 * (1 + _ROOT5 * h) * decay  # Matern 5/2

    def total(self, terms: Terms) -> Array:
        """Return the covariances [A, B] that parts add up to."""
        total = sum(share * part for share, part in zip(self.shares, terms.parts.values(), strict=True))
        return np.asarray(total)

    @property
    def _off_diagonal(self) -> float:
        return max(1.0 - float((self.relevance**2).sum()), 1e-9)

    def gradient(self, likeness: Likeness, terms: Terms, weight: Array) -> Array:
        """Return the derivative of the sum of ``weight`` [A, A] times noisy covariances by each setting."""
        by_part = np.array([float((weight * part).sum()) for part in terms.parts.values()])
        by_share = self.shares * (by_part - float(self.shares @ by_part))
        by_parameter, by_sharpness = self._by_parameter(likeness, terms, weight)
        by_spread = float(self._apart @ by_parameter)
        by_noise = self._chance * float(np.trace(weight))
        return np.array([*self._spread * by_parameter, by_spread, by_sharpness, *by_share, by_noise])

    def _by_parameter(self, likeness: Likeness, terms: Terms, weight: Array) -> tuple[Array, float]:
        """Return the derivatives by the logarithms of the relevances [N] and by that of the sharpness."""
        share = dict(zip(self.layout.parts, self.shares, strict=True))
        r, alone = self.relevance, terms.parts["alone"]
        joint = [weight * terms.parts[part] for part in terms.slopes]
        seen = np.stack([weight, weight * alone, *joint], axis=-1).reshape(weight.size, -1)
        plain, crossed, *jointly = (likeness.each.reshape(len(r), -1) @ seen).T
        by_relevance = share["alone"] * r * (plain - float((weight * alone).sum()))
        if "pairs" in share:
            cross = r * (crossed - float((weight * alone**2).sum()))
            squared = plain.copy()  # choices are alike or not: 1 or 0
            for i, closeness in zip(likeness.encoding.numeric, likeness.closeness, strict=True):
                squared[i] = float((weight * closeness**2).sum())
            own = 2 * r * (r * squared - float((weight * terms.squares).sum()))
            rest = 2 * r * (r - float(r @ r)) * float((weight * terms.parts["pairs"]).sum())
            by_relevance += share["pairs"] * (2 * cross - own + rest) / self._off_diagonal
        by_sharpness = 0.0
        for part, told, weighed in zip(terms.slopes, jointly, joint, strict=True):
            by_weight = told - float(weighed.sum())
            ordered = part == "ordered"
            columns = likeness.encoding.measured[: None if ordered else len(likeness.encoding.numeric)]
            by_weight[columns] = likeness.distances(weight * terms.slopes[part], ordered)
            by_weight[columns] -= likeness.lacking(weighed, ordered)
            by_weight *= self.weights
            by_sharpness += share[part] * float(by_weight.sum())
            by_relevance += share[part] * (by_weight - r * float(by_weight.sum()))
        return by_relevance, by_sharpness


class Terms(NamedTuple):
    """Parts of a covariance [A, B] by name; the sum of squared relevances; slopes in the squared distance."""

    parts: dict[str, Array]
    squares: Array
    slopes: dict[str, Array]


def _softmax(logs: Array) -> Array:
    raised = np.exp(logs - logs.max())
    return np.asarray(raised / raised.sum())
