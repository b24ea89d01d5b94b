"""How long a candidate takes on this device: each distinct layer is timed once and remembered."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nas.costs.read import build, parts_of_config
from nas.files import read_json, write_json
from nas.search.pricing import Candidate
from nas.train.threads import thread_count

_WARM, _TIMED = 2, 7
"""Of the timed passes the shortest counts, layer by layer: other programs make some of them longer."""


class Latency:
    """Milliseconds of a forward pass over one sequence, added up from layers.

    A candidate with a layer that was never timed is built and run once, with random weights, and
    every layer is timed where it stands. What is known is kept in a file, by device and by layer.

    Args:
        path: of the file.
        device: on which the passes run.
        threads: how many a CPU uses.
    """

    def __init__(self, path: Path, device: torch.device, threads: int) -> None:
        self._path, self._device, self._threads = path, device, threads
        self._known: dict[str, float] = read_json(path) if path.is_file() else {}

    def milliseconds(self, candidate: Candidate) -> float:
        """Return the time of a forward pass [1, T].

        Raises:
            InputError: the candidate cannot be built.
        """
        keys = self._keys(candidate)
        if any(key not in self._known for key in keys):
            measured = self._measure(candidate)
            for key, value in zip(keys, measured, strict=True):
                self._known.setdefault(key, value)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._known, durable=False)
        return sum(self._known[key] for key in keys)

    def _keys(self, candidate: Candidate) -> list[str]:
        """Return what each layer's time depends on: the slots in order, then all that is around them."""
        parts = parts_of_config(candidate.node, candidate.seq_length, None)
        told = [place.layer.key for place in parts.slots]
        around = (parts.embedding.key, parts.width, parts.pooled, parts.normed)
        # A layer that does not tell what it depends on is timed anew for each list.
        whole = str(candidate.node) if None in (*told, parts.embedding.key) else ""
        return [
            self._key(key, candidate, f"{whole}{index}" if whole else "")
            for index, key in enumerate((*told, around))
        ]

    def _key(self, key: Any, candidate: Candidate, more: str) -> str:
        where = (_name(self._device), self._threads, torch.__version__, candidate.seq_length, more)
        return hashlib.sha256(repr((key, where)).encode()).hexdigest()[:20]

    def _measure(self, candidate: Candidate) -> list[float]:
        with thread_count(self._threads), torch.random.fork_rng(devices=[]):
            encoder = build(candidate.node, candidate.seq_length, device=str(self._device)).eval()
            vocab = candidate.node["embedding"].get("vocab_size") or 2
            ids = torch.randint(vocab, (1, candidate.seq_length), device=self._device)
            with torch.no_grad():
                runs = [self._one_pass(encoder, ids) for _ in range(_WARM + _TIMED)]
        return [min(times) for times in zip(*runs[_WARM:], strict=True)]

    def _one_pass(self, encoder: Any, ids: torch.Tensor) -> list[float]:
        """Return the milliseconds of each slot, and of all the rest."""
        spans: list[float] = []
        began: list[float] = []

        def before(*_: Any) -> None:
            began.append(self._now())

        def after(*_: Any) -> None:
            since = began.pop()
            if not began:  # else it is a block inside another one
                spans.append(self._now() - since)

        layers: Sequence[Any] = list(dict.fromkeys(encoder.hidden_layers))
        hooks = [layer.register_forward_pre_hook(before) for layer in layers]
        hooks += [layer.register_forward_hook(after) for layer in layers]
        start = self._now()
        encoder([ids])
        whole = self._now() - start
        for hook in hooks:
            hook.remove()
        return [1000 * t for t in (*spans, max(whole - sum(spans), 0.0))]

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.node()} {platform.machine()}"
