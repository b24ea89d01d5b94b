"""The canonical form: equal for equal functions, different for different ones, quick to make."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import architecture_hash, architecture_string, canonical, settings_of
from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.mixing.conv import DepthwiseConv
from nas.blocks.none import NoBlock
from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.transformer.scaffold import TransformerScaffold
from nas.masks import PaddingMask
from nas.scaffold import EncoderScaffold

MHA = partial(MultiHeadAttention, num_heads=2)
EMBEDDING = {"vocab_size": 50, "hidden_size": 16, "max_seq_length": 12}


def scaffold(*layers: Any, **changes: Any) -> EncoderScaffold:
    settings: dict[str, Any] = {
        "pooled_output_dim": 8,
        "embedding_cfg": EMBEDDING,
        "num_hidden_instances": len(layers),
        "hidden_cls": list(layers),
    }
    with torch.device("meta"):
        return EncoderScaffold(**{**settings, **changes})


class Foreign(nn.Module):
    """A layer from elsewhere."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.inner = nn.Linear(16, width)

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        return data


def test_the_hash_is_twelve_digits_and_stable() -> None:
    assert architecture_hash(scaffold(MHA, MLP)) == architecture_hash(scaffold(MHA, MLP))
    assert len(architecture_hash(scaffold(MHA))) == 12
    assert int(architecture_hash(scaffold(MHA)), 16) >= 0


@pytest.mark.parametrize(
    "equal",
    [
        lambda: scaffold(NoBlock, MHA, NoBlock, MLP),
        lambda: scaffold(MHA, MLP, embedding_cfg={**EMBEDDING, "vocab_size": 99, "max_seq_length": 77}),
        lambda: scaffold(MHA, MLP, dict_outputs=True),
        lambda: scaffold(partial(MHA, num_kv_heads=2, head_size=8), MLP(16)),
        lambda: scaffold(partial(MHA, hidden_size=16), MLP),
    ],
)
def test_equal_functions_are_one_architecture(equal: Any) -> None:
    assert canonical(equal()) == canonical(scaffold(MHA, MLP))
    assert architecture_hash(equal()) == architecture_hash(scaffold(MHA, MLP))


@pytest.mark.parametrize(
    "other",
    [
        lambda: scaffold(MLP, MHA),
        lambda: scaffold(MHA, MLP, MLP),
        lambda: scaffold(MHA, partial(MLP, dropout=0.1)),
        lambda: scaffold(MHA, partial(MLP, activation="relu")),
        lambda: scaffold(MHA, MLP, layer_norm_before_pooling=True),
        lambda: scaffold(MHA, MLP, pooled_output_dim=4),
        lambda: scaffold(MHA, MLP, mask_cls=PaddingMask),
        lambda: scaffold(MHA, MLP, embedding_cfg={**EMBEDDING, "type_vocab_size": 0}),
    ],
)
def test_different_functions_are_different_architectures(other: Any) -> None:
    assert architecture_hash(other()) != architecture_hash(scaffold(MHA, MLP))


def test_sharing_counts_where_there_are_weights() -> None:
    ffn, other, empty = MLP(16), MLP(16), NoBlock()
    shared, fresh = scaffold(ffn, MHA, ffn), scaffold(ffn, MHA, other)
    assert architecture_hash(shared) != architecture_hash(fresh)
    assert canonical(shared)["slots"] == [0, 1, 0]
    assert architecture_hash(scaffold(ffn, empty, MHA, empty)) == architecture_hash(scaffold(MLP, MHA))


def test_a_mask_that_nothing_reads_does_not_count() -> None:
    conv = architecture_hash(scaffold(DepthwiseConv))
    assert architecture_hash(scaffold(DepthwiseConv, mask_cls=PaddingMask)) == conv


def test_has_state_follows_from_the_list() -> None:
    reuse = partial(ReuseAttention, num_heads=2)
    blocks = canonical(scaffold(reuse, reuse, recursive=True))["blocks"]
    assert all("has_state" not in block["settings"] for block in blocks)


def test_the_form_is_json_even_with_foreign_parts() -> None:
    encoder = scaffold(Foreign, partial(Foreign, width=5), MLP, pooler_layer_initializer=lambda w: w)
    form = canonical(encoder)
    assert json.loads(json.dumps(form)) == form
    assert form["blocks"][0]["class"].endswith("Foreign")
    assert form["blocks"][0]["settings"] != form["blocks"][1]["settings"]


def test_a_block_may_leave_out_what_has_no_effect() -> None:
    class Ratio(MLP):
        def effective_config(self) -> dict[str, Any]:
            return {"inner_dim": self.inner.out_features}

    assert settings_of(Ratio(16, ratio=2)) == settings_of(Ratio(16, inner_dim=32)) == {"inner_dim": 32}


def test_strings() -> None:
    ffn, layer = MLP(16), MHA(16)
    conv = DepthwiseConv
    assert architecture_string(scaffold(MHA, MLP, conv)) == "mha-mlp-conv"
    assert architecture_string(scaffold(MHA, NoBlock, MLP, NoBlock)) == "mha-mlp"
    assert architecture_string(scaffold(NoBlock, NoBlock)) == "none"
    assert architecture_string(scaffold(layer, layer, NoBlock, layer)) == "mha*3"
    assert architecture_string(scaffold(layer, ffn, layer, ffn)) == "mha-mlp-=mha-=mlp"
    assert architecture_string(scaffold(layer, ffn, layer, layer)) == "mha-mlp-=mha*2"
    assert architecture_string(scaffold(Foreign, MLP)) == "Foreign-mlp"


def test_one_mixer_inside_several_layers_is_another_architecture() -> None:
    def around(*attentions: nn.Module) -> str:
        layers = [TransformerScaffold(16, 2, attention_cls=attention) for attention in attentions]
        return architecture_hash(scaffold(*layers))

    one, two, three = (MultiHeadAttention(16, 2, norm="none") for _ in range(3))
    assert around(one, two) == around(two, three)
    assert around(one, one) != around(one, two)
