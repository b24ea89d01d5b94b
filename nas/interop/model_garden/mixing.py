"""The original's mixing layers (Fourier, Hartley, linear), as mixers of a TransformerScaffold."""

from __future__ import annotations

from torch import Tensor, nn

from nas.blocks.mixing.fourier import FourierMixing
from nas.blocks.mixing.hartley import HartleyMixing
from nas.blocks.mixing.linear import LinearMixing
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.attention import by_itself
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.weights import Weights


class UnmaskedFourier(FourierMixing):
    """`FourierMixing` that mixes padding in, as the original does."""

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; the mask is not used."""
        return super().mix(data, None)


class UnmaskedHartley(HartleyMixing):
    """`HartleyMixing` that mixes padding in, as the original does."""

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; the mask is not used."""
        return super().mix(data, None)


class UnmaskedLinear(LinearMixing):
    """`LinearMixing` that mixes padding in, as the original does."""

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; the mask is not used."""
        return super().mix(data, None)


def fourier(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a Fourier mixing; by fast transform or by matrices, the numbers are the same."""
    arguments.ignore("use_fft")
    block = UnmaskedFourier(context.hidden_size, ortho=False, norm="none")
    return by_itself(block, context, "FourierTransformLayer")


def hartley(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a Hartley mixing; by fast transform or by matrices, the numbers are the same."""
    arguments.ignore("use_fft")
    block = UnmaskedHartley(context.hidden_size, ortho=False, norm="none")
    return by_itself(block, context, "HartleyTransformLayer")


def linear(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a linear mixing, whose length is that of the original's weights."""
    over_tokens, over_features = (weights.take(name) for name in _names(weights))
    block = UnmaskedLinear(context.hidden_size, len(over_tokens), norm="none")
    weights.fill(block, over_tokens=over_tokens, over_features__weight=over_features.T)
    return by_itself(block, context, "LinearTransformLayer")


def _names(weights: Weights) -> tuple[str, str]:
    """Return the names of both matrices: by the original's attributes, or by its variables."""
    return ("mat_seq", "mat_hidden") if "mat_seq" in weights else ("seq_kernel", "hidden_kernel")


TRANSLATORS: dict[str, Translator] = {
    "FourierTransformLayer": fourier,
    "HartleyTransformLayer": hartley,
    "LinearTransformLayer": linear,
}
