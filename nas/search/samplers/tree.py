"""Configurations as paths of a tree: which were tried, and where untried ones are left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Step = tuple[str, int, int]
"""A parameter's name, how many values it has, and the index of the one taken."""


class Node:
    """What comes next after the values on the way here: a parameter, or nothing.

    Attributes:
        name: of the parameter that is asked for next; None while that is not known.
        children: one for each of its values.
        shut: nothing untried is left below.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.children: list[Node] = []
        self.shut = False

    def ask(self, name: str, count: int) -> None:
        """Note that ``name`` is asked for here, with ``count`` values; another name is forgotten."""
        if self.name != name:
            self.name, self.children = name, []
        if len(self.children) < count:
            self.shut = False
            self.children += [Node() for _ in range(count - len(self.children))]

    def open(self) -> list[int]:
        """Return the indices of the values under which something untried may be left."""
        return [i for i, child in enumerate(self.children) if not child.shut]

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

    def shut(self, path: Sequence[Step]) -> list[Node]:
        """Note that a configuration was tried; return the nodes below which nothing is left since."""
        changed = []
        for node in reversed(self._along(path)):
            if node.shut:
                continue
            if node.open():
                break
            node.shut = True
            changed.append(node)
        return changed

    def _along(self, path: Iterable[Step]) -> list[Node]:
        nodes = [self.root]
        for name, count, index in path:
            nodes[-1].ask(name, count)
            nodes.append(nodes[-1].children[index])
        return nodes
