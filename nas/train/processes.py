"""Whether this process trains alone or is one of several that a launcher such as torchrun started."""

from __future__ import annotations

import os
from dataclasses import dataclass

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """One process among several.

    Attributes:
        rank: its number; 0 is the main one, which writes files and talks.
        size: how many there are.
        local_rank: its number on its machine.
    """

    rank: int
    size: int
    local_rank: int


def launched() -> Place | None:
    """Return this process's place among several, by the variables that launchers set; None: it is alone."""
    if any(name not in os.environ for name in _NEEDED) or int(os.environ["WORLD_SIZE"]) < 2:
        return None
    rank = int(os.environ["RANK"])
    return Place(rank, int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", rank)))


def is_main() -> bool:
    """Return whether this process is the one that talks."""
    place = launched()
    return place is None or place.rank == 0
