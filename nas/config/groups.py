"""The groups of the configuration and the choices in each, as Hydra finds them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType

from nas.config.overrides import is_value, parse
from nas.config.sources import register_sweeps


@contextmanager
def hydra_loaded() -> Iterator[None]:
    """Point Hydra at ``conf/`` and ``sweeps/``; whatever was loaded before is restored."""
    register_sweeps()
    with initialize_config_module("nas.conf", version_base="1.3"):
        yield


def group_options(overrides: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return every group and the names in it, those of overrides' search paths too; needs `hydra_loaded`."""
    # The loader's own methods copy the whole repository at each call: 9 ms, fifty times.
    loader = GlobalHydra.instance().config_loader()
    repository: Any = loader.repository  # type: ignore[attr-defined]
    folders = search_paths(overrides)
    if folders:
        paths = copy.deepcopy(loader.get_search_path())
        for folder in folders:
            paths.append("user", folder)
        repository = copy.deepcopy(repository)
        repository.initialize_sources(paths)

    def below(parent: str) -> Iterator[str]:
        for name in repository.get_group_options(parent, ObjectType.GROUP):
            group = f"{parent}/{name}" if parent else name
            if group != "hydra":
                yield group
                yield from below(group)

    return {group: repository.get_group_options(group, ObjectType.CONFIG) for group in below("")}


def choices_of(overrides: Sequence[str], group: str) -> list[str]:
    """Return the names in a group, those of the overrides' search paths too."""
    with hydra_loaded():
        return group_options(overrides).get(group, [])


def search_paths(overrides: Sequence[str]) -> list[str]:
    """Return the further search paths that overrides name, as far as Hydra can read such."""
    values = [
        p.value() for p in map(parse, overrides) if p.key_or_group == "hydra.searchpath" and is_value(p)
    ]
    named = [str(folder) for value in values if isinstance(value, list) for folder in value]
    return [f for f in named if "://" not in f or f.startswith(("file://", "pkg://"))]
