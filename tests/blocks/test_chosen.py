"""The end of an encoder at chosen tokens: the same as choosing from all of its output."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from nas.blocks.attention.local import LocalAttention
from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.chosen import count_whole, pick
from nas.blocks.feedforward.glu import GLU
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.mixing.fourier import FourierMixing
from nas.blocks.none import NoBlock
from nas.blocks.transformer.encoder_block import TransformerEncoderBlock
from nas.scaffold import EncoderScaffold

MHA = partial(MultiHeadAttention, num_heads=2)
LAYER = partial(TransformerEncoderBlock, num_attention_heads=2)
LISTS: list[tuple[list[Any], int]] = [
    ([MHA, MLP, MHA, MLP], 2),
    ([MHA, partial(MHA, position="none", qk_norm=True), GLU, NoBlock], 1),
    ([MHA, partial(MHA, position="sinusoid", num_kv_heads=1, norm="post")], 1),
    ([MHA, partial(MHA, position="t5"), MLP], 2),
    ([MHA, partial(MHA, causal=True), MLP], 2),
    ([MHA, partial(MLP, position="sinusoid")], 2),
    ([partial(LocalAttention, num_heads=2, window=2), MLP], 1),
    ([LAYER, LAYER], 1),
    ([LAYER, partial(LAYER, norm_first=True, use_rms_norm=True), MLP], 1),
    ([MHA, FourierMixing], 2),
    ([MLP, MLP], 0),
]


def encoder_of(layers: list[Any]) -> EncoderScaffold:
    torch.manual_seed(0)
    sizes = {"vocab_size": 11, "hidden_size": 8, "max_seq_length": 7}
    return EncoderScaffold(
        8, embedding_cfg=sizes, num_hidden_instances=len(layers), hidden_cls=layers,
        layer_norm_before_pooling=True,
    )  # fmt: skip


@pytest.mark.parametrize(("layers", "whole"), LISTS)
@pytest.mark.parametrize("padded", [False, True])
def test_it_is_what_was_chosen_from_all(layers: list[Any], whole: int, padded: bool) -> None:
    encoder = encoder_of(layers)
    assert count_whole(encoder.hidden_layers, [None] * len(layers)) == whole
    inputs = {"input_word_ids": torch.randint(11, (3, 7))}
    if padded:
        inputs["input_mask"] = torch.tensor([[1] * 7, [1] * 5 + [0] * 2, [1] * 6 + [0]])
    chosen = torch.tensor([[0, 3], [1, 4], [2, 5]])
    above = torch.randn(3, 2, 8)
    outputs, gradients = [], []
    for out in (encoder.chosen_output(inputs, chosen), pick(encoder.sequence_output(inputs), chosen)):
        outputs.append(out)
        gradients.append(torch.autograd.grad(out, list(encoder.parameters()), above, allow_unused=True))
    torch.testing.assert_close(*outputs)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_mask_of_queries_is_left_to_the_whole_block() -> None:
    blocks: list[nn.Module] = [MHA(8), MLP(8)]
    rows = torch.ones(2, 5, 5)
    assert count_whole(blocks, [rows, rows]) == 1
    assert count_whole(blocks, [rows[:, :1].expand(-1, 5, -1)] * 2) == 0


def test_pick() -> None:
    data = torch.arange(12.0).view(2, 3, 2)
    assert pick(data, torch.tensor([[0, 2], [1, 1]])).tolist() == [[[0, 1], [4, 5]], [[8, 9], [8, 9]]]
