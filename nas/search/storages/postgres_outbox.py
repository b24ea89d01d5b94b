"""Parameters that Optuna sets one by one, kept back so that those of a trial are written together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from optuna.distributions import BaseDistribution

from nas.search.storages.patient import is_away
from nas.search.storages.postgres_writes import Writes


class Outbox:
    """Holds parameters until they are sent; a trial that has ended gets none.

    Args:
        writes: into Optuna's tables.
        doubt: told of trials of which nobody knows what the server holds.
    """

    def __init__(self, writes: Writes, doubt: Callable[[int], None]) -> None:
        self._writes, self._doubt = writes, doubt
        self._unsent: dict[int, dict[str, tuple[float, BaseDistribution]]] = {}
        self._may_send: Callable[[], None] = _always

    def put(self, trial: int, name: str, value: float, distribution: BaseDistribution) -> None:
        """Keep a parameter in Optuna's internal value; those of other trials are sent before."""
        if self._unsent.keys() - {trial}:
            self.send()
        self._unsent.setdefault(trial, {})[name] = value, distribution

    def send(self) -> None:
        """Let the server have all parameters.

        Raises:
            Exception: of the driver; what the server refuses is not kept, for it will refuse it again.
        """
        if self._unsent:
            self._may_send()
        for trial, given in list(self._unsent.items()):
            try:
                if not self._writes.parameters(trial, given):
                    self._doubt(trial)
            except Exception as error:
                if not is_away(error):
                    del self._unsent[trial]
                    self._doubt(trial)
                raise
            del self._unsent[trial]

    @contextmanager
    def sending_if(self, may_send: Callable[[], None]) -> Iterator[None]:
        """Send within the block only if ``may_send`` raises nothing; after an error, nothing is sent."""
        self._may_send = may_send
        try:
            yield
        except BaseException:
            for trial in self._unsent:
                self._doubt(trial)
            self._unsent.clear()
            raise
        finally:
            self._may_send = _always


def _always() -> None:
    """Let everything be sent."""
