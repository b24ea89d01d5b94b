"""Token shift: part of each token's features comes from its neighbours."""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.errors import InputError, check_positive
from nas.masks import PaddingMask, hide_padding, padding_of


class TokenShift(ResidualBlock):
    """The features are split into equal groups, and each group is moved by another distance.

    After RWKV's time shift (Peng et al. 2023, arXiv 2305.13048), in the form of x-transformers'
    ``shift_tokens``. Differences: a block by itself, in both directions unless causal; a projection
    afterwards is a choice; padding is 0 before the shift, as is what lies outside the sequence.

    Args:
        hidden_size: D.
        reach: the farthest neighbour; with 1, groups come from before, from the token itself and
            from after it.
        projection: mix the features afterwards.
        bias: of the projection.
        causal: no group comes from a later token.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: ``reach`` is not positive, or there are more groups than features.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        reach: int = 1,
        projection: bool = True,
        bias: bool = False,
        causal: bool = False,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(reach=reach)
        self.distances = range(0 if causal else -reach, reach + 1)
        if len(self.distances) > hidden_size:
            raise InputError(
                f"reach={reach} makes {len(self.distances)} groups: at most hidden_size={hidden_size}"
            )
        share, rest = divmod(hidden_size, len(self.distances))
        self.sizes = [share + (group < rest) for group in range(len(self.distances))]
        self.output = nn.Linear(hidden_size, hidden_size, bias=bias) if projection else None

    @property
    def label(self) -> str:
        """Always ``shift``."""
        return "shift"

    def mix_flops(self, seq_length: int) -> float:
        """Return the projection's cost; a shift computes nothing."""
        return 0.0 if self.output is None else 2.0 * self.output.in_features * self.output.out_features

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        data = hide_padding(data, padding_of(attention_mask))
        groups = torch.split(data, self.sizes, dim=-1)  # tensor_split has a dearer gradient
        moved = torch.cat([_move(g, by) for g, by in zip(groups, self.distances, strict=True)], dim=-1)
        return moved if self.output is None else self.output(moved)


def _move(data: Tensor, distance: int) -> Tensor:
    """Take each token of [B, T, C] from ``distance`` places before it; zeros come in."""
    if distance == 0:
        return data
    tokens = data.shape[1]
    by: int = torch.sym_max(torch.sym_min(distance, tokens), -tokens)  # type: ignore[no-untyped-call]
    return F.pad(data, (0, 0, by, -by))  # what is pushed out on the other side is cut off
