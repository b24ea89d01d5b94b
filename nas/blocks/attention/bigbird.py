"""BigBird: every block of tokens sees itself, its neighbours, the ends, and some blocks at random."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor

from nas.blocks.attention.block_lists import Blocks, block_lists, gather_blocks, look_up, times_seen
from nas.blocks.attention.mha import AttentionSettings, MultiHeadAttention
from nas.blocks.attention.random_blocks import draw_random_blocks
from nas.blocks.attention.softmax import add_biases, attend, hide, repeat_heads
from nas.blocks.base import Role
from nas.errors import InputError, check_positive
from nas.masks import attention_bias, padding_of

LONGEST = 4096
"""What the table is made for where nobody tells how long sequences become."""
SPARSE_FROM = 128
"""Lists of blocks are gathered if a sequence has so many more tokens than they hold (measured)."""


class BigBirdAttention(MultiHeadAttention):
    """`MultiHeadAttention` in which a query sees a few blocks of keys, at a cost linear in length.

    Zaheer et al. 2020 (arXiv 2007.14062), the form with internal global tokens: the first and the
    last block see and are seen by all; any other sees the block before, its own, the one after, and
    ``num_random_blocks`` others, drawn once for each head. Differences from the Model Garden: any
    length (there a multiple of the block size, of four blocks at least, and within the table); any
    mask; a random block that is seen anyway counts once; one beyond a short sequence is folded back
    into it; the table is each block's own unless a seed is given. Short sequences are computed with
    all T x T scores.

    Args:
        hidden_size: D.
        num_heads: H.
        block_size: tokens in a block; the paper's is 64.
        num_random_blocks: how many blocks are drawn for each block and head.
        seed: of the Model Garden's table, which draws from the first 1024 tokens; null: any blocks,
            drawn by torch's generator.
        max_seq_length: what the table is made for; its rows repeat beyond. Null: 4096.
        model_garden: reproduce the original's numbers: a random block that is seen anyway counts
            twice, and queries at padding get zeros.
        **settings: see `MultiHeadAttention`.

    Raises:
        InputError: see `MultiHeadAttention`; a size is not positive.
    """

    role: ClassVar[Role] = "attention"
    random_blocks: Tensor

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        block_size: int = 16,
        num_random_blocks: int = 3,
        seed: int | None = None,
        max_seq_length: int | None = None,
        model_garden: bool = False,
        **settings: Unpack[AttentionSettings],
    ) -> None:
        super().__init__(hidden_size, num_heads, **settings)
        longest = LONGEST if max_seq_length is None else max_seq_length
        check_positive(block_size=block_size, max_seq_length=longest)
        if num_random_blocks < 0:
            raise InputError(f"num_random_blocks={num_random_blocks} must be at least 0")
        self.block_size, self.model_garden = block_size, model_garden
        rows = max(-(-longest // block_size), 3)
        table = draw_random_blocks(num_heads, rows, num_random_blocks, block_size, seed)
        self.register_buffer("random_blocks", table)

    @property
    def label(self) -> str:
        """Always ``bigbird``."""
        return "bigbird"

    def mix_flops(self, seq_length: int) -> float:
        """Return what is computed: all scores in short sequences, those of the lists in long ones."""
        keys: float = seq_length
        blocks = Blocks(seq_length, self.block_size)
        if self._sparse(blocks):
            listed = (seq_length - blocks.at_ends) * self._listed
            keys = blocks.at_ends + listed / seq_length
        return self._projection_flops() + self._attention_flops(keys)

    @property
    def _listed(self) -> int:
        """How many keys a block's list holds: S."""
        return (5 + self.random_blocks.shape[-1]) * self.block_size

    def _sparse(self, blocks: Blocks) -> bool:
        return blocks.number > 3 and blocks.tokens >= SPARSE_FROM + self._listed

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        blocks = Blocks(query.shape[2], self.block_size)
        if torch.compiler.is_exporting() or not self._sparse(blocks):
            out = self._attend_all(query, key, value, attention_mask)
        else:
            out = self._attend_lists(query, key, value, attention_mask, blocks)
        real = padding_of(attention_mask)
        if self.model_garden and real is not None:
            out = out.masked_fill(~real[:, None, :, None], 0.0)
        return out

    def _attend_all(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Compute all scores; a block that is listed twice weighs twice, one that is not, nothing."""
        times = times_seen(self.random_blocks, query.shape[2], self.block_size, twice=self.model_garden)
        bias = self._bias(query, key, attention_mask)
        if self.model_garden:
            bias = add_biases(bias, times.clamp(min=1).to(query.dtype).log()[None])
        bias = hide(bias, ~times[None].bool(), query.dtype)
        return attend(
            query, key, value, bias, self._dropout_now(), causal=self.causal, soft_cap=self.soft_cap
        )

    def _attend_lists(
        self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, blocks: Blocks
    ) -> Tensor:
        """Compute the scores of the ends' queries with all keys, and of the others with their lists."""
        key, value = repeat_heads(key, self.num_heads), repeat_heads(value, self.num_heads)
        ends, size = blocks.ends(query.device), blocks.size
        bias = self._bias_at(
            query, attention_mask, ends, torch.arange(blocks.tokens, device=query.device)[None]
        )
        settings: dict[str, Any] = {"dropout": self._dropout_now(), "soft_cap": self.soft_cap}
        at_ends = attend(query[:, :, ends], key, value, bias, **settings)

        lists, hidden = block_lists(self.random_blocks, blocks, twice=self.model_garden)
        places = (lists[..., None] * size + torch.arange(size, device=query.device)).flatten(2)
        hidden = hidden.repeat_interleave(size, dim=-1) | (places >= blocks.tokens)
        places = places.clamp(max=blocks.tokens - 1)
        bias = self._bias_at(query, attention_mask, blocks.between(query.device), places)
        bias = hide(bias, hidden[None, :, :, None], query.dtype)
        between = attend(
            blocks.cut(query)[:, :, 1:-1].flatten(1, 2),
            gather_blocks(blocks.cut(key), lists),
            gather_blocks(blocks.cut(value), lists),
            bias.flatten(1, 2),
            **settings,
        ).view(len(query), self.num_heads, -1, self.head_size)
        return torch.cat([at_ends[:, :, :size], between, at_ends[:, :, size:]], dim=2)

    def _bias_at(
        self, query: Tensor, attention_mask: Tensor | None, rows: Tensor, columns: Tensor
    ) -> Tensor | None:
        """Return what is added to the scores of queries at ``rows`` [..., b] with keys at ``columns``.

        ``columns`` is [H or 1, ..., S]; the result broadcasts to [B, H, ..., b, S].
        """
        tokens, dtype = query.shape[2], query.dtype
        bias = attention_bias(attention_mask, dtype)
        bias = None if bias is None else look_up(bias, rows, columns)
        distance = columns[..., None, :] - rows[..., None]
        gained = self.positions.by_distance(torch.arange(1 - tokens, tokens, device=query.device))
        if gained is not None:
            heads = torch.arange(self.num_heads, device=query.device).view(
                -1, *(1 for _ in distance.shape[1:])
            )
            bias = add_biases(bias, gained[heads, distance + tokens - 1].to(dtype)[None])
        return hide(bias, (distance > 0)[None], dtype) if self.causal else bias
