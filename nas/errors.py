"""Errors that a user can act on, and the words they are told in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

MOST_NAMES = 16
"""Of more than these, a message names only the nearest."""


class NasError(Exception):
    """The base of every error that this package raises on purpose."""


class InputError(NasError, ValueError):
    """Wrong input: one line for each mistake, shown without a traceback; the exit code is 2.

    Args:
        *mistakes: one sentence each, naming the key, the value and what is allowed.
    """

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes: tuple[str, ...] = mistakes


class DivergedError(NasError):
    """The loss became NaN, infinite or far worse than at the start: the run has no result."""


class InterruptedRunError(NasError):
    """The run was asked to stop (SIGTERM or Ctrl-C); everything so far is saved."""


class PausedRunError(NasError):
    """The run was paused at a rung; everything so far is saved, and the same call continues it.

    Args:
        message: where.
        seconds: of the run so far.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ElsewhereError(NasError):
    """Another process of this run failed, and has told why."""


def let_interrupt_pass(error: BaseException) -> None:
    """Raise Ctrl-C again where another error has hidden it: libraries fail at it while they clean up.

    OmegaConf does in putting its flags back.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        found = found.__cause__ or found.__context__


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest allowed name, or an empty string."""
    close = _alike(str(name), [str(a) for a in allowed], count=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def told_once(places: Mapping[str, Iterable[str]]) -> list[str]:
    """Say each mistake once, with the first of its places and how many more there are."""
    told = []
    for mistake, found in places.items():
        first, *others = dict.fromkeys(found)
        more = f" (and {len(others)} more)" if others else ""
        told.append(f"{first}: {mistake}{more}")
    return told


def not_allowed(key: str, value: object, allowed: Sequence[object]) -> str:
    """Say that ``key=value`` is not one of the allowed values, and offer the nearest."""
    names = [str(a) for a in allowed]
    return f"{key}={value!r} is not one of {_shown(str(value), names)}{nearest(str(value), names)}"


def _shown(value: str, names: list[str]) -> str:
    """Return the names, or of very many those that are most like ``value``."""
    if len(names) <= MOST_NAMES:
        return str(names)
    alike = set(_alike(value, names, count=MOST_NAMES // 2, cutoff=0.0))
    return f"{[name for name in names if name in alike]} and {len(names) - len(alike)} more"


def _alike(value: str, names: Sequence[str], count: int, cutoff: float) -> list[str]:
    """Return the names that are most like ``value``, which may lack what stands before their last slash."""
    ends = {} if "/" in value else {name.rpartition("/")[2]: name for name in reversed(names)}
    close = difflib.get_close_matches(value, [*names, *ends], n=2 * count, cutoff=cutoff)
    return list(dict.fromkeys(name if name in names else ends[name] for name in close))[:count]


def check_choice(key: str, value: object, allowed: Sequence[object]) -> None:
    """Raise `InputError` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise InputError(not_allowed(key, value, allowed))


def check_positive(**values: float) -> None:
    """Raise `InputError` naming every argument that is not greater than zero."""
    wrong = [f"{key}={value!r} must be greater than 0" for key, value in values.items() if not value > 0]
    if wrong:
        raise InputError(*wrong)


def check_probability(**values: float) -> None:
    """Raise `InputError` naming every argument that is outside [0, 1)."""
    wrong = [f"{k}={v!r} must be at least 0 and below 1" for k, v in values.items() if not 0 <= v < 1]
    if wrong:
        raise InputError(*wrong)
