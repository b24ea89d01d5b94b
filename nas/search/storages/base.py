"""The contract of a storage: Optuna's view of it, and who of several supervisors has which trial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import optuna

from nas.configured import Configured
from nas.search.storages.leases import Alone, Leases


class Storage(Configured, ABC):
    """Keeps the trials of studies."""

    @abstractmethod
    def open(self, folder: Path) -> optuna.storages.BaseStorage:
        """Open the storage; call it only while holding the lock of the study's folder.

        Args:
            folder: the study's.

        Raises:
            InputError: it cannot be reached, read or written.
        """

    def leases(self, study: str, folder: Path) -> Leases:
        """Join those that search the study; call it after `open`.

        By itself a storage has one supervisor: who has the lock of the study's folder is alone with its
        files.
        """
        return Alone()

    def close(self) -> None:
        """Let connections go."""
