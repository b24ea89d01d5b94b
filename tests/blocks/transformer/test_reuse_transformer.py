"""The Reuse Transformer's layer: whose weights it uses, which layers reuse, and places by distance."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.transformer.encoder_block import TransformerEncoderBlock
from nas.blocks.transformer.reuse_transformer import ReuseTransformer
from nas.errors import InputError
from nas.scaffold import EncoderScaffold

DATA = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 7, [1.0] * 5 + [0.0] * 2])


def make(**settings: Any) -> Any:
    torch.manual_seed(0)
    layer = ReuseTransformer(32, 4, 48, **settings)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return layer.eval()


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_layer_that_reuses_nothing_is_the_standard_one(norm_first: bool) -> None:
    layer = make(has_state=False, norm_first=norm_first)
    weights = layer.state_dict()
    for kind in ("weight", "bias"):
        parts = [weights.pop(f"attention.{name}.{kind}") for name in ("query", "key", "value")]
        weights[f"attention.qkv.{kind}"] = torch.cat(parts)
    standard = TransformerEncoderBlock(32, 4, 48, norm_first=norm_first).eval()
    standard.load_state_dict(weights)
    out, state = layer(DATA, MASK, torch.rand(2, 4, 7, 7))
    torch.testing.assert_close(out, standard(DATA, MASK), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state.sum(-1), torch.ones(2, 4, 7))
    assert not state[1, :, :, 5:].any()


def test_full_reuse_passes_the_state_through() -> None:
    layer, state = make(has_state=True), torch.rand(2, 4, 7, 7).softmax(-1)
    assert layer(DATA, MASK, state)[1] is not None
    assert torch.equal(layer(DATA, MASK, state)[1], state)
    assert layer.attention.query is None


def test_partial_reuse_puts_new_heads_first() -> None:
    layer, state = make(has_state=True, reuse_attention=3), torch.rand(2, 4, 7, 7).softmax(-1)
    new = layer(DATA, MASK, state)[1]
    assert torch.equal(new[:, 1:], state[:, :3])
    assert layer.attention.query.out_features == 8


def layers(**settings: Any) -> list[Any]:
    encoder = EncoderScaffold(
        pooled_output_dim=8,
        embedding_cfg={"vocab_size": 9, "hidden_size": 32, "max_seq_length": 7},
        num_hidden_instances=4,
        hidden_cls=ReuseTransformer,
        hidden_cfg={"num_attention_heads": 4, **settings},
        recursive=True,
        feed_layer_idx=True,
    )
    sequence, _ = encoder({"input_word_ids": torch.arange(7)[None]})
    assert sequence.shape == (1, 7, 32)
    return encoder.hidden_layers


def test_an_encoder_tells_which_layers_reuse() -> None:
    assert [layer.attention.reuse_heads for layer in layers()] == [0, 4, 4, 4]
    assert [layer.attention.reuse_heads for layer in layers(max_reuse_layer_idx=2)] == [0, 4, 4, 0]
    assert [layer.attention.reuse_heads for layer in layers(reuse_attention=1)] == [0, 1, 1, 1]


def test_scores_by_distance_are_clipped_and_only_for_new_heads() -> None:
    layer = make(has_state=False, use_relative_pe=True, pe_max_seq_length=3)
    places = layer.attention.places
    assert places is not None
    assert places.shape == (4, 5)
    torch.nn.init.zeros_(places)
    plain = layer(DATA, MASK)[0]
    with torch.no_grad():
        places[:, 4] = 1e4  # keys two places or more to the right
    state = layer(DATA, None)[1]
    right = torch.ones(7, 7).triu(2).bool()
    assert state[:, :, :5][..., :5, :].isfinite().all()
    assert (state.masked_fill(right, 0.0)[:, :, :5] < 1e-6).all()
    assert not torch.allclose(layer(DATA, MASK)[0], plain)
    assert make(has_state=True, use_relative_pe=True).attention.places is None
    assert make(has_state=True, reuse_attention=3, use_relative_pe=True).attention.places.shape[0] == 1


@pytest.mark.parametrize("norm_first", [True, False])
def test_output_range_returns_the_first_tokens(norm_first: bool) -> None:
    state = torch.rand(2, 4, 7, 7).softmax(-1)
    settings = {"has_state": True, "reuse_attention": 2, "norm_first": norm_first}
    whole, whole_state = make(**settings)(DATA, MASK, state)
    part, part_state = make(**settings, output_range=3)(DATA, MASK, state)
    torch.testing.assert_close(part, whole[:, :3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(part_state, whole_state[:, :, :3])


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match="reuse_attention=5 must be between -1"):
        make(has_state=True, reuse_attention=5)
    with pytest.raises(InputError, match="needs a state, but no block of kind"):
        make(has_state=True)(DATA, MASK)
    with pytest.raises(InputError, match=r"of shape \[2, 4 or more, 7, 7\], not \[2, 3, 7, 7\]"):
        make(has_state=True)(DATA, MASK, torch.rand(2, 3, 7, 7))


def test_attention_alone_takes_keys_from_elsewhere() -> None:
    torch.manual_seed(0)
    block = ReuseAttention(32, 4, has_state=False, relative_positions=4, head_size=4, norm="none")
    mixed, state = block.mix(DATA[:, :3], MASK, key_value=DATA)
    assert mixed.shape == (2, 3, 32)
    assert state.shape == (2, 4, 3, 7)
    assert not state[1, :, :, 5:].any()
