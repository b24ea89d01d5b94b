"""Objects that remember the arguments they were built with, so that they can be described and rebuilt."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class Configured:
    """A mixin that records the constructor arguments of each subclass in ``self.config``.

    ``config`` maps every parameter name to the value in force, defaults included, so that
    ``type(x)(**x.config)`` builds the same thing again (with fresh weights for a module).

    A constructor that ends in ``**kwargs`` hands them to its base class: the signature of the
    subclass, as `inspect.signature` tells it, has the base's arguments after its own.
    """

    config: dict[str, Any]

    def constructing(self) -> AbstractContextManager[None]:
        """Return what the outermost constructor runs in, ``config`` being known: a subclass may check it."""
        return nullcontext()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Wrap the subclass's ``__init__`` so that the outermost call records its arguments."""
        super().__init_subclass__(**kwargs)
        if hasattr(cls.__init__, "records"):  # the one of a parent, which does so already
            return
        original = cls.__init__
        signature = _with_inherited(inspect.signature(original), super(cls, cls).__init__)

        @functools.wraps(original)
        def recording(self: Configured, *args: Any, **kwargs: Any) -> None:
            if "config" in self.__dict__:  # a parent's constructor must not overwrite it
                original(self, *args, **kwargs)
                return
            self.__dict__["config"] = _bound(signature, self, args, kwargs)
            with self.constructing():
                original(self, *args, **kwargs)

        recording.records = True  # type: ignore[attr-defined]
        recording.__signature__ = signature  # type: ignore[attr-defined]
        cls.__init__ = recording  # type: ignore[assignment,method-assign]


def _with_inherited(signature: inspect.Signature, base: Callable[..., Any]) -> inspect.Signature:
    """Replace ``**kwargs`` by those arguments of the base's constructor that are not there yet."""
    own = list(signature.parameters.values())
    if not own or own[-1].kind is not inspect.Parameter.VAR_KEYWORD:
        return signature
    inherited = inspect.signature(base).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = {parameter.name for parameter in own} | {"self"}
    added = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inherited
        if parameter.kind in named and parameter.name not in taken
    ]
    rest = [p for p in inherited if p.kind is inspect.Parameter.VAR_KEYWORD]
    return signature.replace(parameters=[*own[:-1], *added, *rest])


def _bound(
    signature: inspect.Signature, self: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    try:
        bound = signature.bind(self, *args, **kwargs)
    except TypeError:
        return {}  # the constructor itself is about to raise the better message
    bound.apply_defaults()
    _self, *parameters = signature.parameters.values()
    config: dict[str, Any] = {}
    for parameter in parameters:
        value = bound.arguments[parameter.name]
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            config.update(value)
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            config[parameter.name] = value
    return config
