"""One function for everything in a manifest: encoders, networks and single layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from nas.blocks.base import Block
from nas.errors import InputError
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context
from nas.interop.model_garden.families import TRANSLATORS
from nas.interop.model_garden.forms import decode
from nas.interop.model_garden.layer import CALLS, Layer, Listed
from nas.interop.model_garden.weights import Weights, without_prefix

KINDS = ("encoder_scaffold", "network", "layer")


def build(
    entry: Mapping[str, Any], weights: Mapping[str, Any], extras: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return our module for one entry of a manifest, in evaluation mode, with the entry's weights.

    Nothing is unpickled, and no name of the entry is imported: a class is looked up in a table, and
    its arguments are translated one by one.

    Args:
        entry: ``kind`` (encoder_scaffold, network or layer), ``target`` (the original's class) and
            ``config`` (its constructor's arguments with the markers that `nas.interop.model_garden.forms`
            knows); optional: ``weights`` (a list of ``{"key", "aliases"}``: other paths to one
            variable), ``inputs`` (name to ``{"shape"}``), and for a layer ``input_order`` and ``call``.
        weights: the entry's keys, with or without ``weights/`` before them, to arrays or tensors: an
            open npz file will do. Gradients instead of weights give a module whose parameters are
            the gradients, in our shapes.
        extras: what the original drew at random (``rand_attn/0``, ``projection_matrix/0``, ...), with
            or without ``extras/`` before the names; None: whatever ``weights`` has below ``extras/``.

    Returns:
        an `nas.EncoderScaffold` for an encoder or a network, called with the inputs as a list in
        order or a dict by name; for a single layer a `Layer` around our module, called the same way.

    Raises:
        InputError: the class or an argument is unknown or not supported, a weight is missing, has
            another shape, or is left over, or one of our parameters is not filled.
    """
    kind, target = _checked(entry)
    if extras is None:
        extras = {key: weights[key] for key in weights if key.startswith("extras/")}
    read = Weights.of(weights, entry.get("weights") or ())
    context = Context(TRANSLATORS, entry, without_prefix(extras, "extras"))
    if kind == "layer":
        context = context.at(hidden_size=context.input_shape()[-1])
    arguments = Arguments(target, decode(entry.get("config") or {}))
    if entry.get("call") in CALLS:
        module = CALLS[entry["call"]]()
    else:
        module = TRANSLATORS[target](arguments, read, context)
        arguments.done()
    read.check_complete(module)
    if kind == "layer":
        module = Layer.of(Listed(module) if isinstance(module, Block) else module, entry)
    return module.eval()


def _checked(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return the entry's kind and target, which must be known."""
    kind = entry.get("kind", "encoder_scaffold")
    target = entry.get("target") or "EncoderScaffold"
    mistakes = []
    if kind not in KINDS:
        mistakes.append(f"entry.kind={kind!r} is not one of {list(KINDS)}")
    if target not in TRANSLATORS:
        mistakes.append(f"entry.target={target!r} is not known; there are {sorted(TRANSLATORS)}")
    if mistakes:
        raise InputError(*mistakes)
    return kind, target
