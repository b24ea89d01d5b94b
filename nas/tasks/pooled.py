"""A head on the encoder's pooled output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.tasks.base import Answers, Batch


class PooledHead(nn.Module):
    """Dropout and one linear layer, as BERT is fine-tuned (Devlin et al. 2019, arXiv 1810.04805).

    Difference: the bias starts at ``prior``, so that a short run is not spent on learning that.

    Args:
        width: P.
        prior: [C].
        dropout: probability.
    """

    def __init__(self, width: int, prior: Tensor, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, len(prior))
        nn.init.normal_(self.output.weight, std=0.02)
        with torch.no_grad():
            self.output.bias.copy_(prior)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map [B, P] to [B, C]."""
        logits: Tensor = self.output(self.dropout(pooled))
        return logits


class PooledModel(nn.Module):
    """An encoder and a head that answers once for each row."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, batch: Batch) -> Answers:
        """Return one answer for each row of the batch."""
        outputs = self.encoder(batch.inputs)
        pooled = outputs["pooled_output"] if isinstance(outputs, dict) else outputs[1]
        logits: Tensor = self.head(pooled)
        return Answers(logits.float(), batch.labels, torch.arange(len(logits), device=logits.device))
