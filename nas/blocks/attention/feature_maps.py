"""Feature maps of kernel attention: what stands for a query or a key so that products replace the softmax."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

FeatureMap = Literal["elu", "relu", "square", "exp", "expmod", "expplus", "identity"]
RELU_FLOOR = 1e-3
"""Added to relu's features: a query whose features are all 0 would weigh nothing."""
EXPPLUS_FLOOR = 1e-6


@dataclass(frozen=True)
class Side:
    """The queries or the keys of one attention.

    Attributes:
        heads: [B, H, T, K], already scaled.
        real: which tokens are no padding, [B, T] booleans; None: all.
        is_query: whether these are the queries.
        model_garden: take maxima and means over the whole example (the keys' maximum of ``expplus``:
            over the whole batch), padding included, and let ``expplus`` scale once more; else they
            are of real tokens.
    """

    heads: Tensor
    real: Tensor | None
    is_query: bool
    model_garden: bool = False

    @property
    def for_expplus(self) -> Side:
        """What ``expplus`` reads: the Model Garden divides by the fourth root of K, besides the scale."""
        if not self.model_garden:
            return self
        return replace(self, heads=self.heads * self.heads.shape[-1] ** -0.25)


def make_features(name: FeatureMap, side: Side, other: Side, projection: Tensor | None) -> Tensor:
    """Return the features [B, H, T, M] of one side; M = K without a projection.

    - ``elu``: elu(x) + 1 (Katharopoulos et al. 2020, arXiv 2006.16236); ``relu``; ``square``; ``identity``.
    - ``exp``: exp(Px - |x|^2 / 2), positive random features of the softmax kernel (Performer:
      Choromanski et al. 2020, arXiv 2009.14794); ``expmod``: with sqrt(K) in place of |x|^2.
    - ``expplus``: optimal positive random features (FAVOR++: Likhosherstov et al. 2022, arXiv
      2205.15317); both sides' means shape them, without a gradient.

    Args:
        name: of the map.
        side: the queries or keys.
        other: the keys or queries that they meet.
        projection: P, [M, K], or None. ``expplus`` needs one.
    """
    x = _wide(side.heads)
    if name == "expplus":
        assert projection is not None
        return _expplus(side.for_expplus, other.for_expplus, projection)
    projected = x if projection is None else x @ projection.to(x.dtype).T
    ratio = 1.0 if projection is None else 1 / math.sqrt(len(projection))
    return ratio * _pointwise(name, projected.to(x.dtype), x, side)


def _pointwise(name: FeatureMap, projected: Tensor, x: Tensor, side: Side) -> Tensor:
    if name == "elu":
        return F.elu(projected) + 1
    if name == "relu":
        return F.relu(projected) + RELU_FLOOR
    if name == "square":
        return projected.square()
    if name == "identity":
        return projected
    norm = math.sqrt(x.shape[-1]) if name == "expmod" else x.square().sum(-1, keepdim=True)
    exponent = projected - norm / 2
    highest = projected.amax((1, 2, 3), keepdim=True) if side.model_garden else None
    return _exp(exponent, side, highest)


def _exp(exponent: Tensor, side: Side, highest: Tensor | None) -> Tensor:
    """Return exp(exponent - highest).

    What is subtracted cancels out of the average, but keeps numbers in range. By default it is the
    highest exponent of each query, and of all real keys of a head; padding becomes exp(-inf) there.
    """
    if highest is None:
        if not side.is_query and side.real is not None:
            padding = ~side.real[:, None, :, None]
            exponent = exponent.masked_fill(padding, torch.finfo(exponent.dtype).min)
        highest = exponent.detach().amax(-1 if side.is_query else (-2, -1), keepdim=True)
    return (exponent - highest).exp()


def _expplus(side: Side, other: Side, projection: Tensor) -> Tensor:
    x, size = _wide(side.heads), projection.shape[-1]
    projection = projection.to(x.dtype)
    projected = (x @ projection.T).to(x.dtype)
    slope, curve = _expplus_coefficients(side, other, size)
    exponent = slope * projected - x.square().sum(-1, keepdim=True) / 2 + curve * projection.square().sum(-1)
    highest = None
    if side.model_garden:
        highest = slope * (projected.amax(-1, keepdim=True) if side.is_query else projected.amax())
    factor = slope ** (size / 2) / math.sqrt(len(projection))
    return factor * (_exp(exponent, side, highest) + EXPPLUS_FLOOR)


@torch.no_grad()
def _expplus_coefficients(side: Side, other: Side, size: int) -> tuple[Tensor, Tensor]:
    """Return B and A of FAVOR++, [B, H, 1, 1]: from the mean of |x + y|^2 over all pairs.

    Written without the difference of two near numbers, which loses digits where the mean is small.
    """
    count = side.heads.shape[2] if side.model_garden else None  # the Model Garden divides both by one count
    own, own_square = _means(side, count)
    others, others_square = _means(other, count)
    mean = own_square + others_square + 2 * (own * others).sum(-1, keepdim=True)
    both = 2 * mean + size
    shrink = 2 * size / ((both.square() + 8 * size * mean).sqrt() + both)
    curve = (1 - 1 / shrink) / 8
    return (1 - 4 * curve).sqrt(), curve


def _means(side: Side, count: int | None) -> tuple[Tensor, Tensor]:
    """Return the mean of x, [B, H, 1, K], and of |x|^2, [B, H, 1, 1]."""
    x = _wide(side.heads)
    number: float | Tensor = x.shape[2] if count is None else count
    if side.real is not None and not side.model_garden:
        real = side.real[:, None, :, None]
        x = x.masked_fill(~real, 0.0)
        number = real.sum(2, keepdim=True).clamp(min=1).to(x.dtype)
    return x.sum(2, keepdim=True) / number, x.square().sum((2, 3), keepdim=True) / number


def draw_projection(num_features: int, head_size: int, seed: int | None) -> Tensor:
    """Return random orthogonal rows [M, K], each as long as a normal vector of K numbers.

    Args:
        num_features: M; every K rows are orthogonal to each other, in a direction that is uniform.
        head_size: K.
        seed: of a generator of its own, equal on every device; None: torch's generator.
    """
    generator = None if seed is None else torch.Generator("cpu").manual_seed(seed)

    def normal(rows: int) -> Tensor:
        if generator is None:
            return torch.randn(rows, head_size)
        return torch.randn(rows, head_size, generator=generator, device="cpu")

    blocks = [_orthogonal(normal(head_size)) for _ in range(-(-num_features // head_size))]
    directions = torch.cat(blocks)[:num_features]
    drawn: Tensor = normal(num_features).norm(dim=1, keepdim=True) * directions
    return drawn if generator is None else drawn.to(torch.get_default_device())


def _orthogonal(normal: Tensor) -> Tensor:
    """Return an orthogonal matrix of uniform direction: the factorisation's own signs are not random."""
    orthogonal, upper = torch.linalg.qr(normal)
    rotated: Tensor = orthogonal * upper.diagonal().sign()
    return rotated


def _wide(x: Tensor) -> Tensor:
    """Return half precision as float32: exponents and sums need the digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
