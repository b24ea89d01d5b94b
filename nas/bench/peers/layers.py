"""Public transformer layers, and spans of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nas.bench.base import Shape
from nas.bench.peers.base import Called, Peer, public
from nas.blocks.base import Block


def torch_layer(ours: Block, shape: Shape, *, norm_first: bool = False, bias: bool = True) -> nn.Module:
    """Return PyTorch's layer."""
    return nn.TransformerEncoderLayer(
        shape.hidden_size, shape.num_heads, 4 * shape.hidden_size, dropout=0.0, activation="gelu",
        batch_first=True, norm_first=norm_first, bias=bias,
    )  # fmt: skip


def torch_repeated(ours: Block, shape: Shape) -> nn.Module:
    """Return PyTorch's layer, run as often as ours."""
    times = ours.config["n"]
    return Called(torch_layer(ours, shape, norm_first=True, bias=False), lambda m, x: _repeat(m, x, times))


def torch_looped(ours: Block, shape: Shape) -> nn.Module:
    """Return PyTorch's layer, run as often as ours, its input added at every step."""
    times = ours.config["n"]
    return Called(torch_layer(ours, shape, norm_first=True, bias=False), lambda m, x: _loop(m, x, times))


def _repeat(layer: nn.Module, data: Tensor, times: int) -> Tensor:
    for _ in range(times):
        data = layer(data)
    return data


def _loop(layer: nn.Module, data: Tensor, times: int) -> Tensor:
    current: Tensor = layer(data)
    for _ in range(times - 1):
        current = layer(current + data)
    return current


def bert_layer(ours: Block, shape: Shape) -> nn.Module:
    """Return BERT's layer."""
    config = public("transformers.BertConfig")(
        hidden_size=shape.hidden_size, intermediate_size=4 * shape.hidden_size, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, num_attention_heads=shape.num_heads, attn_implementation="sdpa",
    )  # fmt: skip
    return Called(public("transformers.models.bert.modeling_bert.BertLayer")(config))


def mobilebert_layer(ours: Block, shape: Shape) -> nn.Module:
    """Return MobileBERT's layer."""
    settings: dict[str, Any] = ours.config
    narrow = settings["intra_bottleneck_size"] or shape.hidden_size // 4
    config = public("transformers.MobileBertConfig")(
        hidden_size=shape.hidden_size, num_attention_heads=shape.num_heads, intra_bottleneck_size=narrow,
        intermediate_size=settings["intermediate_size"] or 4 * narrow, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, num_feedforward_networks=settings["num_feedforward_networks"],
        normalization_type=settings["normalization_type"], hidden_act=settings["intermediate_act_fn"],
        use_bottleneck_attention=settings["use_bottleneck_attention"], attn_implementation="sdpa",
        key_query_shared_bottleneck=settings["key_query_shared_bottleneck"],
    )  # fmt: skip
    return Called(public("transformers.models.mobilebert.modeling_mobilebert.MobileBertLayer")(config))


_PLACELESS = {"span.attention.position": "none"}

PEERS = (
    Peer("transformer/encoder_block", "torch.nn.TransformerEncoderLayer", torch_layer),
    Peer("transformer/encoder_block", "transformers BERT", bert_layer),
    Peer("transformer/scaffold", "torch.nn.TransformerEncoderLayer", torch_layer),
    Peer("transformer/mobilebert", "transformers MobileBERT", mobilebert_layer),
    Peer("recursive/repeat", "torch.nn.TransformerEncoderLayer", torch_repeated, _PLACELESS),
    Peer("recursive/loop", "torch.nn.TransformerEncoderLayer", torch_looped, _PLACELESS),
)
