"""Checkpoints: weights, optimizer and position of a run, in safetensors and JSON, whole or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nas.errors import InputError
from nas.files import new_folder, settled_folder

FOLDER = "checkpoint"
_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Replace ``<folder>/checkpoint`` by the present state; ``state`` is JSON-able.

    The random state is stored too, so that dropout continues where it was.
    """
    with new_folder(folder / FOLDER) as new:
        save_file(_unique(model.state_dict()), new / _MODEL)
        save_file(_optimizer_tensors(optimizer), new / _OPTIMIZER)
        (new / _STATE).write_text(json.dumps(state))


def load(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, architecture: str
) -> dict[str, Any] | None:
    """Restore what `save` stored and return its ``state``; None if there is no checkpoint.

    Raises:
        InputError: the checkpoint belongs to another architecture, or is damaged.
    """
    found = settled_folder(folder / FOLDER)
    if found is None:
        return None
    state = _read_state(found)
    if state.get("architecture_hash") != architecture:
        theirs = state.get("architecture_hash")
        raise InputError(f"checkpoint {found} holds architecture {theirs!r}, this run is {architecture!r}")
    try:
        _load_model(model, load_file(found / _MODEL))
        _load_optimizer(optimizer, load_file(found / _OPTIMIZER))
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise InputError(f"checkpoint {found} is damaged ({error}); remove it to start again") from error
    return state


def load_weights(folder: Path, model: nn.Module) -> None:
    """Load only the weights of a checkpoint in a run folder.

    Raises:
        InputError: there is none, or it does not fit.
    """
    found = settled_folder(folder / FOLDER)
    if found is None:
        raise InputError(f"{folder} holds no checkpoint")
    try:
        _load_model(model, load_file(found / _MODEL))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(f"checkpoint {found} does not fit: {error}") from error


def _read_state(found: Path) -> dict[str, Any]:
    try:
        state = json.loads((found / _STATE).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"checkpoint {found} is damaged ({error}); remove it to start again") from error
    if not isinstance(state, dict):
        raise InputError(
            f"checkpoint {found} is damaged ({_STATE} is not an object); remove it to start again"
        )
    return state


def _unique(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out further names of a tensor that is there already: shared blocks are stored once."""
    seen: dict[int, str] = {}
    kept = {}
    for name, tensor in tensors.items():
        if seen.setdefault(tensor.data_ptr(), name) == name or tensor.numel() == 0:
            kept[name] = tensor.detach().contiguous().cpu()
    return kept


def _load_model(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    own = _unique(model.state_dict())
    if own.keys() != tensors.keys():
        differing = sorted(own.keys() ^ tensors.keys())
        raise RuntimeError(f"the names of its tensors differ: {differing[:3]}")
    missing_are_shared = model.load_state_dict(tensors, strict=False)
    assert not missing_are_shared.unexpected_keys


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {
        f"{index}.{key}": value.detach().cpu()
        for index, slots in optimizer.state_dict()["state"].items()
        for key, value in slots.items()
        if isinstance(value, Tensor)
    }
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    return tensors


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors.pop("random.cpu"))
    if (cuda := tensors.pop("random.cuda", None)) is not None:
        torch.cuda.set_rng_state(cuda)
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
