"""A run's ``config.yaml`` as an experiment: it holds values alone, and fits the choices that the run had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nas.config.overrides import parse
from nas.train.folder import CONFIG, OVERRIDES


def with_choices(
    mistakes: Sequence[str], overrides: Iterable[str], choices: Mapping[str, str | None]
) -> list[str]:
    """Return mistakes, those that a choice of the run would mend told as that choice.

    Args:
        mistakes: sentences that begin with a key.
        overrides: of the command, paths made absolute.
        choices: group to the chosen name.
    """
    told = list(mistakes)
    for file in _configs(overrides):
        missing = dict(_choices(file.parent / OVERRIDES, choices))
        needed = {p: t for p, t in missing.items() if any(_is_of(mistake, p) for mistake in told)}
        if needed:
            rest = [mistake for mistake in told if not any(_is_of(mistake, place) for place in needed)]
            told = [f"experiment={str(file)!r} needs the choices of its run: add {' '.join(needed.values())}"]
            told += rest
    return told


def _configs(overrides: Iterable[str]) -> list[Path]:
    parsed = [parse(text) for text in overrides if text.startswith("experiment=")]
    files = [Path(str(p.value())) for p in parsed if not p.is_sweep_override()]
    return [file for file in files if file.name == CONFIG]


def _choices(file: Path, choices: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Return where a run's choices stand and their overrides, of those that are others now."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        group, _, name = line.partition("=")
        group = group.lstrip("+")
        place = group.partition("@")[2] or group
        if ("@" in group or group in choices) and choices.get(group) != name:
            found.append((place, line))
    return found


def _is_of(mistake: str, place: str) -> bool:
    return mistake.startswith((f"{place} ", f"{place}.", f"{place}="))
