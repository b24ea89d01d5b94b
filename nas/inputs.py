"""An encoder's inputs: token ids, padding mask and type ids, from a dict, a list or a tuple."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nas.errors import InputError, nearest

INPUT_NAMES = ("input_word_ids", "input_mask", "input_type_ids")
Inputs = Mapping[str, Any] | Sequence[Any] | Tensor
"""What an encoder is called with: named inputs, or inputs in the order of `INPUT_NAMES`."""


@dataclass(frozen=True)
class EncoderInputs:
    """The three standard inputs, checked.

    Attributes:
        word_ids: [B, T] integers.
        mask: [B, T] numbers or booleans, 1 or True for a real token; None: every token is real.
        type_ids: [B, T] integers; None: every type is 0.
    """

    word_ids: Tensor
    mask: Tensor | None = None
    type_ids: Tensor | None = None


def read_inputs(inputs: Inputs) -> EncoderInputs:
    """Return the standard inputs of a dict, a list or tuple in order, or of the ids alone.

    Raises:
        InputError: a name is unknown, the ids are missing, or a shape or dtype is wrong.
    """
    named = _named(inputs)
    mistakes = [*_id_mistakes(named), *_mask_mistakes(named)]
    if mistakes:
        raise InputError(*mistakes)
    ids, types = named["input_word_ids"], named.get("input_type_ids")
    return EncoderInputs(_as_index(ids), named.get("input_mask"), None if types is None else _as_index(types))


def mask_of(inputs: Any) -> Tensor | None:
    """Return the padding mask among inputs of any form: named ``input_mask``, or second in order."""
    if isinstance(inputs, Mapping):
        found = inputs.get("input_mask")
    elif isinstance(inputs, Sequence) and len(inputs) > 1:
        found = inputs[1]
    else:
        found = None
    return found if isinstance(found, Tensor) else None


def _named(inputs: Inputs) -> dict[str, Any]:
    if isinstance(inputs, Tensor):
        return {"input_word_ids": inputs}
    if isinstance(inputs, Mapping):
        unknown = [
            f"input {name!r} is not one of {list(INPUT_NAMES)}{nearest(str(name), INPUT_NAMES)}"
            for name in inputs
            if name not in INPUT_NAMES
        ]
        if unknown:
            raise InputError(*unknown)
        return dict(inputs)
    if not isinstance(inputs, Sequence):
        raise InputError(
            f"inputs are of type {type(inputs).__name__}: expected a dict, list or tuple of tensors"
        )
    if len(inputs) > len(INPUT_NAMES):
        raise InputError(f"{len(inputs)} inputs were given: expected at most 3, {list(INPUT_NAMES)}")
    return dict(zip(INPUT_NAMES, inputs, strict=False))


def _id_mistakes(named: Mapping[str, Any]) -> list[str]:
    ids = named.get("input_word_ids")
    if not isinstance(ids, Tensor):
        return [f"input_word_ids is {type(ids).__name__}: expected a tensor of integers [B, T]"]
    mistakes = []
    if ids.dim() != 2 or ids.shape[1] == 0:
        mistakes.append(f"input_word_ids has shape {list(ids.shape)}: expected [B, T] with T > 0")
    if not _holds_integers(ids):
        mistakes.append(f"input_word_ids is {ids.dtype}: expected integers, such as torch.int64")
    types = named.get("input_type_ids")
    if types is not None:
        mistakes += _like_ids("input_type_ids", types, ids)
        if isinstance(types, Tensor) and not _holds_integers(types):
            mistakes.append(f"input_type_ids is {types.dtype}: expected integers, such as torch.int64")
    return mistakes


def _mask_mistakes(named: Mapping[str, Any]) -> list[str]:
    mask, ids = named.get("input_mask"), named.get("input_word_ids")
    if mask is None or not isinstance(ids, Tensor):
        return []
    mistakes = _like_ids("input_mask", mask, ids)
    if isinstance(mask, Tensor) and mask.is_complex():
        mistakes.append(f"input_mask is {mask.dtype}: expected booleans, integers or floats")
    return mistakes


def _like_ids(name: str, value: Any, ids: Tensor) -> list[str]:
    if not isinstance(value, Tensor):
        return [f"{name} is {type(value).__name__}: expected a tensor [B, T]"]
    if value.shape != ids.shape:
        return [f"{name} has shape {list(value.shape)}: expected that of the ids, {list(ids.shape)}"]
    return []


def _holds_integers(values: Tensor) -> bool:
    return not (values.is_floating_point() or values.is_complex() or values.dtype is torch.bool)


def _as_index(ids: Tensor) -> Tensor:
    """Return the ids in a dtype that a table can be read with."""
    return ids if ids.dtype in (torch.int32, torch.int64) else ids.long()
