"""Mazes: mark the way from start to goal where there is only one."""

from __future__ import annotations

import numpy as np

from nas.errors import InputError
from nas.tasks.generated import Ids, Rows
from nas.tasks.grid import GridTask
from nas.tasks.scoring import IGNORED

WALL, FLOOR, START, GOAL, ON_PATH, OFF_PATH = range(6)
STEPS = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])


class Maze(GridTask):
    """A random maze without loops, row by row: for each floor cell, is it on the way?

    After the task Maze-Hard of the Hierarchical and the Tiny Recursive Model (Wang et al. 2025, arXiv
    2506.21734; Jolicoeur-Martineau 2025, arXiv 2510.04871): 30 x 30 cells, 1,000 training mazes and
    their turned and mirrored images. Differences: there, mazes are random walls of which those with
    a shortest way above 110 cells were kept; here they are trees, grown depth first from the start
    (rooms at even rows and columns, walls between them opened), so that the shortest way is the
    only one; walls, start and goal are not scored.

    Args:
        side: cells in a row; the mazes have (side + 1) // 2 rooms in a row.
        min_path: the goal is at least this many steps from the start, or as far as there is one.
        augment: use turned and mirrored images of the training mazes.
        train_examples: how many different training mazes there are; null makes new ones forever.
        validation_examples: how many mazes are evaluated.

    Raises:
        InputError: the maze is too small, or ``min_path`` longer than any way in it.
    """

    def __init__(
        self,
        side: int = 9,
        min_path: int = 8,
        augment: bool = True,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        if side < 3:
            raise InputError(f"task.side={side} must be at least 3: a maze of two rooms in a row")
        self.rooms = (side + 1) // 2
        longest = 2 * (self.rooms**2 - 1)
        if not 2 <= min_path <= longest:
            raise InputError(
                f"task.min_path={min_path} must be between 2 and {longest}, "
                f"the longest way through task.side={side}"
            )
        super().__init__(side, augment, train_examples, validation_examples)
        self.min_path = min_path
        self.vocab_size = OFF_PATH + 1

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make mazes; all splits are alike."""
        parents, depth = self._trees(rng, count)
        here = np.arange(count)
        start = np.argmin(depth, axis=1)
        far = np.minimum(self.min_path // 2 + self.min_path % 2, depth.max(1))[:, None]
        goal = np.argmax((depth >= far) * rng.random(depth.shape), axis=1)
        tokens = np.full((count, self.seq_length), WALL)
        self._open(tokens, parents)
        on_path = self._way(parents, goal)
        asked = tokens == FLOOR
        for room, token in ((start, START), (goal, GOAL)):
            cell = self._cell(room)
            tokens[here, cell], asked[here, cell] = token, False
        labels = np.where(asked, np.where(on_path, ON_PATH, OFF_PATH), IGNORED)
        return Rows(tokens, self.every_cell(count), labels)

    def transformed(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Turn or mirror each maze."""
        cells = np.arange(self.seq_length).reshape(self.side, self.side)
        images = [np.rot90(board, turns) for board in (cells, cells.T) for turns in range(4)]
        places = np.stack([image.ravel() for image in images])[rng.integers(8, size=len(rows.tokens))]
        tokens, labels = (np.take_along_axis(part, places, axis=1) for part in (rows.tokens, rows.labels))
        return Rows(tokens, rows.asked, labels)

    def _trees(self, rng: np.random.Generator, count: int) -> tuple[Ids, Ids]:
        """Grow a tree over the rooms of each maze, depth first: parents and depths [count, rooms ** 2].

        All mazes take a step at once: into an unvisited room beside the present one, or back.
        """
        side, here = self.rooms, np.arange(count)
        present = rng.integers(side * side, size=count)
        parents, depth = (np.full((count, side * side), -1) for _ in range(2))
        parents[here, present], depth[here, present] = present, 0
        for _ in range(2 * side * side - 2):
            rows, columns = present // side + STEPS[:, :1], present % side + STEPS[:, 1:]
            inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
            beside = np.where(inside, rows * side + columns, present)  # [4, count]
            free = depth[here, beside] < 0
            chosen = beside[np.argmax(free * (rng.random(free.shape) + 0.5), axis=0), here]
            moved = free.any(0)
            forward = here[moved], chosen[moved]
            parents[forward], depth[forward] = present[moved], depth[here[moved], present[moved]] + 1
            present = np.where(moved, chosen, parents[here, present])
        return parents, depth

    def _cell(self, rooms: Ids) -> Ids:
        """Return the cells of rooms."""
        cells: Ids = rooms // self.rooms * 2 * self.side + rooms % self.rooms * 2
        return cells

    def _open(self, tokens: Ids, parents: Ids) -> None:
        """Make floor of all rooms and of the walls between a room and its parent."""
        rooms = self._cell(np.arange(self.rooms**2))[None]
        between = (rooms + self._cell(parents)) // 2
        tokens[:, rooms[0]] = FLOOR
        np.put_along_axis(tokens, between, FLOOR, axis=1)

    def _way(self, parents: Ids, goal: Ids) -> Ids:
        """Tell which cells [count, T] are between the goal and the root of the tree."""
        here = np.arange(len(goal))
        on_path = np.zeros((len(goal), self.seq_length), bool)
        room = goal
        while True:
            parent = parents[here, room]
            on_path[here, self._cell(room)] = True
            on_path[here, (self._cell(room) + self._cell(parent)) // 2] = True
            if (parent == room).all():
                return on_path
            room = parent
