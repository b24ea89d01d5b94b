"""Whether a search has asked for all that its space holds: then what is paused is what is left to learn."""

from __future__ import annotations

from collections.abc import Callable

import optuna

from nas.search.samplers.grid import Grid
from nas.search.spaces.conditions import Values
from nas.search.spaces.guide import Guide
from nas.search.spaces.space import Space

COUNTED = 1000
"""A larger space, rules not regarded, than this and the number of trials is not gone over."""


class Whole:
    """Compares a study's trials with its space.

    Args:
        space: what varies.
        allowed: whether a configuration may be trained.
    """

    def __init__(self, space: Space, allowed: Callable[[Values], bool]) -> None:
        self._space, self._allowed = space, allowed
        self._grid: Grid | None = None

    def is_small(self, n_trials: int) -> bool:
        """Return whether the space may hold fewer configurations than trials are wanted."""
        return self._space.size() <= max(n_trials, COUNTED)

    def is_tried(self, study: optuna.Study, n_trials: int) -> bool:
        """Return whether there are fewer configurations than trials wanted, and each was asked for.

        It goes over all of them: to be asked of a space that `is_small`.
        """
        if self._grid is None:
            self._grid = Grid(shuffle=False)
            self._grid.guide(Guide(self._space, self._allowed))
        held = self._grid.held(study)
        return held is not None and held < n_trials
