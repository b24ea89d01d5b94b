"""The original's whole encoders: BERT, ALBERT, RoFormer, FNet and Sparse Mixer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from nas.embeddings.default import TransformerEmbedding
from nas.embeddings.factorized import FactorizedEmbedding
from nas.embeddings.tables import EmbeddingSettings, Position, TableEmbedding
from nas.errors import InputError, check_choice
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.embeddings import fill_tables, named_like
from nas.interop.model_garden.forms import ClassForm, InstanceForm
from nas.interop.model_garden.weights import Weights
from nas.scaffold import EncoderScaffold

AS_ATTRIBUTES = {
    "word": "embedding_layer",
    "position": "position_embedding_layer",
    "type": "type_embedding_layer",
    "norm": "embedding_norm_layer",
    "projection": "embedding_projection",
}
"""How the parts are named in networks that are layers; functional models name them otherwise."""
MIXING = {
    "FOURIER": "FourierTransformLayer",
    "HARTLEY": "HartleyTransformLayer",
    "LINEAR": "LinearTransformLayer",
}
FNET = {
    "hidden_size": 768,
    "num_layers": 12,
    "num_attention_heads": 12,
    "inner_dim": 3072,
    "mixing_mechanism": "FOURIER",
    "attention_layers": (),
}
SPARSE_MIXER = {
    "hidden_size": 512,
    "num_layers": 14,
    "num_attention_heads": 8,
    "inner_dim": 2048,
    "mixing_mechanism": "LINEAR",
    "attention_layers": (10, 11, 12, 13),
    "moe_layers": (5, 6, 7, 8),
}


def bert_encoder(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build BertEncoder or BertEncoderV2, which are one function; the second always returns a dict."""
    second = arguments.class_name == "BertEncoderV2"
    arguments.only("return_attention_scores", False)
    arguments.only("return_word_embeddings", False)
    arguments.ignore("sequence_length")
    dict_outputs, every = (
        arguments.get("dict_outputs", False),
        arguments.get("return_all_encoder_outputs", False),
    )
    return _encoder(
        arguments,
        weights,
        context,
        layer="TransformerEncoderBlock",
        prefix="transformer_layers/" if second else "transformer/layer_",
        names=AS_ATTRIBUTES if second else None,
        dict_outputs=dict_outputs or second,
        every=every,
    )


def roformer_encoder(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build RoformerEncoder, which has no position table."""
    return _encoder(
        arguments, weights, context, layer="RoformerEncoderBlock", prefix="roformer/layer_", position="none"
    )


def albert_encoder(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build AlbertEncoder: one layer in all places, and a narrow embedding (128 unless told)."""
    width = arguments.get("hidden_size", 768)
    embedding = _embedding(arguments, weights, width=width, embedding_width=128)
    shared = context.at(hidden_size=width).translate(
        ClassForm("TransformerEncoderBlock"), _layer_arguments(arguments), weights.below("transformer")
    )
    layers = [shared] * arguments.get("num_layers", 12)
    encoder = _scaffold(embedding, layers, width, dict_outputs=arguments.get("dict_outputs", False))
    weights.fill(encoder, pooler_layer=weights.dense("pooler_transform"))
    return encoder


def fnet(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build FNet: mixing layers, attention in some places."""
    return _mixer(arguments, weights, context, FNET)


def sparse_mixer(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build SparseMixer: mixing layers, attention in some places, experts in some."""
    arguments.ignore("export_metrics")
    return _mixer(arguments, weights, context, SPARSE_MIXER)


def _encoder(
    arguments: Arguments,
    weights: Weights,
    context: Context,
    *,
    layer: str,
    prefix: str,
    names: dict[str, str] | None = None,
    position: Position = "learned",
    dict_outputs: bool = True,
    every: bool = False,
) -> EncoderScaffold:
    """Build an encoder whose layers are of one class; the last may return fewer tokens."""
    arguments.only("with_dense_inputs", False)
    width, count = arguments.get("hidden_size", 768), arguments.get("num_layers", 12)
    embedding = _embedding(arguments, weights, names=names, width=width, position=position)
    given = {**_layer_arguments(arguments), "norm_first": arguments.get("norm_first", False)}
    if position == "none":
        longest = arguments.get("max_sequence_length", 512)
        given |= {"q_max_sequence_length": longest, "kv_max_sequence_length": longest}
    output_range = arguments.get("output_range", None)
    layers = []
    for index in range(count):
        last = index == count - 1
        own = {**given, "output_range": output_range} if last and output_range else given
        layers.append(
            context.at(layer=index, hidden_size=width).translate(
                ClassForm(layer), own, weights.below(f"{prefix}{index}")
            )
        )
    encoder = _scaffold(embedding, layers, width, dict_outputs=dict_outputs, every=every)
    weights.fill(encoder, pooler_layer=weights.dense("pooler_layer" if names else "pooler_transform"))
    return encoder


def _mixer(
    arguments: Arguments, weights: Weights, context: Context, original: Mapping[str, Any]
) -> EncoderScaffold:
    """Build an encoder of TransformerScaffolds, given the original's defaults.

    Dropout inside the layers is 0, as it is there: TransformerScaffold drops those arguments.
    """
    arguments.only("with_dense_inputs", False)
    arguments.ignore("attention_dropout", "output_range")
    width, count = (
        arguments.get("hidden_size", original["hidden_size"]),
        arguments.get("num_layers", original["num_layers"]),
    )
    heads = arguments.get("num_attention_heads", original["num_attention_heads"])
    longest = arguments.get("max_sequence_length", 512)
    embedding = _embedding(arguments, weights, names=AS_ATTRIBUTES, width=width, seq_length=longest)
    mixing = str(arguments.get("mixing_mechanism", original["mixing_mechanism"])).upper()
    check_choice(f"{arguments.class_name}.mixing_mechanism", mixing, tuple(MIXING))
    use_fft = {"use_fft": arguments.get("use_fft", False)} if mixing != "LINEAR" else {}
    arguments.ignore("use_fft")
    common = {
        "num_attention_heads": heads,
        "inner_dim": arguments.get("inner_dim", original["inner_dim"]),
        "inner_activation": arguments.activation("inner_activation"),
        "norm_first": arguments.get("norm_first", False),
    }
    attending = arguments.get("attention_layers", original["attention_layers"])
    experts = _experts(arguments, common, original) if "moe_layers" in original else {}
    layers = []
    for index in range(count):
        own = {**common, "attention_cls": ClassForm(MIXING[mixing]), "attention_cfg": use_fft}
        if index in attending:
            given = {"num_heads": heads, "key_dim": width // heads}
            own |= {"attention_cls": ClassForm("MultiHeadAttention"), "attention_cfg": given}
        if index in experts.get("layers", ()):
            own["feedforward_cls"] = InstanceForm("MoeLayer", f"moe of layer {index}", experts["moe"])
        layers.append(
            context.at(layer=index, hidden_size=width).translate(
                ClassForm("TransformerScaffold"), own, weights.below("transformer_layers", index)
            )
        )
    encoder = _scaffold(embedding, layers, width)
    weights.fill(encoder, pooler_layer=weights.dense("pooler_layer"))
    return encoder


def _experts(arguments: Arguments, common: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Any]:
    """Return which layers have experts, and the arguments of their MoeLayer."""
    count = arguments.get("num_experts", 16)
    dropout = arguments.get("output_dropout", 0.1)
    network = {
        "d_ff": common["inner_dim"],
        "activation": common["inner_activation"],
        "output_dropout": dropout,
    }
    moe = {
        "experts": InstanceForm("FeedForwardExperts", "experts", {"num_experts": count, **network}),
        "router": InstanceForm("ExpertsChooseMaskedRouter", "router", {"num_experts": count}),
        "train_capacity_factor": arguments.get("train_capacity_factor", 1.0),
        "eval_capacity_factor": arguments.get("eval_capacity_factor", 1.0),
        "examples_per_group": arguments.get("examples_per_group", 1.0),
    }
    return {"layers": arguments.get("moe_layers", original["moe_layers"]), "moe": moe}


def _layer_arguments(arguments: Arguments) -> dict[str, Any]:
    """Return what every layer gets, under the names of TransformerEncoderBlock."""
    return {
        "num_attention_heads": arguments.get("num_attention_heads", 12),
        "inner_dim": arguments.get("inner_dim", 3072, also=("intermediate_size",)),
        "inner_activation": arguments.activation("inner_activation", also=("activation",)),
        "output_dropout": arguments.get("output_dropout", 0.1, also=("dropout_rate",)),
        "attention_dropout": arguments.get("attention_dropout", 0.1, also=("attention_dropout_rate",)),
    }


def _embedding(
    arguments: Arguments,
    weights: Weights,
    *,
    names: dict[str, str] | None = None,
    width: int = 768,
    embedding_width: int | None = None,
    position: Position = "learned",
    seq_length: int | None = None,
) -> TableEmbedding:
    """Build the embedding that all networks have: narrow tables are projected, with a bias."""
    narrow = arguments.get("embedding_width", embedding_width)
    names, scale = _words(arguments, weights, narrow or width, names)
    sizes = (arguments.get("vocab_size"), width, arguments.get("max_sequence_length", 512))
    settings: EmbeddingSettings = {
        "type_vocab_size": arguments.get("type_vocab_size", 16),
        "dropout_rate": arguments.get("output_dropout", 0.1, also=("dropout_rate",)),
        "position": position,
        "word_scale": scale,
        "seq_length": seq_length,
    }
    embedding: TableEmbedding
    if narrow in (None, width):
        embedding = TransformerEmbedding(*sizes, **settings)
    else:
        embedding = FactorizedEmbedding(*sizes, embedding_width=narrow, **settings)
    arguments.ignore("initializer")
    fill_tables(embedding, weights, names)
    return embedding


def _scaffold(
    embedding: TableEmbedding,
    layers: list[nn.Module],
    width: int,
    *,
    dict_outputs: bool = True,
    every: bool = False,
) -> EncoderScaffold:
    return EncoderScaffold(
        pooled_output_dim=width,
        embedding_cls=embedding,
        num_hidden_instances=len(layers),
        hidden_cls=layers,
        return_all_layer_outputs=every,
        dict_outputs=dict_outputs,
    )


def _words(
    arguments: Arguments, weights: Weights, width: int, names: dict[str, str] | None
) -> tuple[dict[str, str] | None, float]:
    """Return the names of the embedding's parts, and what multiplies words: a given layer has its own."""
    form = arguments.get("embedding_layer", None)
    if form is None:
        return names, 1.0
    if not isinstance(form, InstanceForm) or form.name != "OnDeviceEmbedding":
        raise InputError(
            f"{arguments.class_name}.embedding_layer={form!r} is not supported: only an OnDeviceEmbedding"
        )
    layer = Arguments(form.name, form.config)
    layer.ignore("use_one_hot", "weight_fallback_dtype", "initializer")
    layer.only("vocab_size", arguments.get("vocab_size"))
    layer.only("embedding_width", width)
    scale = layer.get("scale_factor", None) or 1.0
    given = str(layer.get("name", "on_device_embedding"))
    layer.done()
    return names or {"word": named_like(weights, given, "on_device_embedding", "word_embeddings")}, scale


TRANSLATORS: dict[str, Translator] = {
    "AlbertEncoder": albert_encoder,
    "BertEncoder": bert_encoder,
    "BertEncoderV2": bert_encoder,
    "FNet": fnet,
    "RoformerEncoder": roformer_encoder,
    "SparseMixer": sparse_mixer,
}
