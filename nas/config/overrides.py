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
        told = str(error).splitlines()[0]
        raise InputError(f"{override!r} cannot be read: {told}{_quoting(override, told)}") from None


def _quoting(override: str, told: str) -> str:
    key, equals, text = override.partition("=")
    if not equals or not told.startswith(("token recognition", "mismatched")):
        return ""
    if text.startswith("[") and text.endswith("]"):
        items = ",".join(as_item(item.strip(" '\"")) for item in text[1:-1].split(","))
        return f'; in a list, an item with such signs needs quotes: "{key}=[{items}]"'
    return f"; a value with such signs needs quotes within the shell's: {key}='\"...\"'"


def readable(overrides: Sequence[str]) -> list[str]:
    """Return overrides with quotes where Hydra's grammar would not read what its user means.

    Of names and paths it takes ``study=2024`` for a number, and refuses ``~/path``, ``a(b)`` and ``lr=0.1``;
    letters beyond ASCII it refuses everywhere.
    """
    return [_readable(override) for override in overrides]


def _readable(override: str) -> str:
    key, equals, text = override.partition("=")
    if not equals or text.startswith(("'", '"', "[", "{")) or text.lower() in ("", "null"):
        return override
    if not _NAME_OR_PATH.fullmatch(key) and text.isascii() and not text.startswith("~"):
        return override
    return override if _names_several(override) else assigned(key, text)


_NAME_OR_PATH = re.compile(
    r"\+*(study|experiment|sweep|checkpoint|tracker\.(project|entity)|paths\.\w+|[\w.]+\.path|"
    r"task\.(validation|text|text_b|label))"
)


def _names_several(override: str) -> bool:
    try:
        return parse(override).is_sweep_override()
    except InputError:
        return "," in override


def assigned(key: str, text: str) -> str:
    """Return the override that gives a key this very text, in quotes where Hydra needs them."""
    override = f"{key}={text}"
    return override if _gives(override, text.strip()) else f"{key}={_in_quotes(text)}"


def listed(key: str, texts: Sequence[str]) -> str:
    """Return the override that gives a key these very texts, in quotes where Hydra needs them."""
    override = f"{key}=[{','.join(texts)}]"
    return override if _gives(override, list(texts)) else f"{key}=[{','.join(map(as_item, texts))}]"


def _gives(override: str, value: str | list[str]) -> bool:
    try:
        parsed = parse(override)
    except InputError:
        return False
    return not parsed.is_sweep_override() and bool(parsed.value() == value)


def as_item(text: str) -> str:
    """Return a text as it is written in a list, a mapping or alone, in quotes unless it is a plain name."""
    keyword = text.lower() in ("null", "true", "false", "nan", "inf")
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) and not keyword
    return text if plain else _in_quotes(text)


def _in_quotes(text: str) -> str:
    # Hydra reads a backslash as it is, except before a quote.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + m[2].replace("'", "\\'"), text) + "'"


def split_grid(overrides: Sequence[str]) -> list[list[str]]:
    """Return the override lists of a grid: one for each combination of comma-separated values.

    Raises:
        InputError: an override is not of the form key=value.
    """
    parsed = [parse(override) for override in readable(overrides)]
    [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in jobs]


def is_value(p: Override) -> bool:
    """Return whether ``p`` gives a value, and not a choice, a new key or several runs."""
    return not (p.is_add() or p.is_delete() or p.is_sweep_override() or "@" in str(p.input_line))
