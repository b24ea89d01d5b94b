"""Public attention layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nas.bench.base import Shape
from nas.bench.peers.base import Called, Peer, PreNorm, public
from nas.blocks.base import Block


def torch_attention(ours: Block, shape: Shape) -> nn.Module:
    """Return PyTorch's attention."""
    attention = nn.MultiheadAttention(shape.hidden_size, shape.num_heads, bias=False, batch_first=True)
    return PreNorm(attention, shape.hidden_size, lambda m, x: m(x, x, x, need_weights=False))


def x_attention(ours: Block, shape: Shape, *, flash: bool = True, **settings: Any) -> nn.Module:
    """Return x-transformers' attention with rotary embedding, its angles made once."""
    head_size = shape.hidden_size // shape.num_heads
    angles = public("x_transformers.x_transformers.RotaryEmbedding")(head_size)
    angles, scale = angles.forward_from_seq_len(shape.tokens)
    kind = public("x_transformers.Attention")
    sizes = {"dim_head": head_size, "heads": shape.num_heads}
    attention = kind(shape.hidden_size, flash=flash, **sizes, **settings)
    attention.register_buffer("angles", angles)
    return PreNorm(attention, shape.hidden_size, lambda m, x: m(x, rotary_pos_emb=(m.angles, scale)))


def modernbert(ours: Block, shape: Shape, *, window: bool = False) -> nn.Module:
    """Return ModernBERT's attention; its angles and its window's mask are made once, as in its model."""
    kind = "sliding_attention" if window else "full_attention"
    config = public("transformers.ModernBertConfig")(
        hidden_size=shape.hidden_size, num_attention_heads=shape.num_heads, num_hidden_layers=1,
        layer_types=[kind], attn_implementation="sdpa",
    )  # fmt: skip
    module = "transformers.models.modernbert.modeling_modernbert"
    places = torch.arange(shape.tokens)
    angles = public(f"{module}.ModernBertRotaryEmbedding")(config)(torch.zeros(1), places[None], kind)
    attention = public(f"{module}.ModernBertAttention")(config, 0)
    for name, table in zip(("cos", "sin"), angles, strict=True):
        attention.register_buffer(name, table)
    inside = (places[:, None] - places).abs() <= ours.config["window"] if window else None
    mask = inside if inside is None else inside.expand(shape.batch, 1, -1, -1)
    attention.register_buffer("seen", mask)
    return PreNorm(attention, shape.hidden_size, _turned)


def _turned(attention: Any, data: Tensor) -> Any:
    return attention(data, position_embeddings=(attention.cos, attention.sin), attention_mask=attention.seen)


def longformer(ours: Block, shape: Shape) -> nn.Module:
    """Return Longformer's sliding-window attention, without global tokens, and its output."""
    config = public("transformers.LongformerConfig")(
        hidden_size=shape.hidden_size, num_attention_heads=shape.num_heads, num_hidden_layers=1,
        attention_window=[2 * ours.config["window"]], attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    module = "transformers.models.longformer.modeling_longformer"
    attention = public(f"{module}.LongformerSelfAttention")(config, 0)
    attention.query_global = attention.key_global = attention.value_global = nn.Identity()
    attention.register_buffer("nothing", torch.zeros(shape.batch, shape.tokens))
    parts = nn.ModuleList([attention, nn.Linear(shape.hidden_size, shape.hidden_size)])
    return PreNorm(parts, shape.hidden_size, _longformer)


def _longformer(parts: Any, data: Tensor) -> Any:
    attention, output = parts
    none = attention.nothing.bool()
    mixed = attention(
        data, attention_mask=attention.nothing, is_index_masked=none, is_index_global_attn=none,
        is_global_attn=False,
    )  # fmt: skip
    return output(mixed[0])


def bert_attention(ours: Block, shape: Shape, *, form: str = "sdpa") -> nn.Module:
    """Return BERT's attention with its output; post-norm. The form ``eager`` returns its weights."""
    config = public("transformers.BertConfig")(
        hidden_size=shape.hidden_size, num_attention_heads=shape.num_heads, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, attn_implementation=form,
    )  # fmt: skip
    return Called(public("transformers.models.bert.modeling_bert.BertAttention")(config))


def timesfm(ours: Block, shape: Shape) -> nn.Module:
    """Return TimesFM's attention, which scales every feature of a query."""
    config = public("transformers.TimesFmConfig")(
        hidden_size=shape.hidden_size, num_attention_heads=shape.num_heads, attention_dropout=0.0,
        head_dim=shape.hidden_size // shape.num_heads, attn_implementation="sdpa",
    )  # fmt: skip
    attention = public("transformers.models.timesfm.modeling_timesfm.TimesFmAttention")(config, 0)
    return PreNorm(attention, shape.hidden_size, lambda m, x: m(x, attention_mask=None))


_MHA, _LOCAL = (partial(Peer, f"attention/{name}") for name in ("mha", "local"))
_PLACELESS = {"position": "none"}
_BERT = {"position": "none", "norm": "post", "bias": True}
_TALKING = partial(x_attention, flash=False, pre_talking_heads=True, post_talking_heads=True)

PEERS = (
    _MHA("torch.nn.MultiheadAttention", torch_attention, _PLACELESS),
    _MHA("x_transformers.Attention", x_attention),
    _MHA("transformers ModernBERT", modernbert),
    _MHA("transformers BERT", bert_attention, _BERT),
    _LOCAL("transformers ModernBERT (sliding)", partial(modernbert, window=True)),
    _LOCAL("transformers Longformer", longformer, {"position": "none", "bias": True}),
    Peer("attention/gated", "x_transformers.Attention (gate_values)", partial(x_attention, gate_values=True)),
    Peer(
        "attention/sigmoid",
        "x_transformers.Attention (sigmoid)",
        partial(x_attention, flash=False, sigmoid=True),
    ),
    Peer("attention/talking_heads", "x_transformers.Attention (talking heads)", _TALKING),
    Peer("attention/per_dim_scale", "transformers TimesFM", timesfm, {"position": "none", "bias": True}),
    Peer("recursive/value_residual", "x_transformers.Attention", x_attention),
    Peer(
        "recursive/reuse",
        "transformers BERT (eager)",
        partial(bert_attention, form="eager"),
        {"norm": "post", "bias": True},
    ),
)
