"""Sweeps that are composed into one question, and what they contradict each other in."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from nas.config.overrides import parse
from nas.search.question import leaves
from nas.search.spaces.reading import flatten


def names_in(override: str) -> list[str]:
    """Return the sweeps that ``sweep=a`` or ``sweep=[a,b]`` names."""
    value = parse(override).value()
    return [str(name) for name in (value if isinstance(value, list) else [value])]


def called(names: Sequence[str]) -> str:
    """Return the name of the study that asks these sweeps' question."""
    return "+".join(Path(name).stem if name.endswith((".yaml", ".yml")) else name for name in names)


def conflicts(names: Sequence[str], further: Sequence[str] = ()) -> list[str]:
    """Return a sentence for each key to which two of several sweeps give different values.

    Args:
        names: of sweeps, or paths of such.
        further: the search paths that the command line adds.
    """
    found: dict[str, None] = {}
    told = {name: _settings(name, further) for name in names} if len(names) > 1 else {}
    first: dict[str, str] = {}
    for name, settings in told.items():
        for key, value in settings.items():
            other = first.setdefault(key, name)
            if told[other][key] != value:
                values = f"{told[other][key]!r} in sweep={other} and {value!r} in sweep={name}"
                found[f"{key} is {values}: compose sweeps that agree"] = None
    return list(found)


def without_effect(names: Sequence[str], further: Sequence[str] = ()) -> list[str]:
    """Return a sentence for each part that a sweep describes, and that the search chooses after it."""
    found = {key.split(".")[0]: name for name in names for key in _settings(name, further)}
    return [
        f"{part} in sweep={found[part]} has no effect: give {part}... on the command line"
        for part in _CHOSEN_LATER
        if part in found
    ]


_CHOSEN_LATER = ("sampler", "storage", "launcher")


def _settings(name: str, further: Sequence[str]) -> dict[str, Any]:
    """Return key to value of what a sweep sets, the forms of its space whole."""
    node: Any = OmegaConf.to_container(OmegaConf.create(_text(name, further)))
    settings = {f"space.{key}": form for key, form in flatten(node.pop("space", None) or {}).items()}
    for default in node.pop("defaults", None) or ():
        items = default.items() if isinstance(default, dict) else ()
        settings |= {f"defaults: {key}": chosen for key, chosen in items}
    return settings | dict(leaves(node))


def _text(name: str, further: Sequence[str]) -> str:
    if name.endswith((".yaml", ".yml")):
        return Path(name).read_text(encoding="utf-8")
    own = (Path(folder.removeprefix("file://")) / "sweep" / f"{name}.yaml" for folder in further)
    packaged = resources.files("nas.sweeps").joinpath(f"{name}.yaml")
    found = next((file for file in (*own, packaged) if file.is_file()), None)
    return found.read_text(encoding="utf-8") if found else ""  # else in a package of the user's, unseen
