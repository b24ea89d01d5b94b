"""Checkpoints: weights, optimizer and position of a run, in safetensors and JSON, whole or absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nas.errors import InputError
from nas.files import new_folder, settled_folder

FOLDER = "checkpoint"
_DAMAGE = (OSError, SafetensorError, RuntimeError, LookupError, ValueError, TypeError)
_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Replace ``<folder>/checkpoint`` by the present state; ``state`` is JSON-able.

    The random state is stored too, so that dropout continues where it was.
    """
    for left_over in folder.glob(f".{FOLDER}.*"):  # by a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
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
    except _DAMAGE as error:
        raise damaged(found, error) from error
    return state


def load_encoder(folder: Path, encoder: nn.Module) -> None:
    """Load the encoder's weights from the checkpoint in a run folder; without one nothing happens.

    Raises:
        InputError: they do not fit.
    """
    found = settled_folder(folder / FOLDER)
    if found is None:
        return
    prefix = "encoder."
    try:
        tensors = load_file(found / _MODEL)
        _load_model(encoder, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except _DAMAGE as error:
        raise InputError(f"checkpoint {found} does not fit: {_one_line(error)}") from error


def damaged(found: Path, error: Exception | str) -> InputError:
    """Return the error that says so, in one line."""
    return InputError(f"checkpoint {found} is damaged ({_one_line(error)}); remove it to start again")


def _one_line(error: Exception | str) -> str:
    return " ".join(str(error).split())


def _read_state(found: Path) -> dict[str, Any]:
    try:
        state = json.loads((found / _STATE).read_text())
    except (OSError, ValueError) as error:  # absent, not JSON or not text
        raise damaged(found, error) from error
    if not isinstance(state, dict):
        raise damaged(found, f"{_STATE} is not an object")
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
    device = _parameters(optimizer)[0].device
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    return tensors


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = _parameters(optimizer)
    device = parameters[0].device
    cpu, cuda = tensors.pop("random.cpu"), tensors.pop("random.cuda", None)
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        if tensor.dim() and tensor.shape != parameters[int(index)].shape:  # PyTorch does not look
            raise ValueError(f"{_OPTIMIZER}: {name} has the shape {list(tensor.shape)}")
        state.setdefault(int(index), {})[key] = tensor
    torch.set_rng_state(cpu)
    if cuda is not None and device.type == "cuda":
        torch.cuda.set_rng_state(cuda, device)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the parameters in the order of their numbers in the optimizer's state."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
