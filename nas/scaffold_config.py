"""Turning constructor arguments into a plain, JSON-able form and back: classes, partials, modules, sharing.

The form of what JSON does not know:
``{"$class": "module.name"}`` a class or function; ``{"$partial": ..., "args": [...], "keywords": {...}}``;
``{"$tuple": [...]}``; ``{"$instance": "module.name", "id": n, "config": {...}}`` a module, later
``{"$ref": n}``; ``{"$attr": {...}, "path": "a.b"}`` something that belongs to a module.
What can not be found again by its name (a local class, a module that does not know its arguments, a
tensor) stays alive inside a `Live`: such a form works, but is not JSON-able.
"""

from __future__ import annotations

import copy
import functools
import importlib
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.configured import Configured
from nas.errors import InputError

_OURS = ("nas.", "torch.nn.")


class Live:
    """A value that has no name to find it by; `ConfigReader` copies modules and tensors."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Live({type(self.value).__name__})"

    def __eq__(self, other: object) -> bool:
        """Compare modules by structure (class, parts, shapes; not weights), other values by value."""
        return isinstance(other, Live) and _likeness(self.value) == _likeness(other.value)

    def __hash__(self) -> int:
        return hash(type(self.value))


@dataclass(frozen=True)
class Attribute:
    """Something that belongs to a module: named by its path, it is still found after a copy."""

    owner: nn.Module
    path: str

    def value(self) -> Any:
        """Return what is there now."""
        return functools.reduce(getattr, self.path.split("."), self.owner)


class ConfigWriter:
    """Writes several values in one go, so that a module which they share is written once."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}

    def encode(self, value: Any) -> Any:
        """Return the plain form of one value."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, Attribute):
            return {"$attr": self.encode(value.owner), "path": value.path}
        if isinstance(value, functools.partial):
            return {
                "$partial": self.encode(value.func),
                "args": [self.encode(item) for item in value.args],
                "keywords": self.encode(value.keywords),
            }
        return self._container(value)

    def _container(self, value: Any) -> Any:
        if isinstance(value, Mapping) and all(isinstance(k, str) and k[:1] != "$" for k in value):
            return {key: self.encode(value[key]) for key in value}  # in order: it counts in a span
        if type(value) is list:
            return [self.encode(item) for item in value]
        if type(value) is tuple:
            return {"$tuple": [self.encode(item) for item in value]}
        path = path_of(value) if callable(value) else None
        return Live(value) if path is None else {"$class": path}

    def _module(self, module: nn.Module) -> dict[str, Any]:
        if id(module) in self._ids:
            return {"$ref": self._ids[id(module)]}
        number = self._ids[id(module)] = len(self._ids)
        config, path = _config_of(module), path_of(type(module))
        if config is None or path is None:
            return {"$instance": Live(module), "id": number}
        return {"$instance": path, "id": number, "config": self.encode(config)}


class ConfigReader:
    """Builds what `ConfigWriter` wrote: modules anew (fresh weights), one for each id."""

    def __init__(self, form: Any) -> None:
        self._forms = {node["id"]: node for node in _nodes(form) if "$instance" in node}
        self._built: dict[int, Any] = {}
        self._copies: dict[int, Any] = {}

    def decode(self, form: Any) -> Any:
        """Return the value of one form.

        Raises:
            InputError: a name can not be resolved, or is not allowed.
        """
        if isinstance(form, Live):
            return self._copy(form.value)
        if isinstance(form, list):
            return [self.decode(item) for item in form]
        if not isinstance(form, Mapping):
            return form
        if "$class" in form:
            return resolve(form["$class"])
        if "$tuple" in form:
            return tuple(self.decode(item) for item in form["$tuple"])
        if "$partial" in form:
            keywords = self.decode(form["keywords"])
            return functools.partial(self.decode(form["$partial"]), *self.decode(form["args"]), **keywords)
        if "$attr" in form:
            return Attribute(self.decode(form["$attr"]), form["path"]).value()
        if "$ref" in form or "$instance" in form:
            return self._instance(form["$ref"] if "$ref" in form else form["id"])
        return {key: self.decode(item) for key, item in form.items()}

    def _instance(self, number: int) -> Any:
        if number not in self._built:
            if number not in self._forms:
                raise InputError(f"$ref={number!r} names no $instance; there are {sorted(self._forms)}")
            self._built[number] = self._build(self._forms[number])
        return self._built[number]

    def _build(self, form: Mapping[str, Any]) -> Any:
        if isinstance(form["$instance"], Live):
            return self._copy(form["$instance"].value)
        cls = resolve(form["$instance"])
        if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
            raise InputError(f"$instance={form['$instance']!r} is not a module class")
        config = self.decode(form["config"])
        rebuild = getattr(cls, "from_config", None)
        return rebuild(config) if rebuild is not None else cls(**config)

    def _copy(self, value: Any) -> Any:
        return copy.deepcopy(value, self._copies)


def path_of(value: Any) -> str | None:
    """Return the dotted name under which `resolve` finds exactly this class or function, or None."""
    name = getattr(value, "__qualname__", None)
    if isinstance(value, types.BuiltinFunctionType):
        name = value.__name__  # torch.tanh says that it is _VariableFunctionsClass.tanh
    path = f"{getattr(value, '__module__', None)}.{name}"
    try:
        return path if resolve(path) is value else None
    except InputError:
        return None


def resolve(path: str) -> Any:
    """Return the class or function of a dotted name, without running anybody's import but ours.

    It must live in ``nas``, ``torch.nn``, or a module that the program has imported already. The
    standard library, and Python functions of torch outside ``torch.nn``, are refused: a
    configuration from somewhere else must not reach ``os.system`` or ``torch.load``.

    Raises:
        InputError: it is not there, or not allowed.
    """
    module, rest = _module_of(path)
    top = module.__name__.partition(".")[0] if module is not None else path.partition(".")[0]
    if module is None or top in sys.stdlib_module_names:
        raise InputError(f"{path!r} is not available: expected nas.*, torch.nn.*, or an imported module's")
    value: Any = module
    for name in rest:
        value = getattr(value, name, None)
        if isinstance(value, types.ModuleType) and not value.__name__.startswith("torch._C."):
            value = None  # another module, reached through one that imported it
    if not callable(value) or not _at_home(value, module.__name__):
        raise InputError(f"{path!r} is not a class or function that may be used here")
    return value


def _at_home(value: Any, module: str) -> bool:
    """Return whether a value is defined in the module, and not only imported there."""
    if module.partition(".")[0] == "torch" and not f"{module}.".startswith("torch.nn."):
        return isinstance(value, types.BuiltinFunctionType)
    home = str(getattr(value, "__module__", None))
    return home == module or (f"{module}.".startswith(_OURS) and home.startswith(_OURS))


def _module_of(path: str) -> tuple[types.ModuleType | None, list[str]]:
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        if name not in sys.modules and name.startswith(_OURS):
            try:
                importlib.import_module(name)
            except ImportError:
                continue
        if name in sys.modules:
            return sys.modules[name], parts[cut:]
    return None, parts


def _config_of(module: nn.Module) -> Mapping[str, Any] | None:
    if isinstance(module, Configured):
        return module.config
    get_config = getattr(module, "get_config", None)
    return get_config() if callable(get_config) else None


def _nodes(form: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every dict inside a form."""
    if isinstance(form, Mapping):
        yield form
    children = form.values() if isinstance(form, Mapping) else form if isinstance(form, list) else ()
    for child in children:
        yield from _nodes(child)


def _likeness(value: Any) -> Any:
    if isinstance(value, nn.Module):
        shapes = {name: (tuple(t.shape), t.dtype) for name, t in value.state_dict().items()}
        return type(value), str(value), shapes
    if isinstance(value, Tensor):
        return type(value), value.dtype, tuple(value.shape), _bytes(value)
    return value


def _bytes(tensor: Tensor) -> bytes:
    if tensor.is_meta:
        return b""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).numpy().tobytes())
