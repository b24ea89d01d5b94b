"""Configurations as paths of a tree: which were tried or are being tried, and where others are left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Step = tuple[str, int, int]
"""A parameter's name, how many values it has, and the index of the one taken."""


class Node:
    """What comes next after the values on the way here: a parameter, or nothing.

    Attributes:
        name: of the parameter that is asked for next; None while that is not known.
        children: one for each of its values.
        left: how many untried configurations lie below, as far as is known.
        held: how many trials under way are here or below; each will take one of them.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.children: list[Node] = []
        self.left = 1
        self.held = 0

    @property
    def free(self) -> bool:
        """Whether more is left below than what the trials under way there will take."""
        return self.left > self.held

    def open(self) -> list[int]:
        """Return the indices of the values below which something may be left for one more trial."""
        return [i for i, child in enumerate(self.children) if child.free]

    def leaves(self) -> int:
        """Return how many configurations lie below, as far as is known."""
        return sum(child.leaves() for child in self.children) if self.children else 1


class Tree:
    """All configurations that a program may ask for, as far as they are known.

    It relies on one thing: after the same values the same parameter is asked for.
    """

    def __init__(self) -> None:
        self.root = Node()

    def at(self, path: Iterable[Step]) -> Node:
        """Return the node at the end of a path."""
        return self._along(path)[-1]

    def ask(self, path: Iterable[Step], name: str, count: int) -> Node:
        """Note that ``name`` is asked for after a path, with ``count`` values; another name is forgotten."""
        nodes = self._along(path)
        _ask(nodes, name, count)
        return nodes[-1]

    def tried(self, path: Sequence[Step]) -> None:
        """Note that the configuration at the end of a path was tried; a part of one says nothing."""
        nodes = self._along(path)
        if not nodes[-1].children:
            _add(nodes, -nodes[-1].left)

    def hold(self, path: Sequence[Step]) -> list[Node]:
        """Keep one of the configurations below a path for the trial that is there; return what to release."""
        nodes = self._along(path)
        if not nodes[-1].free:
            return []
        for node in nodes:
            node.held += 1
        return nodes

    def _along(self, path: Iterable[Step]) -> list[Node]:
        nodes = [self.root]
        for name, count, index in path:
            _ask(nodes, name, count)
            nodes.append(nodes[-1].children[index])
        return nodes


def _ask(nodes: Sequence[Node], name: str, count: int) -> None:
    """Let the last of the nodes along a path have a child for each of ``count`` values of ``name``."""
    node = nodes[-1]
    if node.name != name:
        node.name, node.children = name, []
    missing = count - len(node.children)
    if missing > 0:
        known = node.left if node.children else 0  # what was one unknown configuration, or one tried
        node.children += [Node() for _ in range(missing)]
        _add(nodes, known + missing - node.left)


def _add(nodes: Sequence[Node], left: int) -> None:
    for node in nodes:
        node.left += left
