"""Every class of the original that is known here, and what builds it."""

from __future__ import annotations

from nas.interop.model_garden import (
    attention,
    embeddings,
    encoder,
    encoder_block,
    feedforward,
    kernel,
    layers,
    masks,
    mixing,
    mobilebert,
    moe,
    networks,
    relative,
    reuse,
    rezero,
    roformer,
    scaffold,
    tensor_network,
)
from nas.interop.model_garden.context import Translator

TRANSLATORS: dict[str, Translator] = {
    **attention.TRANSLATORS,
    **embeddings.TRANSLATORS,
    **encoder.TRANSLATORS,
    **encoder_block.TRANSLATORS,
    **feedforward.TRANSLATORS,
    **kernel.TRANSLATORS,
    **layers.TRANSLATORS,
    **masks.TRANSLATORS,
    **mixing.TRANSLATORS,
    **mobilebert.TRANSLATORS,
    **moe.TRANSLATORS,
    **networks.TRANSLATORS,
    **relative.TRANSLATORS,
    **reuse.TRANSLATORS,
    **rezero.TRANSLATORS,
    **roformer.TRANSLATORS,
    **scaffold.TRANSLATORS,
    **tensor_network.TRANSLATORS,
}
