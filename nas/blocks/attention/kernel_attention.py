"""Kernel attention: products of features in place of the softmax, at a cost linear in length."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Unpack, get_args

import torch
from torch import Tensor, nn

from nas.blocks.attention.feature_maps import FeatureMap, Side, draw_projection, make_features
from nas.blocks.attention.mha import size_of_heads
from nas.blocks.attention.projections import project_heads
from nas.blocks.attention.softmax import attend, merge_heads
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.growth import weights_of
from nas.errors import InputError, check_choice, check_positive, check_probability
from nas.masks import PaddingMask, attention_bias, padding_of

Normalizer = Literal["sum", "length", "softmax"]
EPSILON = 1e-12
"""Added to the sum of weights, which is 0 where all is padding."""
MODEL_GARDEN_EPSILON = 1e-6
"""The same there; features of the exponential maps may be so small that it matters."""
USUAL_LENGTH = 512
"""The length at which ``scale_by_length`` changes nothing."""


class KernelSettings(Composition, total=False):
    """The arguments of `KernelAttention` that its subclasses pass on."""

    head_size: int | None
    feature_map: FeatureMap
    num_features: int | None
    seed: int | None
    redraw: bool
    scale: float | None
    scale_by_length: bool
    normalizer: Normalizer | None
    begin_kernel: int
    model_garden: bool
    bias: bool
    attention_dropout: float


class KernelAttention(ResidualBlock):
    """Every token averages all values, weighted by ``f(query) . f(key)`` for a feature map f.

    Since the products can be summed over keys first, no T x T weights are made (Katharopoulos et
    al. 2020, arXiv 2006.16236; Performer: Choromanski et al. 2020, arXiv 2009.14794). The arguments
    are those of the Model Garden's KernelAttention; differences from it: maxima and means inside
    the exponential maps are of real tokens only, and padding has no weight in the softmax form;
    ``expplus`` scales once (there once more by 1 / sqrt(K)); ``identity``, whose weights may be
    negative, divides by the number of tokens; random directions are uniform (there their signs are
    those of a factorisation, which biases the exponential maps), and ``redraw`` works.

    Args:
        hidden_size: D.
        num_heads: H.
        head_size: K; null: D / H.
        feature_map: see `nas.blocks.attention.feature_maps`.
        num_features: M, random directions that queries and keys are projected on; null: none, or K
            for ``expplus``, which can not do without.
        seed: of the directions; null: torch's generator, so that each block has its own.
        redraw: draw new directions in every forward pass of training, if there are any.
        scale: of the products of queries and keys; null: 1 / sqrt(K).
        scale_by_length: scale also by log(real tokens) / log(512) (Su, kexue.fm/archives/8823).
        normalizer: what the weighted sum of values is divided by: ``sum`` of the weights;
            ``length``, the number of real tokens; ``softmax``: weights are the softmax of the
            products of features (T x T). Null: ``sum``, or ``length`` for ``identity``.
        begin_kernel: this many first queries use softmax attention, with an output projection of
            their own.
        model_garden: reproduce the original's numbers: padding counts as a key of score 0 in the
            softmax form, exponential maps take maxima and means over the whole example, padding
            included (``expplus``: the keys' maximum over the whole batch), ``expplus`` scales
            queries and keys by 1 / sqrt(sqrt(K)) besides, 1e-6 is added to sums (here 1e-12), and
            the first queries of ``begin_kernel`` see the projections of the keys, if there are any.
        bias: of the projections.
        attention_dropout: applied to the averaged values, as in the original.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: ``num_heads`` does not divide ``hidden_size``; a number or name is not allowed.
    """

    role: ClassVar[Role] = "attention"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask
    projection: Tensor | None

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        head_size: int | None = None,
        feature_map: FeatureMap = "elu",
        num_features: int | None = None,
        seed: int | None = None,
        redraw: bool = False,
        scale: float | None = None,
        scale_by_length: bool = False,
        normalizer: Normalizer | None = None,
        begin_kernel: int = 0,
        model_garden: bool = False,
        bias: bool = False,
        attention_dropout: float = 0.0,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_choice("feature_map", feature_map, get_args(FeatureMap))
        check_choice("normalizer", normalizer, (None, *get_args(Normalizer)))
        check_probability(attention_dropout=attention_dropout)
        self.num_heads = num_heads
        self.head_size = size_of_heads(hidden_size, num_heads, head_size)
        self.feature_map: FeatureMap = feature_map
        if num_features is None and feature_map == "expplus":
            num_features = self.head_size
        given = {"num_features": num_features, "scale": scale}
        check_positive(**{key: value for key, value in given.items() if value is not None})
        if begin_kernel < 0:
            raise InputError(f"begin_kernel={begin_kernel} must be at least 0")
        self.num_features, self.seed, self.redraw = num_features, seed, redraw
        self.scale = 1 / math.sqrt(self.head_size) if scale is None else scale
        self.scale_by_length = scale_by_length
        self.normalizer: Normalizer = normalizer or ("length" if feature_map == "identity" else "sum")
        self.begin_kernel, self.model_garden = begin_kernel, model_garden
        width = num_heads * self.head_size
        self.qkv = nn.Linear(hidden_size, 3 * width, bias=bias)
        self.output = nn.Linear(width, hidden_size, bias=bias)
        self.output_softmax = nn.Linear(width, hidden_size, bias=bias) if begin_kernel else None
        self.values_dropout = nn.Dropout(attention_dropout)
        drawn = None if num_features is None else draw_projection(num_features, self.head_size, seed)
        self.register_buffer("projection", drawn)

    def effective_config(self) -> dict[str, Any]:
        """Name what null stands for, and leave out what concerns a projection that is not there."""
        config = super().effective_config()
        chosen = {
            "head_size": self.head_size,
            "num_features": self.num_features,
            "scale": self.scale,
            "normalizer": self.normalizer,
        }
        unused = {} if self.num_features else {"seed": None, "redraw": False}
        return {**config, **chosen, **unused}

    @property
    def label(self) -> str:
        """Always ``kernel``."""
        return "kernel"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of projections, features, and products of features, values and sums."""
        begin = min(self.begin_kernel, seq_length) / seq_length
        width = self.num_heads * self.head_size
        features = self.num_features or self.head_size
        projections = 8.0 * self.qkv.in_features * width
        mapped = 2.0 * (2 - begin) * features * width if self.num_features else 0.0
        first = 4.0 * begin * seq_length * width
        return projections + mapped + first + self._average_flops(seq_length, begin)

    def last_weights(self) -> list[Tensor]:
        """Return those of one or both outputs."""
        both = super().last_weights()
        return both if self.output_softmax is None else [*both, *weights_of(self.output_softmax)]

    def mix(
        self,
        data: Tensor,
        attention_mask: Tensor | None,
        *state: Tensor,
        key_value: Tensor | None = None,
    ) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which keys are real is used.

        ``key_value`` [B, T, D] is what keys and values are made from, if not ``data``.
        """
        real = padding_of(attention_mask)
        query, key, value = project_heads(self.qkv, data, key_value, self.num_heads)
        begin = self.begin_kernel
        if not begin:
            return self._finish(self.output, self._kernel(query, key, value, real, real))
        assert self.output_softmax is not None
        first = self._first(query[:, :, :begin], key, value, real)
        out = self._finish(self.output_softmax, first)
        if begin >= query.shape[2]:
            return out
        rest = None if real is None else real[:, begin:]
        mixed = self._kernel(query[:, :, begin:], key, value, rest, real)
        return torch.cat([out, self._finish(self.output, mixed)], dim=1)

    def _kernel(
        self, query: Tensor, key: Tensor, value: Tensor, queries: Tensor | None, keys: Tensor | None
    ) -> Tensor:
        """Return [B, H, T, K] from heads, and from which queries and keys are real."""
        query, key = self._scaled(query, key, keys)
        asking = Side(query, queries, is_query=True, model_garden=self.model_garden)
        asked = Side(key, keys, is_query=False, model_garden=self.model_garden)
        projection = self._projection_now()
        query = make_features(self.feature_map, asking, asked, projection)
        key = make_features(self.feature_map, asked, asking, projection)
        return self._average(query, self._without_padding(key, keys), value.to(key.dtype), keys).to(
            value.dtype
        )

    def _average(self, query: Tensor, key: Tensor, value: Tensor, real: Tensor | None) -> Tensor:
        """Return the weighted values [B, H, T, K] from features [B, H, T, M]; padded keys are 0."""
        if self.normalizer == "softmax":
            return self._softmax(query, key, value, real)
        if self.normalizer == "length":
            return query @ (key.transpose(-2, -1) @ value) / self._count(value, real)
        summed = query @ (key.transpose(-2, -1) @ with_ones(value))
        return self._divided(summed)

    def _divided(self, summed: Tensor) -> Tensor:
        """Divide the weighted sums [..., K] by the sum of weights, which is the last feature of K + 1."""
        summed = summed.to(torch.promote_types(summed.dtype, torch.float32))
        epsilon = MODEL_GARDEN_EPSILON if self.model_garden else EPSILON
        return summed[..., :-1] / (summed[..., -1:] + epsilon)

    def _average_flops(self, seq_length: int, begin: float) -> float:
        """Return the cost per token where a share ``begin`` of the queries is done otherwise."""
        features = self.num_features or self.head_size
        if self.normalizer == "softmax":
            return 2.0 * (1 - begin) * self.num_heads * seq_length * (features + self.head_size)
        width = self.head_size + (self.normalizer == "sum")
        return 2.0 * (2 - begin) * self.num_heads * features * width

    def _first(self, query: Tensor, key: Tensor, value: Tensor, real: Tensor | None) -> Tensor:
        """Return softmax attention for the first queries, [B, H, T, K]."""
        query = query * self._scale(key, real)
        if self.model_garden and self.projection is not None:
            width = math.sqrt(len(self.projection))
            query, key = (x @ self.projection.to(x.dtype).T / width for x in (query, key))
        return self._softmax(query, self._without_padding(key, real), value, real)

    def _softmax(self, query: Tensor, key: Tensor, value: Tensor, real: Tensor | None) -> Tensor:
        bias = None if self.model_garden else attention_bias(real, query.dtype)
        return attend(query * math.sqrt(query.shape[-1]), key, value, bias)

    def _scaled(self, query: Tensor, key: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scale queries and keys alike, which keeps random features accurate; in a softmax, queries."""
        scale = self._scale(key, real)
        if self.normalizer == "softmax":
            return query * scale, key
        root = scale**0.5
        return query * root, key * root

    def _scale(self, key: Tensor, real: Tensor | None) -> float | Tensor:
        """Return the scale, or one for each example: [B, 1, 1, 1]."""
        if not self.scale_by_length:
            return self.scale
        count = self._count(key, real)
        if not isinstance(count, Tensor):
            return self.scale * math.log(count) / math.log(USUAL_LENGTH)
        return self.scale * count.log().to(key.dtype) / math.log(USUAL_LENGTH)

    @staticmethod
    def _count(key: Tensor, real: Tensor | None) -> int | Tensor:
        """Return the number of real tokens, at least 1: T, or [B, 1, 1, 1]."""
        if real is None:
            return key.shape[2]
        return real.sum(-1).clamp(min=1).to(torch.float32)[:, None, None, None]

    def _without_padding(self, key: Tensor, real: Tensor | None) -> Tensor:
        return key if real is None else key.masked_fill(~real[:, None, :, None], 0.0)

    def _projection_now(self) -> Tensor | None:
        if self.projection is not None and self.redraw and self.training:
            features, head_size = self.projection.shape
            return draw_projection(features, head_size, None).to(self.projection)
        return self.projection

    def _finish(self, output: nn.Linear, heads: Tensor) -> Tensor:
        out: Tensor = output(self.values_dropout(merge_heads(heads)))
        return out


def with_ones(value: Tensor) -> Tensor:
    """Append a feature of 1, [B, H, T, K + 1]: its weighted sum is the sum of the weights."""
    return torch.cat([value, torch.ones_like(value[..., :1])], dim=-1)
