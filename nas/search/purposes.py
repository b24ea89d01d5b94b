"""What a trial is trained for, beside the search itself: the user attributes that say so, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.search.baselines import BASELINE
from nas.search.replicates import REPLICATE

INHERITED = "inherited"
"""Of a trial that starts from another one's weights: ``of`` which."""
SCRATCH = "scratch"
"""Of a trial without such a parent, in a study where others have one."""
FINAL = "final"
"""Of a trial that trains another one again, from scratch, for the final ranking: its number."""
RANKED = "ranked"
"""Of a trial whose list a supernet has ranked: its ``rank``, ``value`` there, and ``of`` how many lists."""

TO_THE_END = frozenset({BASELINE, REPLICATE, SCRATCH, FINAL, RANKED})
"""Such trials are not stopped at rungs."""
APART = frozenset({SCRATCH, FINAL})
"""Trials whose values at rungs say nothing about those of others: these start from trained weights."""
EXTRA = frozenset({BASELINE, FINAL})
"""Trials beyond the number that was asked for."""


def in_words(attributes: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Return what a trial's row says of its purpose.

    Args:
        attributes: the trial's user attributes.
        facts: what is known of its run.
    """
    told = []
    if BASELINE in attributes:
        told.append(f"baseline: {attributes[BASELINE]}")
    if FINAL in attributes:
        told.append(f"trial {attributes[FINAL]} again, from scratch")
    if RANKED in attributes:
        ranked = attributes[RANKED]
        told.append(f"supernet: rank {ranked['rank']:,} of {ranked['of']:,} ({ranked['value']:.4g})")
    if INHERITED in attributes:
        slots = facts.get("inherited")
        more = f": {slots[0]} of {slots[1]} slots" if slots else ""
        told.append(f"inherited from trial {attributes[INHERITED]['of']}{more}")
    return told
