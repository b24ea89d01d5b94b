"""Public feed-forward networks."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from nas.bench.base import Shape
from nas.bench.peers.base import Called, Peer, PreNorm, public
from nas.blocks.base import Block


def torch_mlp(ours: Block, shape: Shape) -> nn.Module:
    """Return the feed-forward part of PyTorch's layer."""
    layer: Any = nn.TransformerEncoderLayer(
        shape.hidden_size, shape.num_heads, 4 * shape.hidden_size, dropout=0.0, activation="gelu",
        norm_first=True, batch_first=True, bias=False,
    )  # fmt: skip
    layer.self_attn, layer.norm1 = nn.Identity(), nn.Identity()
    return Called(layer, lambda layer, data: data + layer._ff_block(layer.norm2(data)))


def x_mlp(ours: Block, shape: Shape) -> nn.Module:
    """Return x-transformers' feed-forward network."""
    kind = public("x_transformers.x_transformers.FeedForward")
    return PreNorm(kind(shape.hidden_size, mult=4, no_bias=True), shape.hidden_size)


def bert_mlp(ours: Block, shape: Shape) -> nn.Module:
    """Return the two parts of BERT's feed-forward network; post-norm."""
    config = public("transformers.BertConfig")(
        hidden_size=shape.hidden_size, intermediate_size=4 * shape.hidden_size, hidden_dropout_prob=0.0,
        num_attention_heads=shape.num_heads,
    )  # fmt: skip
    parts = [public(f"transformers.models.bert.modeling_bert.Bert{n}") for n in ("Intermediate", "Output")]
    return Called(nn.ModuleList(part(config) for part in parts), _bert_mlp)


def _bert_mlp(parts: Any, data: Tensor) -> Any:
    intermediate, output = parts
    return output(intermediate(data), data)


def x_glu(ours: Block, shape: Shape) -> nn.Module:
    """Return x-transformers' gated feed-forward network."""
    width = _inner(ours) / shape.hidden_size
    return PreNorm(_x_glu(shape, width, swish=ours.label == "swiglu"), shape.hidden_size)


def x_glu_stack(ours: Block, shape: Shape) -> nn.Module:
    """Return x-transformers' gated feed-forward networks, stacked as ours are."""
    width = _inner(ours, "output.0") / shape.hidden_size
    stack = [nn.LayerNorm(shape.hidden_size, eps=1e-12) for _ in range(ours.config["num_blocks"])]
    parts = nn.ModuleList(nn.ModuleList([norm, _x_glu(shape, width)]) for norm in stack)
    return PreNorm(parts, shape.hidden_size, _stacked)


def _stacked(parts: Any, data: Tensor) -> Tensor:
    for norm, network in parts:
        data = norm(data + network(data))
    return data


def _x_glu(shape: Shape, width: float, **settings: Any) -> Any:
    kind = public("x_transformers.x_transformers.FeedForward")
    rounded_down = width + 0.5 / shape.hidden_size  # the inner width is cut to an integer there
    return kind(shape.hidden_size, mult=rounded_down, glu=True, **settings)


def modernbert_glu(ours: Block, shape: Shape) -> nn.Module:
    """Return ModernBERT's gated feed-forward network."""
    return _gated_by(ours, shape, "ModernBert", "modernbert")


def llama_glu(ours: Block, shape: Shape) -> nn.Module:
    """Return Llama's gated feed-forward network."""
    return _gated_by(ours, shape, "Llama", "llama")


def _gated_by(ours: Block, shape: Shape, model: str, module: str) -> nn.Module:
    config = public(f"transformers.{model}Config")(
        hidden_size=shape.hidden_size, intermediate_size=_inner(ours), num_attention_heads=shape.num_heads
    )
    kind = public(f"transformers.models.{module}.modeling_{module}.{model}MLP")
    return PreNorm(kind(config), shape.hidden_size)


def nllb_moe(ours: Block, shape: Shape) -> nn.Module:
    """Return NLLB's mixture of experts: each token chooses two."""
    width = round(ours.config["ratio"] * shape.hidden_size)
    config = public("transformers.NllbMoeConfig")(
        d_model=shape.hidden_size, num_experts=ours.config["num_experts"], router_bias=True,
        expert_capacity=int(ours.config["capacity_factor"] * shape.tokens), activation_function="gelu",
        moe_token_dropout=0.0, activation_dropout=0.0, encoder_ffn_dim=width,
    )  # fmt: skip
    kind = public("transformers.models.nllb_moe.modeling_nllb_moe.NllbMoeSparseMLP")
    return PreNorm(kind(config, width), shape.hidden_size)


def switch_moe(ours: Block, shape: Shape) -> nn.Module:
    """Return Switch Transformer's mixture of experts: each token chooses one."""
    experts = ours.config["num_experts"]
    config = public("transformers.SwitchTransformersConfig")(
        d_model=shape.hidden_size, d_ff=round(ours.config["ratio"] * shape.hidden_size), num_experts=experts,
        expert_capacity=round(ours.config["capacity_factor"] * shape.tokens / experts), dropout_rate=0.0,
        router_jitter_noise=0.0, dense_act_fn="relu", feed_forward_proj="relu",
    )  # fmt: skip
    module = "transformers.models.switch_transformers.modeling_switch_transformers"
    return PreNorm(public(f"{module}.SwitchTransformersSparseMLP")(config), shape.hidden_size)


def _inner(ours: Block, name: str = "output") -> int:
    output = ours.get_submodule(name)
    assert isinstance(output, nn.Linear)
    return output.in_features


_MLP, _GLU, _GEGLU = (partial(Peer, f"feedforward/{name}") for name in ("mlp", "glu", "geglu"))
_SWITCH = {"top_k": 1, "bias": False, "activation": "relu"}

PEERS = (
    _MLP("torch.nn.TransformerEncoderLayer (feed-forward)", torch_mlp),
    _MLP("x_transformers.FeedForward", x_mlp),
    _MLP("transformers BERT", bert_mlp, {"norm": "post", "bias": True}),
    _GLU("x_transformers.FeedForward (glu)", x_glu),
    _GLU("transformers Llama", llama_glu),
    _GEGLU("x_transformers.FeedForward (glu)", x_glu),
    _GEGLU("transformers ModernBERT", modernbert_glu),
    Peer("feedforward/gated", "x_transformers.FeedForward (glu)", x_glu_stack),
    Peer("feedforward/moe_tokens", "transformers NLLB", nllb_moe),
    Peer("feedforward/moe_tokens", "transformers Switch", switch_moe, _SWITCH),
)
