"""How far the zero-cost scores of trials order them as their results do, beyond their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.search.correlation import Correlation, kendall, kendall_within

_LEAST = 4
SIMILAR = 0.1
"""Two models are of similar size if the larger has at most this share more parameters."""


def agreement(
    scores: Sequence[Mapping[str, float]], goodness: Sequence[float]
) -> tuple[dict[str, tuple[Correlation, Correlation]], int]:
    """Return Kendall's tau of every score with the results: over all pairs, and over those of similar size.

    Args:
        scores: of each trial, by name; ``parameters`` is among them.
        goodness: of each trial, the higher the better.

    Returns:
        That by name, and how many pairs are of similar size.
    """
    sizes = [told["parameters"] for told in scores]
    found, pairs = {}, 0
    for name in scores[0]:
        own = [told[name] for told in scores]
        within, pairs = kendall_within(own, goodness, sizes, SIMILAR)
        found[name] = kendall(own, goodness), within
    return found, pairs


def in_words(scores: Sequence[Mapping[str, float]], goodness: Sequence[float], objective: str) -> list[str]:
    """Return what `agreement` found as sentences, if there are enough trials to say anything."""
    if len(scores) < _LEAST:
        return []
    found, pairs = agreement(scores, goodness)
    told = [f"{name} {every} / {within}" for name, (every, within) in found.items()]
    return [
        f"Zero-cost scores and {objective} over {len(scores)} trials, Kendall's tau (95 %) over all pairs / "
        f"over the {pairs} pairs of similar size (parameters within {SIMILAR:.0%}): {'; '.join(told)}. "
        "A score that does not beat parameters, or is near 0 at similar size, tells nothing but size."
    ]
