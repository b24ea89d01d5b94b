"""The contract of a block, and the one composition of norm, mixer and residual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, TypedDict, get_args

from torch import Tensor, nn

from nas.blocks.arguments import check_kinds, renamed
from nas.blocks.growth import Widening, silence, weights_of
from nas.blocks.norms import NormType, make_norm
from nas.blocks.positions import places_of
from nas.blocks.residuals import Add, Residual, Scaled, make_residual
from nas.configured import Configured
from nas.errors import InputError, check_choice, check_positive, check_probability
from nas.masks import mask_mistake

Role = Literal["attention", "mixing", "feedforward", "recursive", "transformer", "none"]
NormSite = Literal["pre", "post", "sandwich", "none"]
Position = Literal["none", "sinusoid"]


class Block(Configured, nn.Module):
    """One entry of ``hidden_cls``: ``(data, attention_mask[, state]) -> data [, state]``.

    ``data`` is [B, T, D]. ``attention_mask`` is None (every token is real), [B, T] or [B, T, T],
    with 1 or True for a real key; a block takes what it needs from it (`nas.masks`). Shape and
    dtype are kept, padding never reaches real tokens, and rows of padding stay finite.
    """

    role: ClassVar[Role]
    recursive: ClassVar[bool] = False
    """Whether the block takes a third input, the state (None at first), and returns a new one."""
    state_kind: ClassVar[str] = "state"
    """Recursive blocks of one kind read each other's state; other kinds never see it."""
    mask_cls: ClassVar[type[nn.Module] | None] = None
    """What makes the block's mask from data and padding mask; None: the scaffold's ``mask_cls``."""

    tokenwise: ClassVar[bool] = False
    """Whether each token is mapped by itself, so that the last block need not map those nobody reads."""
    told_as: ClassVar[Mapping[str, str]] = {}
    """Arguments of the parts inside, and what this block calls them: for messages."""

    @contextmanager
    def constructing(self) -> Iterator[None]:
        """Refuse arguments of a wrong type, and tell mistakes of parts under this block's own names."""
        check_kinds(type(self), self.config)
        try:
            yield
        except InputError as error:
            if not self.told_as:
                raise
            raise renamed(error, self.told_as) from None

    def effective_config(self) -> dict[str, Any]:
        """Return ``config`` with only what shapes the function: settings that others overrule left out.

        Two blocks of one class with equal effective settings are one in an architecture's hash.
        """
        return dict(self.config)

    def check_inputs(self, data: Tensor, attention_mask: Tensor | None) -> None:
        """Raise `InputError`, naming the block, unless data is [B, T, D] and the mask fits it.

        Only shapes are looked at: it costs no operation, and stays out of graphs.
        """
        width = self.config.get("hidden_size")
        if data.dim() != 3 or (width is not None and data.shape[2] != width):
            mistake = f"data of shape {list(data.shape)}: expected [B, T, {width or 'D'}]"
        else:
            mistake = mask_mistake(attention_mask, data)
        if mistake:
            raise InputError(f"{self.label} ({type(self).__name__}): {mistake}")

    @property
    def widenings(self) -> Mapping[str, Mapping[str, Widening]]:
        """Arguments that may grow from a trained block to this one, whose function then stays the same.

        Each has what becomes of the weights that it shapes, by their names in this block's state.
        """
        return {}

    def start_as_identity(self) -> None:
        """Set weights such that the block returns its data as it is, and learns from there.

        Raises:
            InputError: none of its weights do that.
        """
        raise InputError(f"{self.label} ({type(self).__name__}) can not start as the identity")

    @property
    def label(self) -> str:
        """The short name in an architecture's string, such as ``mha`` or ``geglu``."""
        raise NotImplementedError(self._lacks("label"))

    def flops_per_token(self, seq_length: int) -> float:
        """Return the forward pass's floating-point operations per token (2 per multiply-add)."""
        raise NotImplementedError(self._lacks("flops_per_token"))

    @classmethod
    def undefined(cls) -> list[str]:
        """Return what the class has yet to define before its encoder can be described and trained."""
        return [n for n in ("forward", "label", "flops_per_token") if getattr(cls, n) is getattr(Block, n)]

    def _lacks(self, name: str) -> str:
        return f"{type(self).__name__} defines no {name}"


class Framing(TypedDict, total=False):
    """The composition without ``position``: for attention, whose own positions are more."""

    norm: NormSite
    norm_type: NormType
    norm_epsilon: float
    residual: Residual
    residual_init: float | None
    dropout: float


class Composition(Framing, total=False):
    """The arguments of `ResidualBlock` that every block made of one mixer passes on."""

    position: Position


class ResidualBlock(Block):
    """A block made of one mixer: ``data + mix(norm(data))`` and its variants.

    ``pre`` normalises what the mixer reads (Xiong et al. 2020, arXiv 2002.04745), ``post`` the sum
    (Vaswani et al. 2017), ``sandwich`` what the mixer reads and what it returns (Ding et al. 2021,
    arXiv 2105.13290). A subclass defines `mix`, `label` and `mix_flops`, and hands these arguments
    on as ``**composition: Unpack[Composition]``.

    Args:
        hidden_size: D, the width of ``data``.
        norm: where the norm stands; ``none``: nowhere.
        norm_type: ``layer``, ``rms``, or ``dyt`` (a learnt tanh in place of a norm).
        norm_epsilon: added to the variance.
        residual: how the result joins the data; see `nas.blocks.residuals`.
        residual_init: its scale or gate's bias at the start; null: the scheme's own.
        position: ``sinusoid`` adds the place of each token to what the mixer reads.
        dropout: applied to what the mixer returns.

    Raises:
        InputError: a size is not positive, or a choice is unknown.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        norm: NormSite = "pre",
        norm_type: NormType = "layer",
        norm_epsilon: float = 1e-6,
        residual: Residual = "add",
        residual_init: float | None = None,
        position: Position = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive(hidden_size=hidden_size, norm_epsilon=norm_epsilon)
        check_choice("norm", norm, get_args(NormSite))
        check_choice("position", position, get_args(Position))
        check_probability(dropout=dropout)

        def make() -> nn.Module:
            return make_norm(norm_type, hidden_size, norm_epsilon)

        self.norm_before = make() if norm in ("pre", "sandwich") else nn.Identity()
        self.norm_mixed = make() if norm == "sandwich" else nn.Identity()
        self.norm_after = make() if norm == "post" else nn.Identity()
        self.residual = make_residual(residual, hidden_size, residual_init)
        self.adds_places = position == "sinusoid"
        self.dropout = nn.Dropout(dropout)

    def effective_config(self) -> dict[str, Any]:
        """Leave out what a norm or a residual that is not there would have used."""
        config = super().effective_config()
        ignored = ["residual_init"] if isinstance(self.residual, Add) else []
        if config.get("norm") == "none":
            ignored += ["norm_type", "norm_epsilon"]
        elif config.get("norm_type") == "dyt":
            ignored += ["norm_epsilon"]
        return {key: None if key in ignored else value for key, value in config.items()}

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Any) -> Any:
        """Map [B, T, D] to [B, T, D]; a recursive block takes the state and returns (data, state)."""
        raise NotImplementedError(self._lacks("mix"))

    def mix_flops(self, seq_length: int) -> float:
        """Return the floating-point operations of `mix` per token."""
        raise NotImplementedError(self._lacks("mix_flops"))

    @classmethod
    def undefined(cls) -> list[str]:
        """Return what the class has yet to define: what it does not define itself may call `mix`."""
        callers = {"mix": ("forward", "branch"), "mix_flops": ("flops_per_token",)}
        lacking = [
            name
            for name, others in callers.items()
            if all(getattr(cls, n) is getattr(ResidualBlock, n) for n in (name, *others))
        ]
        return super().undefined() + lacking

    def last_weights(self) -> list[Tensor]:
        """Return the weights that make what `mix` returns 0 when they are: by default those of ``output``."""
        last = getattr(self, "output", None)
        return weights_of(last) if isinstance(last, nn.Linear) else []

    def start_as_identity(self) -> None:
        """Silence the residual branch: its scale, the norm after the mixer, or the mixer's last weights.

        Raises:
            InputError: the sum is normalised or gated, or the mixer has no such weights.
        """
        silenced: list[Tensor] = []
        if isinstance(self.norm_after, nn.Identity) and not self.recursive:
            if isinstance(self.residual, Scaled):
                silenced = [self.residual.scale]
            elif isinstance(self.residual, Add):
                silenced = weights_of(self.norm_mixed) or self.last_weights()
        if not silenced:
            super().start_as_identity()
        silence(silenced)

    def flops_per_token(self, seq_length: int) -> float:
        """Return the mixer's operations and those of the residual scheme."""
        return self.mix_flops(seq_length) + self.residual.flops_per_token

    def branch(self, data: Tensor, attention_mask: Tensor | None = None, *state: Any) -> Any:
        """Return what joins the residual stream, [B, T, D], or (that, state) if the block is recursive.

        Wrappers that have a residual scheme of their own, such as parallel branches, call this.
        """
        read = self.norm_before(data)
        if self.adds_places:
            read = read + places_of(data)
        mixed = self.mix(read, attention_mask, *state)
        if not self.recursive:
            return self.dropout(self.norm_mixed(mixed))
        mixed, new_state = mixed
        return self.dropout(self.norm_mixed(mixed)), new_state

    def forward(self, data: Tensor, attention_mask: Tensor | None = None, *state: Any) -> Any:
        """Map ``data`` [B, T, D] to [B, T, D], or to (data, state) if the block is recursive.

        Raises:
            InputError: the data has another width, or the mask does not fit it.
        """
        self.check_inputs(data, attention_mask)
        update = self.branch(data, attention_mask, *state)
        if not self.recursive:
            return self.norm_after(self.residual(data, update))
        update, new_state = update
        return self.norm_after(self.residual(data, update)), new_state
