"""Several residual streams in place of one, and learnt ways between them and a block."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.span import SpanBlock, States
from nas.errors import check_positive


class HyperConnections(SpanBlock):
    """Lets a span read a mix of n residual streams, write to all of them, and mixes them.

    Zhu et al. 2024 (arXiv 2409.19606). With the streams H [n, D] of a token: the span reads
    ``read . H``, and the new streams are ``mix^T H + write (x) update``. The weights start such that
    the block is a plain residual; ``dynamic`` adds ``scale * tanh(W norm(H))`` to each. The data is
    the streams' mean; the state ``streams<n>`` holds how they differ from it, [B, n, T, D], so that
    blocks between need not know of it: what they add reaches every stream. Differences: the mean
    stands where the paper sums up the streams, to keep the scale; instead of starting to read
    stream k mod n in layer k, a block reads the first and hands the streams on turned by one
    place; norms are RMS without weights.

    Args:
        hidden_size: D.
        span: the blocks, name to class, partial or instance.
        num_streams: n.
        dynamic: weights that depend on the streams.

    Raises:
        InputError: see `Span`; ``num_streams`` is not positive.
    """

    def __init__(
        self, hidden_size: int, span: dict[str, Any], *, num_streams: int = 4, dynamic: bool = True
    ) -> None:
        super().__init__(hidden_size, span)
        check_positive(num_streams=num_streams)
        n = self.num_streams = num_streams
        first = torch.zeros(n, 1)
        first[0] = 1
        self.read_and_mix = nn.Parameter(torch.cat([first, torch.eye(n)], dim=1))
        self.write = nn.Parameter(torch.ones(n))
        self.dynamic = nn.Linear(hidden_size, n + 2, bias=False) if dynamic else None
        self.scale = nn.Parameter(torch.full((2,), 0.01)) if dynamic else None
        if self.dynamic is not None:
            nn.init.zeros_(self.dynamic.weight)

    @property
    def streams_kind(self) -> str:
        """The kind of the state: another number of streams is another state."""
        return f"streams{self.num_streams}"

    @property
    def state_kinds(self) -> frozenset[str]:
        """The kinds of state that this block and those inside read and write."""
        return self.span.state_kinds | {self.streams_kind}

    @property
    def label(self) -> str:
        """Such as ``hyper4(mha)``."""
        return f"hyper{self.num_streams}({self.span.label})"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of the span and of the products between streams."""
        hidden_size, n = self.hidden_size, self.num_streams
        dynamic = 0.0 if self.dynamic is None else 2.0 * n * hidden_size * (n + 2)
        return self.span.flops_per_token(seq_length) + dynamic + 2.0 * n * hidden_size * (n + 1)

    def run(self, data: Tensor, attention_mask: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Map [B, T, D] and all states to both anew."""
        streams = self._streams(data, states.get(self.streams_kind))
        read_and_mix, write = self._weights(streams)
        mixed = read_and_mix.mT @ streams
        read, kept = mixed[..., 0, :], mixed[..., 1:, :]
        update, states = self.span.update(read, self.span.masks(data, attention_mask), states)
        new = kept + write[..., None] * update[..., None, :]
        out = new.mean(dim=-2)
        turned = torch.roll(new - out[..., None, :], -1, dims=-2)
        return out, {**states, self.streams_kind: turned.transpose(1, 2)}

    def _streams(self, data: Tensor, deviations: Tensor | None) -> Tensor:
        """Return the streams [B, T, n, D] from their mean and state."""
        streams = data[..., None, :].expand(*data.shape[:2], self.num_streams, data.shape[-1])
        return streams if deviations is None else streams + deviations.transpose(1, 2).to(data.dtype)

    def _weights(self, streams: Tensor) -> tuple[Tensor, Tensor]:
        """Return what reads and mixes, [.., n, 1 + n], and what writes, [.., n]."""
        read_and_mix, write = self.read_and_mix.to(streams.dtype), self.write.to(streams.dtype)
        if self.dynamic is None or self.scale is None:
            return read_and_mix, write
        normed = F.rms_norm(streams, streams.shape[-1:], eps=1e-6)
        offsets = torch.tanh(self.dynamic(normed))
        scale = self.scale.to(offsets.dtype)
        read_and_mix = read_and_mix + scale[0] * offsets[..., :-1]
        return read_and_mix.to(streams.dtype), (write + scale[1] * offsets[..., -1]).to(streams.dtype)
