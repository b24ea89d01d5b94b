"""The mixers inside a transformer layer, which has their norms, residuals and dropout itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nas.blocks.base import ResidualBlock
from nas.errors import InputError
from nas.factories import accepts, call_mistakes, given_to, is_factory, name_of

BARE = {"norm": "none", "residual": "add", "residual_init": None, "dropout": 0.0}
"""What a mixer inside a layer is built with: nothing around it."""


def make_mixer(
    key: str, cls: Any, cfg: Mapping[str, Any] | None, defaults: Mapping[str, Any]
) -> ResidualBlock:
    """Return the mixer of a layer: built from a class or partial, or the instance itself.

    Args:
        key: the argument that it came by, for messages: ``attention_cls`` or ``feedforward_cls``.
        cls: class, `functools.partial`, or instance.
        cfg: keyword arguments of the class.
        defaults: arguments that the class gets if it takes them and was given none.

    Raises:
        InputError: it is no block made of one mixer, refuses its arguments, or has a norm or a
            residual scheme of its own.
    """
    if not is_factory(cls):
        return _checked(key, cls, cfg)
    keywords = dict(cfg or {})
    given = {**given_to(cls), **keywords}
    for name, value in defaults.items():
        if given.get(name) is None and accepts(cls, name, by_name_only=True):
            keywords[name] = value
    keywords |= {name: value for name, value in BARE.items() if accepts(cls, name, by_name_only=True)}
    if wrong := call_mistakes(key, cls, keywords, key.replace("_cls", "_cfg")):
        raise InputError(*wrong)
    try:
        return _checked(key, cls(**keywords), None)
    except InputError as error:
        raise InputError(*(f"{key}={name_of(cls)}: {mistake}" for mistake in error.mistakes)) from None


def takes_key_value(mixer: ResidualBlock) -> bool:
    """Return whether keys and values may be made of something else than what the queries are."""
    return "key_value" in inspect.signature(mixer.mix).parameters


def mix(
    mixer: ResidualBlock, data: Tensor, attention_mask: Tensor | None, key_value: Tensor | None
) -> Tensor:
    """Return the mixer's result [B, T, D]; one that has no keys reads ``data`` [B, T, D] alone."""
    extra = {} if key_value is None or not takes_key_value(mixer) else {"key_value": key_value}
    out: Tensor = mixer.mix(data, attention_mask, **extra)
    return out


def _checked(key: str, mixer: Any, cfg: Mapping[str, Any] | None) -> ResidualBlock:
    if not isinstance(mixer, ResidualBlock) or mixer.recursive:
        what = "takes a state" if isinstance(mixer, ResidualBlock) else "is no such thing"
        raise InputError(
            f"{key}={name_of(mixer)} {what}: expected a block of one mixer (attention, mixing or "
            "feed-forward): its class, a functools.partial of it, or an instance"
        )
    if cfg:
        raise InputError(f"{key.replace('_cls', '_cfg')} has no effect: {key} is already built")
    around = (mixer.norm_before, mixer.norm_mixed, mixer.norm_after, mixer.residual)
    if any(True for part in around for _ in part.parameters()):
        raise InputError(
            f"{key}={name_of(mixer)} has a norm or a residual scheme of its own, which the layer has: "
            "build it with norm='none', residual='add'"
        )
    return mixer
