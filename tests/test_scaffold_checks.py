"""Wrong arguments are told at construction, all together (reference README, section 5A)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from nas.blocks.feedforward.mlp import MLP
from nas.blocks.none import NoBlock
from nas.blocks.transformer.encoder_block import Transformer
from nas.errors import InputError
from nas.masks import PaddingMask
from nas.scaffold import EncoderScaffold
from tests.scaffolds import EMBEDDING, MHA, REUSE, Probe, scaffold


def test_the_length_of_a_list_must_be_the_number_of_instances() -> None:  # 5A.1
    with pytest.raises(InputError, match=r"num_hidden_instances=3, but hidden_cls is a list of 2"):
        scaffold([NoBlock, NoBlock], num_hidden_instances=3)


@pytest.mark.parametrize("number", [0, -2, True, 1.5])
def test_the_number_of_instances_is_positive(number: Any) -> None:  # 5A.7
    with pytest.raises(InputError, match=r"num_hidden_instances=.* must be an integer greater than 0"):
        scaffold(num_hidden_instances=number)


def test_layer_idx_that_nobody_takes() -> None:  # 5A.7, 5A.9
    with pytest.raises(InputError, match=r"hidden_cls\[1\]=MLP does not accept layer_idx"):
        scaffold([Probe, MLP], feed_layer_idx=True)
    with pytest.raises(InputError, match="feed_layer_idx=True has no effect"):
        scaffold(Probe(), feed_layer_idx=True)
    with pytest.raises(InputError, match="hidden_cfg has no dict attention_cfg"):
        scaffold(Probe, layer_idx_as_attention_seed=True)
    with pytest.raises(InputError, match="hidden_cls are instances"):
        scaffold(Probe(), layer_idx_as_attention_seed=True)


def test_recursive_must_be_said_and_meant() -> None:  # 5A.7
    with pytest.raises(InputError, match=r"hidden_cls\[1\]=ReuseAttention is recursive: set recursive=True"):
        scaffold([MHA, REUSE])
    with pytest.raises(InputError, match="recursive=True, but no layer of hidden_cls takes a state"):
        scaffold([MHA, MLP], recursive=True)


def test_all_mistakes_come_together() -> None:
    with pytest.raises(InputError) as caught:
        EncoderScaffold(
            pooled_output_dim=0,
            pooler_layer_initializer="normal",
            embedding_cfg={"vocab": 50, "hidden_size": 16},
            num_hidden_instances=2,
            hidden_cls=[3, Transformer, nn.Linear],
            hidden_cfg={"num_heads": 2},
            mask_cls="self",
            mask_cfg=[1],
            dict_outputs="false",
        )
    text = str(caught.value)
    for part in (
        "pooled_output_dim=0 must be an integer greater than 0",
        "pooler_layer_initializer='normal' is not callable",
        "embedding_cfg.vocab=50 is no argument of embedding_cls=TransformerEmbedding",
        "did you mean 'vocab_size'",
        "num_hidden_instances=2, but hidden_cls is a list of 3",
        "hidden_cls[0]=3 is of type int: expected a module class",
        "hidden_cfg.num_heads=2 is no argument of hidden_cls[1]=Transformer",
        "hidden_cls[1]=Transformer needs ['num_attention_heads']",
        "hidden_cls[2]=Linear: its forward must take (data, attention_mask[, state])",
        "mask_cfg=[1] is of type list: expected a dict",
        "dict_outputs='false' must be True or False",
    ):
        assert part in text, part


def test_values_that_a_constructor_refuses_name_the_slot() -> None:
    with pytest.raises(InputError) as caught:
        scaffold([partial(MHA, num_kv_heads=3), MLP, partial(MLP, ratio=-1)])
    assert "hidden_cls[0]=MultiHeadAttention: num_heads=2 is not a multiple of num_kv_heads=3" in str(
        caught.value
    )
    assert "hidden_cls[2]=MLP: ratio=-1 must be greater than 0" in str(caught.value)


def test_the_default_embedding_needs_its_cfg() -> None:  # 5A.6, 5A.7
    with pytest.raises(InputError, match="embedding_cfg=None: the default embedding needs"):
        scaffold(embedding_cfg=None)
    with pytest.raises(InputError, match="embedding_data is for a custom embedding_cls"):
        scaffold(embedding_data=torch.ones(2))
    with pytest.raises(InputError, match="embedding_cls=TransformerEmbedding: dropout_rate=2"):
        scaffold(embedding_cfg={**EMBEDDING, "dropout_rate": 2})


def test_settings_of_instances_warn_that_they_have_no_effect() -> None:
    with pytest.warns(UserWarning, match="hidden_cfg has no effect"):
        scaffold(Probe(), hidden_cfg={"layer_idx": 3})
    with pytest.warns(UserWarning, match="mask_cfg has no effect"):
        scaffold(Probe(), mask_cls=PaddingMask(), mask_cfg={"a": 3})
