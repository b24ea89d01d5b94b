"""One seed for a run: every random stream is derived from it by name and step."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and the names, the same on every platform."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy generator for one named stream, for instance ``generator(seed, "mask", step)``."""
    return np.random.Generator(np.random.Philox(derive(seed, *names)))


def seed_torch(seed: int, *names: str | int) -> None:
    """Seed PyTorch's global generators (weights, dropout) for one named stream."""
    import torch

    torch.manual_seed(derive(seed, *names))
