"""PyTorch's random state of a process as tensors, so that dropout continues where it was."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

PREFIX = "random."


def random_state(device: torch.device) -> Tensor:
    """Return the state of the CPU's generator, followed by that of a GPU if ``device`` is one: bytes [N]."""
    state = torch.get_rng_state()
    return torch.cat([state, torch.cuda.get_rng_state(device)]) if device.type == "cuda" else state


def restore(tensors: Mapping[str, Tensor], rank: int, device: torch.device) -> None:
    """Set the state of the process ``rank``; one that was not there when it was kept goes on as it is.

    Args:
        tensors: by name; ``random.<rank>`` for every process that there was.
        rank: of this process.
        device: that it trains on; the state of another kind of device is left out.

    Raises:
        RuntimeError: a state is not one.
    """
    state = tensors.get(f"{PREFIX}{rank}")
    if state is None:
        return
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size])
    if device.type == "cuda" and len(state) > size:
        torch.cuda.set_rng_state(state[size:], device)
