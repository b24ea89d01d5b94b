"""Which classes a configuration may name: a whitelist, checked before anything is imported."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from nas.config.signatures import class_paths, defined_at, has_source, source_mistake
from nas.errors import nearest

TRUSTED = ("nas.", "torch.nn.")
FUNCTION = "nas.pool.encoder_from_pool"
"""The one target that is no class."""


def target_mistake(key: str, target: object, trusted: Iterable[str]) -> str | None:
    """Return why ``target`` may not be built, or None.

    A prefix alone would not do: ``nas.files.os.system`` has one. So a target of ours must be a class
    that its module's own source defines, or imports from a module of a trusted prefix which does; and
    one of PyTorch's a public class of ``torch.nn``.
    """
    prefixes = (*TRUSTED, *trusted)
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        return f"{key}={target!r} must be a dotted path to a class"
    if not target.startswith(prefixes):
        return (
            f"{key}={target!r} is not trusted: allowed are {', '.join(p + '*' for p in prefixes)}; "
            f"on the command line trusted_targets=[{target.split('.')[0]}.] adds your own"
        )
    if target.startswith("torch."):
        return _torch_mistake(key, target)
    if target != FUNCTION and not (defined_at(target) or "").startswith(prefixes):
        if wrong := source_mistake(target):
            return f"{key}={target!r} cannot be read: {wrong}"
        module = target.rpartition(".")[0]
        if not has_source(module):
            return f"{key}={target!r}: there is no module {module} (is its folder on PYTHONPATH?)"
        return (
            f"{key}={target!r} names no class that its module defines{nearest(target, class_paths(module))}"
        )
    return None


def _torch_mistake(key: str, target: str) -> str | None:
    name = target.removeprefix("torch.nn.")
    if "." not in name:
        from torch import nn

        found = getattr(nn, name, None)
        if inspect.isclass(found) and issubclass(found, nn.Module):
            return None
        return f"{key}={target!r} is not a module class of torch.nn{nearest(name, dir(nn))}"
    return f"{key}={target!r} is not a public class of torch.nn such as torch.nn.Linear"
