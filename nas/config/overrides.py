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

    A bare ``~/path`` it cannot read, and of names it takes ``study=2024`` for a number.
    """
    quoted = (re.sub(r"^([^=]+)=(~[^'\"\[\]{},=]*)$", r"\1='\2'", override) for override in overrides)
    return [_NAMES_LIKE_NUMBERS.sub(r"\1='\2'", override) for override in quoted]


_NAMES_LIKE_NUMBERS = re.compile(
    r"^(study|experiment|sweep)=([-+.]?\d[\w.+-]*|[-+]?inf|nan|true|false)$", re.IGNORECASE
)


def split_grid(overrides: Sequence[str]) -> list[list[str]]:
    """Return the override lists of a grid: one for each combination of comma-separated values.

    Raises:
        InputError: an override is not of the form key=value.
    """
    parsed = [parse(override) for override in readable(overrides)]
    [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in jobs]
