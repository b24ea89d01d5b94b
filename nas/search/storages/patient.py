"""A storage that waits for its server: every call is tried again until the server is back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage

from nas.errors import NasError
from nas.progress import say

Result = TypeVar("Result")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


def patient(inner: BaseStorage, patience: float, name: str) -> BaseStorage:
    """Return ``inner`` with every method waiting up to ``patience`` seconds for the server.

    A call may have reached the server although its answer did not come back. So a trial that was
    ended by the lost call may not be ended again, which is no error then; a trial that was made by
    it stays behind without an owner, and is taken up like one that a killed search left. One that
    waited and was let run by it counts as this process's.

    Args:
        inner: raises `StorageInternalError` or SQLAlchemy's errors when the server is away.
        patience: in seconds.
        name: of the server, for messages.
    """
    methods = {m: _retrying(m) for m in dir(BaseStorage) if not m.startswith("_")}
    kind: Any = type("PatientStorage", (BaseStorage,), methods)
    storage: BaseStorage = kind()
    storage.__dict__.update(inner=inner, patience=patience, name=name)
    return storage


def first_line(error: BaseException) -> str:
    """Return what the innermost cause says first: drivers wrap each other's errors."""
    while (cause := error.__cause__ or getattr(error, "orig", None)) is not None:
        error = cause
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def with_patience(call: Callable[[], Result], patience: float, name: str) -> Result:
    """Return what ``call`` returns, tried again for up to ``patience`` seconds while the server is away.

    Raises:
        NasError: it stays away.
    """
    return _Attempts(patience, name).of(call)


def _retrying(method: str) -> Callable[..., Any]:
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        attempts = _Attempts(self.patience, self.name)
        try:
            result = attempts.of(lambda: getattr(self.inner, method)(*arguments, **named))
            if result is False and attempts.failed is not None and method == "set_trial_state_values":
                return attempts.of(lambda: self.inner.took(*arguments[:1]))
            return result
        except UpdateFinishedTrialError:
            if attempts.failed is None or method != "set_trial_state_values":
                raise
            return True  # the call whose answer was lost has ended it

    call.__name__ = method
    return call


class _Attempts:
    """Attempts at one call to a server.

    Attributes:
        failed: how the last one failed because the server was away, if one did.
    """

    def __init__(self, patience: float, name: str) -> None:
        self.patience, self.name = patience, name
        self.failed: BaseException | None = None
        self.deadline = 0.0

    def of(self, call: Callable[[], Result]) -> Result:
        pause = FIRST_PAUSE
        while True:
            try:
                result = call()
            except _away() as error:
                self._note(error)
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if self.failed is not None:
                    say(f"{self.name} is back")
                return result

    def _note(self, error: BaseException) -> None:
        if not is_away(error):
            raise error
        if self.failed is None:
            say(f"waiting for {self.name}: {first_line(error)}")
            self.deadline = time.monotonic() + self.patience  # from now: this process may have been stopped
        self.failed = error
        if time.monotonic() >= self.deadline:
            raise NasError(
                f"{self.name} is away for more than {self.patience:g} s "
                f"({first_line(error)}); everything finished is kept there; run the same command to continue"
            ) from error


def _away() -> tuple[type[BaseException], ...]:
    from sqlalchemy.exc import DBAPIError

    return (StorageInternalError, DBAPIError)


def is_away(error: BaseException) -> bool:
    """Return whether the server went away, and not something that a second attempt would not mend."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    ended = any(isinstance(c, DBAPIError) and c.connection_invalidated for c in causes)
    return ended or any(isinstance(c, OperationalError | InterfaceError | ConnectionError) for c in causes)
