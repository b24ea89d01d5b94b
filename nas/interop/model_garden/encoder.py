"""The original's EncoderScaffold: its embedding, hidden layers, final norm and pooler."""

from __future__ import annotations

import functools
from typing import Any

from torch import nn

from nas.embeddings import TransformerEmbedding
from nas.errors import InputError
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.forms import AttributeForm, ClassForm, InstanceForm
from nas.interop.model_garden.weights import Weights
from nas.masks import SelfAttentionMask
from nas.scaffold import EncoderScaffold

ATTRIBUTES = {"_embedding_layer.embeddings": "embedding_layer.weight"}
"""Attributes of the original's objects that a config may point to, and ours."""


def encoder_scaffold(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build an `EncoderScaffold`; settings per layer (index, seed) are in its layers afterwards."""
    embedding, width = _embedding(arguments, weights, context)
    context = context.at(hidden_size=width)
    norm_at_end = bool(arguments.get("layer_norm_before_pooling", False))
    arguments.ignore("pooler_layer_initializer")
    encoder = EncoderScaffold(
        pooled_output_dim=arguments.get("pooled_output_dim"),
        embedding_cls=embedding,
        embedding_data=_embedding_data(arguments, context),
        num_hidden_instances=arguments.get("num_hidden_instances", 1),
        hidden_cls=_layers(arguments, weights, context),
        mask_cls=_mask(arguments, weights, context),
        layer_norm_before_pooling=norm_at_end,
        return_all_layer_outputs=bool(arguments.get("return_all_layer_outputs", False)),
        dict_outputs=bool(arguments.get("dict_outputs", False)),
        recursive=bool(arguments.get("recursive", False)),
    )
    weights.fill(encoder, pooler_layer=weights.dense("pooler"))
    if norm_at_end:
        weights.fill(encoder, output_layer_norm=weights.norm("final_layer_norm"))
    return encoder


def _embedding(arguments: Arguments, weights: Weights, context: Context) -> tuple[Any, int]:
    """Return the embedding, filled, and its width; a default one is built by the original's keys."""
    form, given = arguments.get("embedding_cls", None), arguments.get("embedding_cfg", None)
    if form is None:
        embedding = default_embedding(Arguments("embedding_cfg", given or {}), weights)
    else:
        embedding = context.translate(form, given, weights.below("embedding_network"))
    width = getattr(embedding, "hidden_size", None)
    if not isinstance(width, int):
        raise InputError(f"embedding_cls: {type(embedding).__name__} does not tell its hidden_size")
    return embedding, width


def default_embedding(given: Arguments, weights: Weights) -> nn.Module:
    """Build the scaffold's own embedding from ``embedding_cfg``."""
    given.ignore("initializer")
    embedding = TransformerEmbedding(
        given.get("vocab_size"),
        given.get("hidden_size"),
        given.get("max_seq_length"),
        type_vocab_size=given.get("type_vocab_size"),
        seq_length=given.get("seq_length", None),
        dropout_rate=given.get("dropout_rate", 0.0),
    )
    given.done()
    weights.fill(
        embedding,
        word_embeddings__weight=weights.take("word_embeddings/embeddings"),
        position_embeddings__weight=weights.take("position_embedding/position_embeddings"),
        type_embeddings__weight=weights.take("type_embeddings/embeddings"),
        norm=weights.norm("embeddings_layer_norm"),
    )
    return embedding


def _mask(arguments: Arguments, weights: Weights, context: Context) -> Any:
    """Return the mask layer; the default one as a class, which is how our own encoders have it."""
    form = arguments.get("mask_cls", ClassForm("SelfAttentionMask"))
    mask = context.translate(form, arguments.get("mask_cfg", None), weights.below("mask"))
    return SelfAttentionMask if isinstance(mask, SelfAttentionMask) else mask


def _embedding_data(arguments: Arguments, context: Context) -> Any:
    form = arguments.get("embedding_data", None)
    if form is None or arguments.get("embedding_cls", None) is None:
        return None  # the original has no use for it beside its own embedding
    if not isinstance(form, AttributeForm) or form.number not in context.instances:
        raise InputError(f"embedding_data={form!r} is not a $attr of the embedding")
    if form.path not in ATTRIBUTES:
        raise InputError(f"embedding_data: $attr path {form.path!r} is not one of {list(ATTRIBUTES)}")
    return functools.reduce(getattr, ATTRIBUTES[form.path].split("."), context.instances[form.number])


def _layers(arguments: Arguments, weights: Weights, context: Context) -> list[nn.Module]:
    """Return the module of each slot; an object that stands in several is one module."""
    count = arguments.get("num_hidden_instances", 1)
    hidden_cls = arguments.get("hidden_cls", ClassForm("Transformer"))
    forms = hidden_cls if isinstance(hidden_cls, list) else [hidden_cls] * count
    given = dict(arguments.get("hidden_cfg", None) or {})
    feed_layer_idx = arguments.get("feed_layer_idx", False)
    as_seed = arguments.get("layer_idx_as_attention_seed", False)
    layers = []
    for index, form in enumerate(forms):
        settings = {**given, "layer_idx": index} if feed_layer_idx else dict(given)
        if as_seed and isinstance(settings.get("attention_cfg"), dict):
            settings["attention_cfg"] = {**settings["attention_cfg"], "seed": index}
        own = {} if isinstance(form, InstanceForm) else settings
        layers.append(context.at(layer=index).translate(form, own, weights.below("hidden_layers", index)))
    return layers


TRANSLATORS: dict[str, Translator] = {"EncoderScaffold": encoder_scaffold}
