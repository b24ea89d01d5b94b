"""Loss and metrics of predicted tokens, summed over batches of any size."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.tasks.base import Batch


def cross_entropy_sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Return [2]: the summed cross-entropy (nats) and the number of right answers.

    Args:
        logits: [M, V] in any precision; the sums are taken in fp32.
        labels: [M] int64.
    """
    loss = F.cross_entropy(logits.float(), labels, reduction="sum")
    return torch.stack([loss, (logits.argmax(-1) == labels).sum().float()])


class Scores:
    """Collects what batches score; nothing waits for the device before `metrics`."""

    def __init__(self) -> None:
        self._sums: list[Tensor] = []
        self._answers = 0
        self._bytes = 0

    def add(self, logits: Tensor, batch: Batch) -> None:
        """Take the logits [M, V] of one batch into account."""
        self._sums.append(cross_entropy_sums(logits.detach(), batch.labels))
        self._answers += batch.labels.numel()
        self._bytes += batch.target_bytes

    def metrics(self, split: str = "val") -> dict[str, float]:
        """Return ``val/loss`` (nats per answer), ``val/accuracy`` and, for text, ``val/bits_per_byte``.

        Bits per byte is the loss over what the hidden tokens stand for, so that it can be compared
        between tokenizers (not with a causal model's: more than the left context is visible here).
        """
        if not self._answers:
            raise ValueError("no batch was added")
        loss, right = torch.stack(self._sums).cpu().double().sum(0).tolist()
        found = {f"{split}/loss": loss / self._answers, f"{split}/accuracy": right / self._answers}
        if self._bytes:
            found[f"{split}/bits_per_byte"] = loss / math.log(2) / self._bytes
        return found
