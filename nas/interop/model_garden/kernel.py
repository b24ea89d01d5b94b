"""The original's kernel attention, bidirectional and over causal windows."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nas.blocks.attention.kernel_attention import KernelAttention
from nas.blocks.attention.windowed_kernel import WindowedKernelAttention
from nas.errors import InputError, check_choice
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.attention import by_itself, keras_attention
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.heads import fill_attention
from nas.interop.model_garden.weights import Weights


class LeftPadded(WindowedKernelAttention):
    """Windows with the original's ``causal_padding="left"``.

    The first chunk is the short one, and the original then cuts the end off instead of the padding:
    its output is late by as many tokens, with zeros before it.
    """

    def _average(self, query: Tensor, key: Tensor, value: Tensor, real: Tensor | None) -> Tensor:
        extra, tokens = -query.shape[2] % self.chunk_size, query.shape[2]
        query, key, value = (nn.functional.pad(x, (0, 0, extra, 0)) for x in (query, key, value))
        real = None if real is None else nn.functional.pad(real, (extra, 0))
        return super()._average(query, key, value, real)[:, :, :tokens]


def kernel_attention(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `KernelAttention`, or a `WindowedKernelAttention`, that has the original's numbers.

    Raises:
        InputError: an argument, or a combination that raises there as well, is not supported.
    """
    settings = _settings(arguments, context)
    windows = _windows(arguments)
    begin = arguments.get("begin_kernel", 0)
    padding = arguments.get("causal_padding", None)
    check_choice("KernelAttention.causal_padding", padding, (None, "left", "right"))
    block: KernelAttention
    if not arguments.get("use_causal_windowed", False):
        block = KernelAttention(context.hidden_size, begin_kernel=begin, **settings)
    elif begin or settings["normalizer"] == "softmax":
        raise InputError(
            "KernelAttention: use_causal_windowed with begin_kernel or is_short_seq raises there"
        )
    else:
        cls = LeftPadded if padding == "left" else WindowedKernelAttention
        block = cls(context.hidden_size, **windows, **settings)
    fill_attention(block, weights)
    if begin:
        weights.fill(block, output_softmax=weights.from_heads("output_dense_softmax"))
    if block.projection is not None:
        weights.fill(block, projection=context.extra("projection_matrix"))
    return by_itself(block, context, "KernelAttention")


def _settings(arguments: Arguments, context: Context) -> dict[str, Any]:
    """Return what both forms take; ``expplus`` without a projection is the identity there."""
    features, name = arguments.get("num_random_features", 256), arguments.get("feature_transform", "exp")
    return keras_attention(arguments, context, wider_values=False) | {
        "feature_map": "identity" if name == "expplus" and features <= 0 else name,
        "num_features": features if features > 0 else None,
        "seed": arguments.get("seed", 0),
        "redraw": arguments.get("redraw", False),
        "scale": arguments.get("scale", None),
        "scale_by_length": arguments.get("scale_by_length", False),
        "normalizer": "softmax" if arguments.get("is_short_seq", False) else "sum",
        "model_garden": True,
    }


def _windows(arguments: Arguments) -> dict[str, Any]:
    return {
        "chunk_size": arguments.get("causal_chunk_length", 1),
        "window": arguments.get("causal_window_length", 3),
        "decay": arguments.get("causal_window_decay", None),
    }


TRANSLATORS: dict[str, Translator] = {"KernelAttention": kernel_attention}
