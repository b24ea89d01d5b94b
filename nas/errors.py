"""Errors that a user can act on, and the words they are told in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


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


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest allowed name, or an empty string."""
    close = difflib.get_close_matches(str(name), [str(a) for a in allowed], n=1, cutoff=0.5)
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
    return f"{key}={value!r} is not one of {names}{nearest(str(value), names)}"


def check_choice(key: str, value: object, allowed: Sequence[object]) -> None:
    """Raise `InputError` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise InputError(not_allowed(key, value, allowed))


def check_positive(**values: float) -> None:
    """Raise `InputError` naming every argument that is not greater than zero."""
    wrong = [f"{key}={value!r} must be greater than 0" for key, value in values.items() if value <= 0]
    if wrong:
        raise InputError(*wrong)


def check_probability(**values: float) -> None:
    """Raise `InputError` naming every argument that is outside [0, 1)."""
    wrong = [f"{k}={v!r} must be at least 0 and below 1" for k, v in values.items() if not 0 <= v < 1]
    if wrong:
        raise InputError(*wrong)
