"""What a run chose for its device and shape, in one line and for its provenance."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.attention.softmax import use_plain
from nas.train.compile import Compiled
from nas.train.loop import TrainingLoop


def attention_form(model: nn.Module, device: torch.device, dtype: torch.dtype, tokens: int) -> str:
    """Return how softmax attention over T tokens is computed: ``plain``, ``sdpa``, both, or ``none``."""
    sizes = {module.head_size for module in model.modules() if isinstance(module, MultiHeadAttention)}
    where = torch.device("cpu" if device.type == "cpu" else "meta")
    queries = [torch.empty(1, 1, tokens, size, dtype=dtype, device=where) for size in sorted(sizes)]
    forms = {"plain" if where.type == "cpu" and use_plain(query) else "sdpa" for query in queries}
    return "+".join(sorted(forms)) or "none"


def optimizer_form(optimizer: torch.optim.Optimizer) -> str:
    """Return its name, ``fused`` where one kernel updates all parameters: ``adamw (fused)``."""
    parts = getattr(optimizer, "parts", [optimizer])
    fused = [bool(part.defaults.get("fused")) for part in parts]
    names = [type(part).__name__.lower() for part in parts]
    return "+".join(f"{name} (fused)" if f else name for name, f in zip(names, fused, strict=True))


def told(choices: dict[str, Any]) -> str:
    """Return the choices as one line."""
    words = {key: ("off", "on")[v] if isinstance(v, bool) else v for key, v in choices.items()}
    return ", ".join(f"{key.replace('_', ' ')} {word}" for key, word in words.items())


def choices_of(loop: TrainingLoop, compiled: Compiled, *, kept: bool) -> dict[str, Any]:
    """Return what the loop runs with: plain values, by name.

    Args:
        loop: ready to run.
        compiled: what is.
        kept: whether freed memory is kept; see `nas.train.memory`.
    """
    tf32 = loop.trainer.precision == "tf32"
    cpu = loop.device.type == "cpu"
    return {
        "device": str(loop.device),
        "precision": "tf32" if tf32 else str(loop.dtype).removeprefix("torch."),
        "attention": attention_form(loop.model, loop.device, loop.dtype, loop.task.seq_length),
        "compile": compiled,
        "optimizer": optimizer_form(loop.optimizer),
        "threads": torch.get_num_threads(),
        "prefetch": loop.batches.ahead,
        **({"keep_memory": kept} if cpu else {}),
    }
