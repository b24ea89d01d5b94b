"""Constructor signatures read from source text: the schema of every ``_target_``, without imports.

Importing PyTorch takes seconds; a wrong key should be told in less. So the classes that YAML files
name are found by path and parsed, not imported.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


@dataclass(frozen=True)
class Annotation:
    """An annotation, and the module whose names it uses."""

    node: ast.expr | None
    module: str


@dataclass(frozen=True)
class Signature:
    """The parameters of a class's constructor.

    Attributes:
        parameters: name to annotation, in order.
        required: names without a default.
        open: whether further keywords are taken (``**kwargs`` that lead nowhere known).
    """

    parameters: dict[str, Annotation]
    required: frozenset[str]
    open: bool = False


@functools.cache
def signature_of(target: str) -> Signature | None:
    """Return the constructor signature of ``package.module.Class``, or of a function there.

    A constructor that passes ``**kwargs`` on has its base class's parameters too. None means that
    the module's file neither defines nor imports such a class or function.
    """
    found = _locate(*_parted(target))
    if found is None:
        return None
    module, definition = found[0], _definition(*found)
    if isinstance(definition, ast.FunctionDef):
        return _from_function(definition, module, skip_self=False)
    if isinstance(definition, ast.ClassDef):
        return _from_class(definition, module)
    return None


@functools.cache
def keys_of(module: str, name: str) -> Signature | None:
    """Return the keys of the TypedDict that ``name`` stands for in ``module``, None for anything else.

    All of them may be left out: it has to be declared with ``total=False``.
    """
    found = _locate(module, name)
    definition = _definition(*found) if found else None
    if found is None or not isinstance(definition, ast.ClassDef):
        return None
    bases = [base.id for base in definition.bases if isinstance(base, ast.Name)]
    parents = [keys for base in bases if (keys := keys_of(found[0], base))]
    if "TypedDict" not in bases and not parents:
        return None
    own = _fields(definition, found[0])
    return Signature(
        {k: v for part in [*(p.parameters for p in parents), own] for k, v in part.items()}, frozenset()
    )


@functools.cache
def resolve_alias(module: str, name: str) -> Annotation | None:
    """Return what ``name = Literal[...]`` (or an imported alias) means in ``module``."""
    return next((Annotation(value, m) for m, n in _trail(module, name) if (value := _assigned(m, n))), None)


def is_class(module: str, name: str) -> bool:
    """Return whether ``name`` in ``module`` is a class whose source can be found."""
    found = _locate(module, name)
    return found is not None and isinstance(_definition(*found), ast.ClassDef)


def defined_at(target: str) -> str | None:
    """Return the path of the class that ``target`` names where its source defines it, else None."""
    found = _locate(*_parted(target))
    return ".".join(found) if found and isinstance(_definition(*found), ast.ClassDef) else None


def has_source(module: str) -> bool:
    """Return whether the module's source can be found."""
    return _tree(module) is not None


def source_mistake(target: str) -> str | None:
    """Return the file, line and fault of the first module on the way to a class that is not Python."""
    parsed = (_parsed(module) for module, _ in _trail(*_parted(target)))
    return next((found for found in parsed if isinstance(found, str)), None)


def class_paths(module: str) -> list[str]:
    """Return the dotted paths of the classes that a module defines."""
    tree = _tree(module)
    return [f"{module}.{n.name}" for n in tree.body if isinstance(n, ast.ClassDef)] if tree else []


def _from_class(definition: ast.ClassDef, module: str) -> Signature:
    constructor = next(
        (n for n in definition.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None
    )
    if constructor is None:
        own = _dataclass_fields(definition, module)
        base = _inherited(definition, module) or Signature({}, frozenset())
        return Signature({**base.parameters, **own.parameters}, base.required | own.required)
    signature = _from_function(constructor, module, skip_self=True)
    parent = _inherited(definition, module) if signature.open else None
    if parent is None:
        return signature
    inherited = {k: v for k, v in parent.parameters.items() if k not in signature.parameters}
    parameters = {**signature.parameters, **inherited}
    return Signature(parameters, parent.required | signature.required, parent.open)


def _inherited(definition: ast.ClassDef, module: str) -> Signature | None:
    for base in definition.bases:
        if isinstance(base, ast.Name):
            found = _locate(module, base.id)
            signature = signature_of(".".join(found)) if found else None
            if signature is not None:
                return signature
    return None


def _from_function(function: ast.FunctionDef, module: str, skip_self: bool) -> Signature:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = {a.arg for a in positional[len(positional) - len(arguments.defaults) :]}
    with_default |= {
        a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None
    }
    every = [*positional[1 if skip_self else 0 :], *arguments.kwonlyargs]
    return Signature(
        {a.arg: Annotation(a.annotation, module) for a in every},
        frozenset(a.arg for a in every if a.arg not in with_default),
        open=arguments.kwarg is not None,
    )


def _dataclass_fields(definition: ast.ClassDef, module: str) -> Signature:
    if not any("dataclass" in ast.unparse(d) for d in definition.decorator_list):
        return Signature({}, frozenset())
    with_default = {
        n.target.id
        for n in definition.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name) and n.value is not None
    }
    fields = _fields(definition, module)
    return Signature(fields, frozenset(fields.keys() - with_default))


def _fields(definition: ast.ClassDef, module: str) -> dict[str, Annotation]:
    """Return the annotated names in a class's body."""
    return {
        n.target.id: Annotation(n.annotation, module)
        for n in definition.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
    }


def _definition(module: str, name: str) -> ast.stmt | None:
    tree = _tree(module)
    if tree is None:
        return None
    kinds = (ast.ClassDef, ast.FunctionDef)
    return next((n for n in tree.body if isinstance(n, kinds) and n.name == name), None)


def _locate(module: str, name: str) -> tuple[str, str] | None:
    """Return where a name is defined, in this module or one that it is imported from."""
    return next((place for place in _trail(module, name) if _definition(*place) is not None), None)


def _trail(module: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield a module and name, and what it may stand for from import to import."""
    waiting = [(module, name)]
    seen: set[tuple[str, str]] = set()  # modules may import from each other
    while waiting:
        place = waiting.pop()
        if place not in seen:
            yield place
            seen.add(place)
            waiting.extend(_imported_from(*place))


def _parted(target: str) -> tuple[str, str]:
    module, _, name = target.rpartition(".")
    return module, name


def _imported_from(module: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield what a name may stand for in other modules, in the order of the imports: the last one holds."""
    tree = _tree(module)
    for node in tree.body if tree else ():
        if isinstance(node, ast.ImportFrom) and (origin := _origin(node, module)):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    yield origin, alias.name
                elif alias.name == "*" and _is_public(origin, name):
                    yield origin, name


def _is_public(module: str, name: str) -> bool:
    """Return whether ``import *`` takes a name from a module, as far as its text tells."""
    listed = _assigned(module, "__all__")
    if isinstance(listed, ast.List | ast.Tuple):
        return any(isinstance(item, ast.Constant) and item.value == name for item in listed.elts)
    return not name.startswith("_")


def _assigned(module: str, name: str) -> ast.expr | None:
    """Return what a module sets a name to."""
    tree = _tree(module)
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == name for t in node.targets
        ):
            return node.value
    return None


def _origin(node: ast.ImportFrom, module: str) -> str | None:
    """Return the module that an import in ``module`` names, dots before it counted from there."""
    if not node.level:
        return node.module
    path = _source(module)
    above = node.level - (path is not None and path.name == "__init__.py")
    parents = module.split(".")
    kept = parents[: len(parents) - above]
    return ".".join([*kept, *([node.module] if node.module else [])]) if kept else None


def _tree(module: str) -> ast.Module | None:
    parsed = _parsed(module)
    return parsed if isinstance(parsed, ast.Module) else None


@functools.cache
def _parsed(module: str) -> ast.Module | str | None:
    """Return the module's source, what is wrong in it, or None if there is none."""
    path = _source(module)
    try:
        return ast.parse(path.read_bytes(), str(path)) if path else None
    except SyntaxError as error:
        return f"{path}, line {error.lineno or 1}: {error.msg}"
    except ValueError as error:  # null bytes, in older Pythons
        return f"{path}: {error}"


def _source(module: str) -> Path | None:
    if module.partition(".")[0] == "nas":  # our own files are found without importing their packages
        base = Path(__file__).parents[2].joinpath(*module.split("."))
        candidates = (base.with_suffix(".py"), base / "__init__.py")
        return next((c for c in candidates if c.is_file()), None)
    if module.partition(".")[0] == "torch":
        return None
    spec = _spec(module)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _spec(module: str) -> ModuleSpec | None:
    """Return where a module is; unlike `importlib.util.find_spec` it imports no package on the way."""
    package, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    for name in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        # by its last name: folders without an __init__.py would ask for the package by the whole one
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec
