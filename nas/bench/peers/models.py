"""Public encoders with a masked-modelling head, each a module from a batch to its loss []."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.bench.peers.base import public
from nas.tasks.base import Batch


class ModelShape(NamedTuple):
    """D, L, H, F, T, B and V of an encoder in training."""

    hidden_size: int
    layers: int
    heads: int
    inner: int
    tokens: int
    batch: int
    vocab: int


Build = Callable[[ModelShape, str], nn.Module]
Call = Callable[[Any, Batch], Tensor]


@dataclass(frozen=True)
class Rival:
    """A public encoder.

    Attributes:
        name: package and class.
        build: makes it, from the shape and one of ``forms``.
        forms: the ways in which it computes attention.
        ours: overrides of the encoder that computes the same, or as nearly as its settings allow.
    """

    name: str
    build: Build
    forms: tuple[str, ...]
    ours: Callable[[ModelShape], tuple[str, ...]]


class Called(nn.Module):
    """A module under a function that calls it with a batch.

    Args:
        module: the public one, and what else has parameters.
        call: returns the loss [].
    """

    def __init__(self, module: nn.Module, call: Callable[[Any, Batch], Tensor]) -> None:
        super().__init__()
        self.module = module
        self.call = call

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss []."""
        return self.call(self.module, batch)


def _all_positions(model: Any, batch: Batch) -> Tensor:
    """Give labels for every position, -100 where nothing is asked: the documented way."""
    ids = batch.inputs["input_word_ids"]
    labels = torch.full_like(ids, -100).flatten().index_copy(0, batch.positions, batch.labels)
    loss: Tensor = model(ids, labels=labels.view_as(ids)).loss
    return loss


def _chosen_positions(model: Any, batch: Batch) -> Tensor:
    """Put only the hidden tokens through the head, as a user might who takes the model apart."""
    sequence = model.bert(batch.inputs["input_word_ids"]).last_hidden_state
    logits = model.cls(sequence.flatten(0, 1).index_select(0, batch.positions))
    return F.cross_entropy(logits.float(), batch.labels)


def _bert(call: Call, dropout: float = 0.0) -> Build:
    def build(shape: ModelShape, form: str) -> nn.Module:
        config = public("transformers.BertConfig")(
            **_sizes(shape), max_position_embeddings=shape.tokens, hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout, attn_implementation=form,
        )  # fmt: skip
        return Called(public("transformers.BertForMaskedLM")(config), call)

    return build


def _modernbert(shape: ModelShape, form: str) -> nn.Module:
    config = public("transformers.ModernBertConfig")(
        **{**_sizes(shape), "intermediate_size": _gated(shape)}, max_position_embeddings=shape.tokens,
        attn_implementation=form, local_attention=32, sparse_prediction=True, reference_compile=False,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
    )  # fmt: skip
    return Called(public("transformers.ModernBertForMaskedLM")(config), _all_positions)


class _Plain(nn.Module):
    """Embedding, positions, a public stack of layers and a tied head on the hidden tokens."""

    def __init__(self, stack: nn.Module, shape: ModelShape) -> None:
        super().__init__()
        self.words = nn.Embedding(shape.vocab, shape.hidden_size)
        self.places = nn.Parameter(torch.zeros(shape.tokens, shape.hidden_size))
        self.norm = nn.LayerNorm(shape.hidden_size)
        self.stack = stack
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss []."""
        data = self.stack(self.norm(self.words(batch.inputs["input_word_ids"]) + self.places))
        chosen = data.flatten(0, 1).index_select(0, batch.positions)
        return F.cross_entropy(F.linear(chosen, self.words.weight).float(), batch.labels)


def _torch_encoder(shape: ModelShape, form: str) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        shape.hidden_size, shape.heads, shape.inner, dropout=0.0, activation="gelu", batch_first=True
    )
    return _Plain(nn.TransformerEncoder(layer, shape.layers, enable_nested_tensor=False), shape)


def _x_encoder(shape: ModelShape, form: str) -> nn.Module:
    stack = public("x_transformers.Encoder")(
        dim=shape.hidden_size, depth=shape.layers, heads=shape.heads, ff_mult=shape.inner / shape.hidden_size,
        attn_dim_head=shape.hidden_size // shape.heads, attn_flash=form == "sdpa",
    )  # fmt: skip
    return _Plain(stack, shape)


def _sizes(shape: ModelShape) -> Mapping[str, Any]:
    return {
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
    }


def _gated(shape: ModelShape) -> int:
    """Return the inner width of a gated network of as many weights."""
    return max(8, 8 * round(shape.inner * 2 / 3 / 8))


def like_bert(shape: ModelShape) -> tuple[str, ...]:
    """Return the overrides of post-norm layers of a shape, but for width and heads."""
    width = f"encoder.blocks.layer.inner_dim={shape.inner}"
    return "encoder=bert", f"encoder.num_layers={shape.layers}", width


def _like_modernbert(shape: ModelShape) -> tuple[str, ...]:
    width = f"encoder.blocks.ffn.inner_dim={_gated(shape)}"
    slots = ",".join(f"{'local' if layer % 3 else 'global'},ffn" for layer in range(shape.layers))
    return "encoder=modernbert", "encoder.num_layers=null", f"encoder.hidden_cls=[{slots}]", width


def _like_prenorm(shape: ModelShape) -> tuple[str, ...]:
    slots = ",".join(["attn,mlp"] * shape.layers)
    widths = f"encoder.blocks.mlp.inner_dim={shape.inner}", "encoder.blocks.attn.position=none"
    return "encoder=hybrid", f"encoder.hidden_cls=[{slots}]", *widths


BERT = "transformers BertForMaskedLM"
RIVALS = (
    Rival(BERT, _bert(_all_positions), ("sdpa", "eager"), like_bert),
    Rival(f"{BERT}, taken apart", _bert(_chosen_positions), ("sdpa", "eager"), like_bert),
    Rival(f"{BERT}, dropout 0.1", _bert(_all_positions, 0.1), ("sdpa",), like_bert),
    Rival("transformers ModernBertForMaskedLM", _modernbert, ("sdpa", "eager"), _like_modernbert),
    Rival("x_transformers Encoder", _x_encoder, ("sdpa", "plain"), _like_prenorm),
    Rival("torch.nn.TransformerEncoder", _torch_encoder, ("sdpa",), like_bert),
)
