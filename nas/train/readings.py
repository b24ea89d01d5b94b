"""The losses of past steps, left on the device until they are read, so that no step waits for them."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.train.group import Group

Losses = tuple[Tensor, dict[str, Tensor]]
"""The task's loss [] and the auxiliary losses [] by name."""


class Readings:
    """Keeps the losses of steps, and reads them all at once.

    Args:
        group: every process has a part of each loss.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self._kept: list[Losses] = []

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def latest(self) -> Tensor:
        """The task's loss [] of the last step that was not read."""
        return self._kept[-1][0]

    def add(self, parts: list[Losses]) -> None:
        """Keep the losses of one step: the sums over its micro-batches."""
        total = torch.stack([loss for loss, _ in parts]).sum() if len(parts) > 1 else parts[0][0]
        auxiliary: dict[str, Tensor] = {}
        for _, losses in parts:
            for name, value in losses.items():
                auxiliary[name] = auxiliary[name] + value if name in auxiliary else value
        self._kept.append((total, auxiliary))

    def read(self) -> list[tuple[float, dict[str, float]]]:
        """Return the losses of each step since the last reading, summed over the processes."""
        kept, self._kept = self._kept, []
        if not kept:
            return []
        flat = torch.stack([t.float() for loss, losses in kept for t in (loss, *losses.values())])
        numbers = iter(self.group.sum(flat.tolist()))
        return [(next(numbers), {name: next(numbers) for name in losses}) for _, losses in kept]
