"""Objects that remember the arguments they were built with, so that they can be described and rebuilt."""

from __future__ import annotations

import functools
import inspect
from typing import Any


class Configured:
    """A mixin that records the constructor arguments of each subclass in ``self.config``.

    ``config`` maps every parameter name to the value in force, defaults included, so that
    ``type(x)(**x.config)`` builds the same thing again (with fresh weights for a module).
    """

    config: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Wrap the subclass's own ``__init__`` so that the outermost call records its arguments."""
        super().__init_subclass__(**kwargs)
        if "__init__" not in cls.__dict__:
            return
        original = cls.__init__
        signature = inspect.signature(original)

        @functools.wraps(original)
        def recording(self: Configured, *args: Any, **kwargs: Any) -> None:
            if "config" not in self.__dict__:  # a parent's constructor must not overwrite it
                self.__dict__["config"] = _bound(signature, self, args, kwargs)
            original(self, *args, **kwargs)

        cls.__init__ = recording  # type: ignore[assignment,method-assign]


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
        else:
            config[parameter.name] = value
    return config
