"""Embeddings: from token ids to the vectors that the first block reads."""

from nas.embeddings.default import TransformerEmbedding
from nas.embeddings.factorized import FactorizedEmbedding
from nas.embeddings.mobilebert import MobileBertEmbedding
from nas.embeddings.packed import PackedSequenceEmbedding

__all__ = [
    "FactorizedEmbedding",
    "MobileBertEmbedding",
    "PackedSequenceEmbedding",
    "TransformerEmbedding",
]
