"""Attention weights of a forward pass, seen from outside: no block has to offer them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class AttentionWeights(TorchFunctionMode):
    """A context that collects every softmax over keys: ``weights`` holds [B, H, T, S] of each.

    It sees the two ways in which the blocks of this package compute softmax attention: a softmax over
    the last of four dimensions, and PyTorch's fused kernel, whose weights are computed beside it.
    Attention without a softmax (linear, kernel, sigmoid, geometric) has none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, and keep the weights if it is one of the two."""
        named = dict(kwargs or {})
        result = function(*args, **named)
        if function is F.scaled_dot_product_attention:
            mask, causal = named.get("attn_mask"), bool(named.get("is_causal"))
            self.weights.append(_weights(args[0], args[1], mask, causal))
        elif function in (Tensor.softmax, torch.softmax, F.softmax) and result.dim() == 4:
            self.weights.append(result.detach())
        return result


def confidence(weights: Iterable[Tensor]) -> list[float]:
    """Return the mean over heads and queries of the largest weight, one number for each attention."""
    return [float(w.float().amax(dim=-1).mean()) for w in weights]


@torch.no_grad()
def _weights(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    scores = query.float() @ key.float().transpose(-2, -1) / math.sqrt(query.shape[-1])
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(dim=-1)
