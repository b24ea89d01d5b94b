"""Overrides as text: parsed by Hydra's grammar, and a grid taken apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from nas.errors import InputError


def parse(override: str) -> Override:
    """Parse one override.

    Raises:
        InputError: it is not of the form key=value.
    """
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise InputError(f"{override!r} cannot be read: {str(error).splitlines()[0]}") from None


def readable(overrides: Sequence[str]) -> list[str]:
    """Return overrides with quotes where Hydra's grammar would not read what its user means.

    Of a name, or a path, it takes ``study=2024`` for a number; and a value such as ``~/texts``,
    ``Märchen.txt``, ``R&D`` or ``copy(1).txt`` it cannot read without them.
    """
    return [_readable(override) for override in overrides]


_NAMES_LIKE_NUMBERS = re.compile(
    r"((?:study|experiment|sweep|checkpoint|tracker\.project|paths\.\w+|[\w.]+\.path|"
    r"task\.(?:validation|text|text_b|label))=)"
    r"([-+.]?\d[\w.+-]*|[-+]?inf|nan|true|false)",
    re.IGNORECASE,
)
_ONE_TEXT = re.compile(r"([^=]+=)([^'\"\[\]{},]+)")


def _readable(override: str) -> str:
    named = _NAMES_LIKE_NUMBERS.fullmatch(override)
    if named:
        return f"{named[1]}'{named[2]}'"
    one = _ONE_TEXT.fullmatch(override)
    if one and not _reads(override) and _reads(quoted := f"{one[1]}'{one[2]}'"):
        return quoted
    return override


def _reads(override: str) -> bool:
    try:
        parse(override)
    except InputError:
        return False
    return True


def split_grid(overrides: Sequence[str]) -> list[list[str]]:
    """Return the override lists of a grid: one for each combination of comma-separated values.

    Raises:
        InputError: an override is not of the form key=value.
    """
    parsed = [parse(override) for override in readable(overrides)]
    [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in jobs]
