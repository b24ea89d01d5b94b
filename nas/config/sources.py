"""Where choices come from beside ``conf/``: the packaged sweeps, and files named on the command line."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nas.config.diagnose import problem
from nas.config.file_names import name_of_file
from nas.errors import InputError

BY_PATH = ("experiment", "sweep")
"""Groups whose value may be the path of a file."""


def register_sweeps() -> None:
    """Make ``sweeps/*.yaml`` the group ``sweep`` (a Hydra search path has no way to name a group)."""
    store = ConfigStore.instance()
    known = store.repo.get("sweep", {})
    for file in resources.files("nas.sweeps").iterdir():
        if file.name.endswith(".yaml") and file.name not in known:
            node = OmegaConf.create(file.read_text(encoding="utf-8"))
            _store("sweep", file.name.removesuffix(".yaml"), node)


def register_file(group: str, value: str, outputs: str) -> tuple[str, str] | None:
    """Register ``group=<path>`` and return (the name to use in its place, the absolute path).

    A study's name stands for its ``best.yaml`` under ``outputs``. None means that ``value`` is
    neither, so it is a name within the group. A file that has changed gets another name: a name
    always stands for the same configuration.

    Raises:
        InputError: the file is missing or not a configuration.
    """
    path = Path(value).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        path = Path(outputs).expanduser() / value / "best.yaml"
        if group != "experiment" or not path.is_file():
            return None
    if not path.is_file():
        raise InputError(f"{group}={value!r}: there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8")
        node = OmegaConf.create(text)
    except (YAMLError, UnicodeDecodeError, ValueError, OmegaConfBaseException) as error:
        raise InputError(f"{group}={value!r} is not YAML: {problem(error)}") from error
    if not isinstance(node, DictConfig):
        raise InputError(f"{group}={value!r} must hold keys and values, not a list")
    path = path.resolve()
    name = name_of_file(path, text)
    _store(group, name, node)
    return name, str(path)


class _Stored(ConfigNode):
    """A stored file that is not copied with the store: Hydra copies it all, 170 times for one help."""

    def __deepcopy__(self, memo: Any) -> _Stored:
        return self  # what is loaded is a copy of its own


def _store(group: str, name: str, node: Any) -> None:
    store = ConfigStore.instance()
    store.store(group=group, name=name, node=node, package="_global_")
    kept = store.repo[group][f"{name}.yaml"]
    store.repo[group][f"{name}.yaml"] = _Stored(**vars(kept))
