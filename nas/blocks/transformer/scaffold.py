"""A transformer layer with any attention (or mixing) and any feed-forward inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor

from nas.blocks.activations import get_activation
from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.norms import NormType
from nas.blocks.transformer.layer import TransformerLayer
from nas.blocks.transformer.parts import make_mixer
from nas.errors import check_positive


class TransformerScaffold(TransformerLayer):
    """A mixer over tokens, then one within tokens; the layer has both norms, residuals and dropouts.

    The Model Garden's class of this name. Differences: in pre-norm, keys and values are made of the
    normalised data (there of the raw data: ``key_value_norm``); a given feed-forward has residual
    and norm as the standard one (there, in post-norm, neither: ``feedforward_residual``); attention
    weights are dropped by the attention's own setting; sizes are given, not read from the input.

    Args:
        hidden_size: D.
        num_attention_heads: H, for an attention class that was not given it.
        inner_dim: width of a feed-forward class that was not given it; null: its own default.
        inner_activation: likewise its activation, a name or a function of one tensor.
        attention_cls: an attention or mixing block: class, `functools.partial`, or an instance (which
            is the same weights in all layers that are given it); null: `MultiHeadAttention` with
            biases and without positions.
        attention_cfg: keyword arguments of the class. Norm, residual and dropout are the layer's.
        feedforward_cls: a feed-forward block, likewise; null: `MLP` with biases.
        feedforward_cfg: keyword arguments of the class.
        norm_first: normalise what the mixers read, not the sums.
        norm_type: of both norms.
        norm_epsilon: added to the variance.
        dropout_rate: applied to what both mixers return.
        key_value_norm: in pre-norm, attention makes keys and values of the normalised data; false: of
            the data as it came, as in the Model Garden.
        feedforward_residual: in post-norm, the feed-forward is added to what it read, and the sum
            normalised; false: it replaces it, as in the Model Garden.

    Raises:
        InputError: a mixer is no such block, has a norm of its own, or refuses its arguments.
    """

    told_as: ClassVar[Mapping[str, str]] = {"dropout": "dropout_rate"}  # mixers are named by themselves

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        inner_dim: int | None = None,
        inner_activation: str | Callable[[Tensor], Tensor] = "gelu",
        *,
        attention_cls: Any = None,
        attention_cfg: Mapping[str, Any] | None = None,
        feedforward_cls: Any = None,
        feedforward_cfg: Mapping[str, Any] | None = None,
        norm_first: bool = False,
        norm_type: NormType = "layer",
        norm_epsilon: float = 1e-12,
        dropout_rate: float = 0.0,
        key_value_norm: bool = True,
        feedforward_residual: bool = True,
    ) -> None:
        get_activation(inner_activation, "inner_activation")
        check_positive(num_attention_heads=num_attention_heads)
        defaults = {
            "hidden_size": hidden_size,
            "num_heads": num_attention_heads,
            "inner_dim": inner_dim,
            "activation": inner_activation,
        }
        standard: dict[str, Any] = {"bias": True}
        if attention_cls is None:
            attention_cls = MultiHeadAttention
            attention_cfg = {**standard, "position": "none", **(attention_cfg or {})}
        if feedforward_cls is None:
            feedforward_cls, feedforward_cfg = MLP, {**standard, **(feedforward_cfg or {})}
        super().__init__(
            hidden_size,
            make_mixer("attention_cls", attention_cls, attention_cfg, defaults),
            make_mixer("feedforward_cls", feedforward_cls, feedforward_cfg, defaults),
            norm_first=norm_first,
            norm_type=norm_type,
            feedforward_norm_type=norm_type,
            norm_epsilon=norm_epsilon,
            dropout=dropout_rate,
            key_value_norm=key_value_norm,
            feedforward_residual=feedforward_residual,
        )

    @property
    def label(self) -> str:
        """``layer`` with its two mixers, such as ``layer(fourier+mlp)``."""
        return f"layer({self.attention.label}+{self.feedforward.label})"
