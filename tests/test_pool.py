"""Encoders from a pool of named blocks, without any configuration."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

from nas.blocks.feedforward.mlp import MLP
from nas.blocks.none import NoBlock
from nas.blocks.recursive.reuse import ReuseAttention
from nas.embeddings import TransformerEmbedding
from nas.errors import InputError
from nas.masks import SelfAttentionMask
from nas.pool import encoder_from_pool
from nas.scaffold import EncoderScaffold

SIZE, TOKENS, WORDS = 16, 6, 11


def build(hidden_cls: list[Any], **changes: Any) -> EncoderScaffold:
    blocks = {
        "mlp": functools.partial(MLP, hidden_size=SIZE),
        "one": MLP(hidden_size=SIZE),
        "reuse": functools.partial(ReuseAttention, hidden_size=SIZE, num_heads=2),
        "none": NoBlock,
    }
    embedding = functools.partial(
        TransformerEmbedding, vocab_size=WORDS, hidden_size=SIZE, max_seq_length=TOKENS
    )
    given = {"blocks": blocks, "embedding": embedding, "mask": SelfAttentionMask, **changes}
    return encoder_from_pool(SIZE, 2, hidden_cls, **given)


def outputs(encoder: EncoderScaffold) -> list[torch.Tensor]:
    ids = torch.arange(2 * TOKENS).reshape(2, TOKENS) % WORDS
    return encoder([ids, torch.ones_like(ids), torch.zeros_like(ids)])


def test_classes_and_partials_are_fresh_and_instances_shared() -> None:
    layers = build(["mlp", "one", "mlp", "one", "none"]).hidden_layers
    assert layers[0] is not layers[2]
    assert layers[1] is layers[3]
    assert isinstance(layers[4], NoBlock)


def test_the_list_is_tiled() -> None:
    labels = [type(layer).__name__ for layer in build(["mlp", "reuse"], num_layers=5).hidden_layers]
    assert labels == ["MLP", "ReuseAttention", "MLP", "ReuseAttention", "MLP"]


def test_blocks_themselves_may_stand_in_the_list() -> None:
    block = MLP(hidden_size=SIZE)
    layers = build([block, "mlp", block]).hidden_layers
    assert layers[0] is layers[2] is block


@pytest.mark.parametrize("names", [["mlp"], ["mlp", "reuse", "one", "reuse"]])
def test_recursion_is_found_out_and_the_encoder_runs(names: list[str]) -> None:
    encoder = build(names)
    sequence, pooled = outputs(encoder)
    assert sequence.shape == (2, TOKENS, SIZE)
    assert pooled.shape == (2, SIZE)


def test_pooled_output_dim() -> None:
    assert outputs(build(["mlp"], pooled_output_dim=5))[1].shape == (2, 5)


def test_unknown_names_are_told_together() -> None:
    with pytest.raises(InputError) as caught:
        build(["mpl", "mlp", "rouse"])
    assert len(caught.value.mistakes) == 2
    assert "encoder.hidden_cls.0='mpl'" in caught.value.mistakes[0]
    assert "did you mean 'reuse'?" in caught.value.mistakes[1]


def test_too_few_layers() -> None:
    with pytest.raises(InputError, match="2 slots but encoder"):
        build(["mlp", "mlp"], num_layers=1)


@pytest.mark.parametrize("width", [0, -16])
def test_a_width_below_one_is_told_by_its_own_name(width: int) -> None:
    with pytest.raises(InputError, match=rf"^encoder\.hidden_size={width} must be greater than 0$"):
        encoder_from_pool(width, 2, ["none"], {"none": NoBlock}, TransformerEmbedding, SelfAttentionMask)


def test_no_pooled_output_is_not_the_default_one() -> None:
    with pytest.raises(InputError, match="pooled_output_dim=0 must be"):
        build(["mlp"], pooled_output_dim=0)
