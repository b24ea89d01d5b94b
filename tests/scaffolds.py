"""Small scaffolds, and a block that keeps what it was called with, for the tests of `EncoderScaffold`."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.base import Block
from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.transformer.encoder_block import Transformer
from nas.scaffold import EncoderScaffold

EMBEDDING = {"vocab_size": 50, "hidden_size": 16, "max_seq_length": 12}
MHA = partial(MultiHeadAttention, num_heads=2)
REUSE = partial(ReuseAttention, num_heads=2)


def scaffold(hidden_cls: Any = Transformer, **changes: Any) -> EncoderScaffold:
    settings: dict[str, Any] = {"pooled_output_dim": 8, "embedding_cfg": EMBEDDING, "hidden_cls": hidden_cls}
    if isinstance(hidden_cls, list | tuple):
        settings["num_hidden_instances"] = len(hidden_cls)
    if hidden_cls is Transformer:
        settings["hidden_cfg"] = {"num_attention_heads": 2}
    return EncoderScaffold(**{**settings, **changes}).eval()


def ids(tokens: int = 6) -> Tensor:
    return torch.arange(2 * tokens).reshape(2, tokens) % 50


class Probe(Block):
    """A block that keeps what it was called with."""

    role: ClassVar[Any] = "mixing"

    def __init__(self, layer_idx: int | None = None, attention_cfg: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.layer_idx, self.attention_cfg = layer_idx, attention_cfg
        self.seen: list[Any] = []

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        self.seen.append(attention_mask)
        return data + 1
