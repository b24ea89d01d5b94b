"""What is told of trials that have not ended, kept back so that the server is told all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nas.search.storages.patient import is_away
from nas.search.storages.postgres_writes import Told, Writes


class Outbox:
    """Holds what is told of trials until it is sent.

    Args:
        writes: into Optuna's tables.
        doubt: told of trials of which nobody knows what the server holds.
        refuse: raises an error that says why a trial is told nothing any more.
    """

    def __init__(self, writes: Writes, doubt: Callable[[int], None], refuse: Callable[[int], None]) -> None:
        self._writes, self._doubt, self._refuse = writes, doubt, refuse
        self._unsent: dict[int, Told] = {}
        self._may_send: Callable[[], None] = _always

    def of(self, trial: int) -> Told:
        """Return what is to be told of a trial, to add to it; what is told of others is sent before."""
        if self._unsent.keys() - {trial}:
            self.send()
        return self._unsent.setdefault(trial, Told())

    def send(self) -> None:
        """Let the server have everything.

        A trial that has ended gets no parameters, which is no error: whoever took it over chose others.

        Raises:
            Exception: of the driver, or of ``refuse``; what is refused is not kept, for it would be again.
        """
        if self._unsent:
            self._may_send()
        for trial, told in list(self._unsent.items()):
            try:
                taken = self._writes.told(trial, told)
            except Exception as error:
                if not is_away(error):
                    del self._unsent[trial]
                    self._doubt(trial)
                raise
            del self._unsent[trial]
            if not taken:
                self._doubt(trial)
                if told.is_more_than_parameters:
                    self._refuse(trial)

    @contextmanager
    def sending_if(self, may_send: Callable[[], None]) -> Iterator[None]:
        """Send within the block only if ``may_send`` raises nothing; after an error, nothing is sent."""
        self._may_send = may_send
        try:
            yield
        except BaseException:
            self.drop()
            raise
        finally:
            self._may_send = _always

    def drop(self) -> None:
        """Send nothing of what is held."""
        for trial in self._unsent:
            self._doubt(trial)
        self._unsent.clear()


def _always() -> None:
    """Let everything be sent."""
