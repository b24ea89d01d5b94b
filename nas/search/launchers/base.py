"""The contract of a launcher, and of the workers that it starts wherever they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from nas.configured import Configured

if TYPE_CHECKING:
    from nas.config.compose import Composed


class Worker(ABC):
    """A process that runs `nas.search.worker.work`, as its supervisor sees it."""

    @property
    @abstractmethod
    def connection(self) -> Connection | None:
        """To the process; None while it has not begun, because there is no room for it yet."""

    @abstractmethod
    def is_alive(self) -> bool:
        """Return whether the process runs, or may still begin."""

    @abstractmethod
    def terminate(self) -> None:
        """Ask the process to save its trial and end."""

    @abstractmethod
    def kill(self) -> None:
        """End the process at once."""

    @abstractmethod
    def join(self, seconds: float) -> None:
        """Wait so long at most for the end of the process."""

    @abstractmethod
    def cause(self) -> str:
        """Return why the process ended, after ``its worker``."""


class Launcher(Configured, ABC):
    """Starts workers."""

    @abstractmethod
    def start(self, base: Composed) -> Worker:
        """Start a worker for trials that share the configuration ``base``.

        Raises:
            InputError: there is no room for a worker, and never will be.
        """

    def capacity(self) -> int | None:
        """Return how many workers there is room for; None: as many as this machine has cores."""
        return None

    def close(self) -> None:
        """Let go of what was held for the workers."""
