"""The original's MobileBERT: layer, embedding and encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from nas.blocks.transformer.mobilebert import MobileBertTransformer
from nas.embeddings.mobilebert import MobileBertEmbedding
from nas.inputs import mask_of
from nas.interop.model_garden.alone import is_alone
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.embeddings import named_like
from nas.interop.model_garden.forms import ClassForm
from nas.interop.model_garden.weights import Weights, stack
from nas.masks import SelfAttentionMask


def mobilebert_transformer(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `MobileBertTransformer`."""
    count = arguments.get("num_feedforward_networks", 4)
    block = MobileBertTransformer(
        arguments.get("hidden_size", 512),
        arguments.get("num_attention_heads", 4),
        intra_bottleneck_size=arguments.get("intra_bottleneck_size", 128),
        intermediate_size=arguments.get("intermediate_size", 512),
        num_feedforward_networks=count,
        use_bottleneck_attention=arguments.get("use_bottleneck_attention", False),
        key_query_shared_bottleneck=arguments.get("key_query_shared_bottleneck", True),
        normalization_type=arguments.get("normalization_type", "no_norm"),
        intermediate_act_fn=arguments.activation("intermediate_act_fn", "relu"),
        hidden_dropout_prob=arguments.get("hidden_dropout_prob", 0.1),
        attention_probs_dropout_prob=arguments.get("attention_probs_dropout_prob", 0.1),
    )
    arguments.ignore("initializer")
    inside = weights.below("block_layers")
    attention = inside.below("attention", 0)
    weights.fill(
        block,
        narrow__dense=inside.dense("bottleneck_input/0"),
        narrow__norm=inside.norm("bottleneck_input/1"),
        query_key=stack(attention.to_heads("query_dense"), attention.to_heads("key_dense")),
        value=attention.to_heads("value_dense"),
        attended=attention.from_heads("output_dense"),
        attention_norm=inside.norm("attention/1"),
        widen=inside.dense("bottleneck_output/0"),
        output_norm=inside.norm("bottleneck_output/2"),
    )
    if block.shared is not None:
        weights.fill(
            block.shared,
            dense=inside.dense("kq_shared_bottleneck/0"),
            norm=inside.norm("kq_shared_bottleneck/1"),
        )
    for index in range(count):
        weights.fill(
            block.feedforwards[index],
            inner=inside.dense(f"ffn/{index}/0"),
            output=inside.dense(f"ffn/{index}/1"),
            norm=inside.norm(f"ffn/{index}/2"),
        )
    alone = is_alone(arguments, context) and arguments.class_name == "MobileBertTransformer"
    return MobileBertLayer(block) if alone else block


def mobilebert_embedding(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `MobileBertEmbedding`, which reads padding as a neighbour, as the original does.

    A case that was called without types has no table of them.
    """
    arguments.ignore("initializer")
    types = arguments.get("type_vocab_size")
    embedding = MobileBertEmbedding(
        arguments.get("word_vocab_size"),
        arguments.get("output_embed_size"),
        arguments.get("max_sequence_length", 512),
        embedding_width=arguments.get("word_embed_size"),
        normalization_type=arguments.get("normalization_type", "no_norm"),
        padding_as_neighbour=True,
        type_vocab_size=types if "type_embedding" in weights else 0,
        dropout_rate=arguments.get("dropout_rate", 0.1),
    )
    if embedding.type_embeddings is not None:
        table = weights.take("type_embedding/embeddings")
        weights.fill(embedding, type_embeddings__weight=table)
    weights.fill(
        embedding,
        word_embeddings__weight=weights.take("word_embedding/embeddings"),
        position_embeddings__weight=weights.take("pos_embedding/position_embeddings"),
        before=weights.dense("word_embedding_proj"),
        norm=weights.norm("layer_norm"),
    )
    return TypedEmbedding(embedding) if is_alone(arguments, context) else embedding


class MobileBertLayer(nn.Module):
    """The layer under the original's call: data, mask, and whether attention's weights are wanted."""

    def __init__(self, block: MobileBertTransformer) -> None:
        super().__init__()
        self.block = block

    def forward(
        self,
        input_tensor: Tensor,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
    ) -> Any:
        """Return [B, T, D], with the weights [B, H, T, T] if they are wanted."""
        out = self.block(input_tensor, attention_mask)
        if not return_attention_scores:
            return out
        return out, self.block.attention_scores(input_tensor, attention_mask)


class TypedEmbedding(nn.Module):
    """The embedding, called with ids and types (or none): a case of the original's layer by itself."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return [B, T, D] for ids and types [B, T]."""
        out: Tensor = self.embedding([input_ids, None, token_type_ids])
        return out


def mobilebert_encoder(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `MobileBertEncoder`."""
    arguments.ignore("initializer_range", "input_mask_dtype")
    tables = {
        "word_vocab_size": arguments.get("word_vocab_size", 30522),
        "word_embed_size": arguments.get("word_embed_size", 128),
        "type_vocab_size": arguments.get("type_vocab_size", 2),
        "max_sequence_length": arguments.get("max_sequence_length", 512),
    }
    width = arguments.get("hidden_size", 512)
    norm, dropout = arguments.get("normalization_type", "no_norm"), arguments.get("hidden_dropout_prob", 0.1)
    layer = {
        "hidden_size": width,
        "normalization_type": norm,
        "hidden_dropout_prob": dropout,
        "intermediate_act_fn": arguments.activation("intermediate_act_fn", "relu"),
        "num_attention_heads": arguments.get("num_attention_heads", 4),
        "intermediate_size": arguments.get("intermediate_size", 512),
        "attention_probs_dropout_prob": arguments.get("attention_probs_dropout_prob", 0.1),
        "intra_bottleneck_size": arguments.get("intra_bottleneck_size", 128),
        "use_bottleneck_attention": arguments.get("use_bottleneck_attention", False),
        "key_query_shared_bottleneck": arguments.get("key_query_shared_bottleneck", True),
        "num_feedforward_networks": arguments.get("num_feedforward_networks", 4),
    }
    tables |= {"output_embed_size": width, "normalization_type": norm, "dropout_rate": dropout}
    embedding = context.translate(
        ClassForm("MobileBertEmbedding"),
        tables,
        weights.below(named_like(weights, "mobile_bert_embedding", "embedding_layer")),
    )
    layers = [
        context.at(layer=i, hidden_size=width).translate(
            ClassForm("MobileBertTransformer"),
            layer,
            weights.below(named_like(weights, f"transformer_layer_{i}", f"transformer_layers/{i}")),
        )
        for i in range(arguments.get("num_blocks", 24))
    ]
    pooler = None
    if arguments.get("classifier_activation", False):
        pooler = nn.Linear(width, width)
        weights.fill(pooler, **weights.dense("pooler" if "pooler" in weights else "pooler_layer"))
    return MobileBertEncoder(embedding, layers, pooler)


class MobileBertEncoder(nn.Module):
    """MobileBERT as the original returns it: the embedding is an output, and pooling may do nothing.

    Args:
        embedding: a module of ids, mask and types.
        layers: `MobileBertTransformer`s.
        pooler: applied to the first token, then tanh; None: the first token as it is.
    """

    def __init__(self, embedding: nn.Module, layers: Sequence[nn.Module], pooler: nn.Linear | None) -> None:
        super().__init__()
        self.embedding = embedding
        self.hidden_layers = nn.ModuleList(layers)
        self.mask_layer = SelfAttentionMask()
        self.pooler_layer = pooler

    def forward(self, inputs: Any) -> dict[str, Any]:
        """Return the outputs: sequence, pooled, of every layer (the embedding first), attention weights."""
        data = self.embedding(inputs)
        padding = mask_of(inputs)
        mask = None if padding is None else self.mask_layer(data, padding)
        outputs, scores = [data], []
        for module in self.hidden_layers:
            layer = cast(MobileBertTransformer, module)
            scores.append(layer.attention_scores(data, mask))
            data = layer(data, mask)
            outputs.append(data)
        first = data[:, 0]
        pooled = first if self.pooler_layer is None else torch.tanh(self.pooler_layer(first))
        return {
            "sequence_output": data,
            "pooled_output": pooled,
            "encoder_outputs": outputs,
            "attention_scores": scores,
        }


TRANSLATORS: dict[str, Translator] = {
    "MobileBertTransformer": mobilebert_transformer,
    "MobileBertListAdapter": mobilebert_transformer,
    "MobileBERTEncoder": mobilebert_encoder,
    "MobileBertEmbedding": mobilebert_embedding,
}
