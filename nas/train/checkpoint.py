"""Checkpoints: weights, optimizer and position of a run, in safetensors and JSON, whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nas.errors import InputError
from nas.files import new_folder, settled_folder
from nas.train import manifest
from nas.train.random_state import PREFIX, random_state, restore

FOLDER = "checkpoint"
DAMAGE = (OSError, SafetensorError, RuntimeError, LookupError, ValueError, TypeError)
MODEL, OPTIMIZER, STATE, ABOUT = "model.safetensors", "optimizer.safetensors", "state.json", "about.json"


def save(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    about: Mapping[str, Any] | None = None,
    random: Sequence[Tensor] | None = None,
) -> None:
    """Replace ``<folder>/checkpoint`` by the present state, with the checksums of its files.

    Args:
        folder: the run folder.
        model: its weights; shared ones are stored once.
        optimizer: its moments.
        state: where the run is; JSON-able.
        about: what the model is, for a run that starts from this one; JSON-able.
        random: the random state of every process, by rank; None: that of this one.
    """
    random = [random_state(_device(optimizer))] if random is None else random
    names = stored_names(model)
    with new_folder(folder / FOLDER) as new:
        save_file(_stored(model), new / MODEL)
        states = {f"{PREFIX}{rank}": kept for rank, kept in enumerate(random)}
        save_file({**_optimizer_tensors(optimizer), **states}, new / OPTIMIZER)
        (new / STATE).write_text(json.dumps(dict(state)))
        shared = {name: kept for name, kept in names.items() if name != kept}
        (new / ABOUT).write_text(json.dumps({**(about or {}), "shared": shared}))
        manifest.write(new)


def load(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, architecture: str, rank: int = 0
) -> dict[str, Any] | None:
    """Restore what `save` stored and return its ``state``; None if there is no checkpoint.

    Args:
        folder: the run folder.
        model: on any device.
        optimizer: over its parameters.
        architecture: the hash of its encoder.
        rank: whose random state to restore.

    Raises:
        InputError: the checkpoint belongs to another architecture, or is damaged.
    """
    found = settled_folder(folder / FOLDER)
    if found is None:
        return None
    try:
        manifest.verify(found)
        state = read_object(found / STATE)
    except DAMAGE as error:
        raise damaged(found, error) from error
    if state.get("architecture_hash") != architecture:
        theirs = state.get("architecture_hash")
        raise InputError(f"checkpoint {found} holds architecture {theirs!r}, this run is {architecture!r}")
    try:
        _load_model(model, load_file(found / MODEL))
        _load_optimizer(optimizer, load_file(found / OPTIMIZER), rank)
    except DAMAGE as error:
        raise damaged(found, error) from error
    return state


def load_encoder(folder: Path, encoder: nn.Module) -> None:
    """Load the encoder's weights from the checkpoint in a run folder; without one nothing happens.

    Raises:
        InputError: they do not fit, or are damaged.
    """
    _load_weights(folder, encoder, "encoder.")


def load_model(folder: Path, model: nn.Module) -> None:
    """Load a task's model, encoder and head; see `load_encoder`."""
    _load_weights(folder, model, "")


def _load_weights(folder: Path, module: nn.Module, prefix: str) -> None:
    found = settled_folder(folder / FOLDER)
    if found is None:
        return
    try:
        manifest.verify(found)
        tensors = load_file(found / MODEL)
        _load_model(module, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except DAMAGE as error:
        raise InputError(f"checkpoint {found} does not fit: {one_line(error)}") from error


def damaged(found: Path, error: Exception | str) -> InputError:
    """Return the error that says so, in one line."""
    return InputError(f"checkpoint {found} is damaged ({one_line(error)}); remove it to start again")


def one_line(error: Exception | str) -> str:
    """Return an error's text without line breaks."""
    return " ".join(str(error).split())


def read_object(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds.

    Raises:
        OSError: it is missing.
        ValueError: it is not JSON, not text, or not an object.
    """
    found = json.loads(path.read_text())
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is not an object")
    return found


def stored_names(model: nn.Module) -> dict[str, str]:
    """Return for every name in the model's state the name that its tensor is stored under.

    They differ for the further names of a shared block.
    """
    seen: dict[int, str] = {}
    return {
        name: name if tensor.numel() == 0 else seen.setdefault(tensor.data_ptr(), name)
        for name, tensor in model.state_dict().items()
    }


def _stored(model: nn.Module) -> dict[str, Tensor]:
    state = model.state_dict()
    kept = (name for name, stored in stored_names(model).items() if name == stored)
    return {name: state[name].detach().contiguous().cpu() for name in kept}


def _load_model(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    own = set(stored_names(model).values())
    if own != tensors.keys():
        raise RuntimeError(f"the names of its tensors differ: {sorted(own ^ tensors.keys())[:3]}")
    missing_are_shared = model.load_state_dict(tensors, strict=False)
    assert not missing_are_shared.unexpected_keys


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{index}.{key}": value.detach().cpu()
        for index, slots in optimizer.state_dict()["state"].items()
        for key, value in slots.items()
        if isinstance(value, Tensor)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], rank: int) -> None:
    parameters = _parameters(optimizer)
    random = {name: tensors.pop(name) for name in list(tensors) if name.startswith(PREFIX)}
    if f"{PREFIX}0" not in random:
        raise KeyError(f"{OPTIMIZER}: no random state")
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        if tensor.dim() and tensor.shape != parameters[int(index)].shape:  # PyTorch does not look
            raise ValueError(f"{OPTIMIZER}: {name} has the shape {list(tensor.shape)}")
        state.setdefault(int(index), {})[key] = tensor
    restore(random, rank, _device(optimizer))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _device(optimizer: torch.optim.Optimizer) -> torch.device:
    return _parameters(optimizer)[0].device


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the parameters in the order of their numbers in the optimizer's state."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
