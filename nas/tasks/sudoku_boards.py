"""Sudoku boards in batches: solved ones, and puzzles that have exactly one solution.

Legend: C cells of a board, N boards. The candidates of a cell are the bits of an integer, bit d for
digit d + 1; arrays are [C, N], so that every operation runs along many boards at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.int16]
Flags = NDArray[np.bool_]


class Boards:
    """The rules for boards of ``box`` x ``box`` boxes, each of so many cells.

    Args:
        box: 2 for boards of 4 x 4, 3 for 9 x 9.
    """

    def __init__(self, box: int) -> None:
        self.box = box
        self.size = size = box * box
        self.full = np.int16((1 << size) - 1)
        cells = np.arange(size * size)
        rows, columns = cells // size, cells % size
        boxes = rows // box * box + columns // box
        kinds = np.stack([rows, size + columns, 2 * size + boxes])
        self.units_of = kinds  # [3, C]: the row, the column and the box of a cell
        self.units = np.stack([np.flatnonzero((kinds == u).any(0)) for u in range(3 * size)])  # [U, size]

    def solved(self, rng: np.random.Generator, count: int) -> Bits:
        """Make random solved boards [C, count].

        Boxes on the diagonal are random; the rest is guessed cell by cell, and begun again where
        that leads nowhere. All solved boards are possible, not all are equally likely.
        """
        boards = self._begun(rng, count)
        while True:
            boards, alive = self.narrowed(boards)
            dead = np.flatnonzero(~alive)
            boards[:, dead] = self._begun(rng, len(dead))
            open_boards = np.flatnonzero((boards & (boards - 1)).any(0))
            if not len(open_boards):
                return boards
            self._guess(boards, open_boards, rng)

    def puzzles(self, rng: np.random.Generator, solutions: Bits, givens: int) -> Flags:
        """Say which cells of solved boards to show [C, N], so that no other solution fits.

        Cells are hidden in random order, each if the solution stays unique, until ``givens`` are left.
        A board that no longer has such a cell keeps more.
        """
        cells, count = solutions.shape
        shown = np.ones((cells, count), bool)
        order = rng.permuted(np.repeat(np.arange(cells)[:, None], count, axis=1), axis=0)
        for tried in order:
            asked = np.flatnonzero(shown.sum(0) > givens)
            cell, solution = tried[asked], solutions[:, asked]
            boards = np.where(shown[:, asked], solution, self.full)
            # with this digit alone excluded: a second solution, if there is one
            here = np.arange(len(asked))
            boards[cell, here] = self.full & ~solution[cell, here]
            shown[cell, asked] = self.solvable(boards)
        return shown

    def solvable(self, boards: Bits) -> Flags:
        """Tell which boards [C, N] have a solution, searching all of them at once."""
        found = np.zeros(boards.shape[1], bool)
        owner = np.arange(boards.shape[1])
        while boards.shape[1]:
            boards, alive = self.narrowed(boards)
            ambiguous = (boards & (boards - 1)).any(0)
            found[owner[alive & ~ambiguous]] = True
            left = alive & ~found[owner]
            boards, owner = _split(boards[:, left]), np.tile(owner[left], 2)
        return found

    def narrowed(self, boards: Bits) -> tuple[Bits, Flags]:
        """Exclude what the rules exclude at once; also tell which boards have no contradiction [N]."""
        boards = boards.copy()
        alive = np.ones(boards.shape[1], bool)
        active = np.arange(boards.shape[1])
        while len(active):
            before = boards[:, active]
            after, fine = self._pass(before)
            boards[:, active] = after
            alive[active] = fine
            active = active[fine & (after != before).any(0)]
        return boards, alive

    def _pass(self, boards: Bits) -> tuple[Bits, Flags]:
        """Exclude digits that stand elsewhere in a unit; set digits that have one place left in a unit."""
        once, twice, placed, clash = np.zeros((4, len(self.units), boards.shape[1]), np.int16)
        settled = np.where(boards & (boards - 1), np.int16(0), boards)
        for cells in self.units.T:
            candidates, digit = boards[cells], settled[cells]
            clash |= placed & digit
            placed |= digit
            twice |= once & candidates
            once |= candidates
        fine: Flags = ((clash == 0) & (once == self.full)).all(0) & boards.all(0)
        row, column, box = self.units_of
        taken = placed[row] | placed[column] | placed[box]
        boards = np.where(settled, settled, boards & ~taken)
        single = once & ~twice
        forced = boards & (single[row] | single[column] | single[box])
        return np.where(forced, forced, boards), fine

    def _begun(self, rng: np.random.Generator, count: int) -> Bits:
        boards = np.full((self.size**2, count), self.full, np.int16)
        for number in range(self.box):
            cells = self.units[2 * self.size + number * (self.box + 1)]
            digits = rng.permuted(np.tile(np.arange(self.size), (count, 1)), axis=1)
            boards[cells] = (1 << digits.T).astype(np.int16)
        return boards

    def _guess(self, boards: Bits, numbers: NDArray[np.int64], rng: np.random.Generator) -> None:
        cell = _most_certain(boards[:, numbers])
        bits = (boards[cell, numbers][:, None] >> np.arange(self.size)) & 1
        chosen = np.argmax(bits * rng.random(bits.shape), axis=1)
        boards[cell, numbers] = (1 << chosen).astype(np.int16)


def _most_certain(boards: Bits) -> NDArray[np.int64]:
    """Return, for every board, an open cell with the fewest candidates [N]."""
    counts = np.bitwise_count(boards).astype(np.int16)
    cells: NDArray[np.int64] = np.where(counts > 1, counts, 99).argmin(0)
    return cells


def _split(boards: Bits) -> Bits:
    """Return each board twice: with one candidate of an open cell, and without it."""
    here = np.arange(boards.shape[1])
    cell = _most_certain(boards)
    lowest = boards[cell, here] & -boards[cell, here]
    with_it, without = boards.copy(), boards.copy()
    with_it[cell, here] = lowest
    without[cell, here] &= ~lowest
    return np.concatenate([with_it, without], axis=1)
