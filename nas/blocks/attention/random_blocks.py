"""Which blocks each block of queries sees at random: BigBird's table."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.errors import InputError

DRAWN_FROM = 1024
"""With a seed, blocks are drawn from the first tokens only, as many as BERT-like BigBirds read."""


def draw_random_blocks(
    num_heads: int, num_blocks: int, num_random_blocks: int, block_size: int, seed: int | None
) -> Tensor:
    """Return the table [H, N - 2, R]: for each head, what blocks 1 to N - 2 see besides their own.

    Args:
        num_heads: H.
        num_blocks: N, of the longest sequence; at least 3.
        num_random_blocks: R; where fewer can be drawn, some stand there twice, or block 0 does.
        block_size: in tokens.
        seed: the Model Garden's table for it, number by number; None: any blocks but the first, the
            last and the three around, from torch's generator.

    Raises:
        InputError: the seed is none that NumPy takes.
    """
    if seed is not None and not 0 <= seed < 2**32:
        raise InputError(f"seed={seed} must be at least 0 and below 2**32, or None")
    if seed is not None:
        return torch.tensor(_of_model_garden(num_heads, num_blocks, num_random_blocks, block_size, seed))
    lottery = torch.rand(num_heads, num_blocks - 2, num_blocks)
    places = torch.arange(num_blocks, device=lottery.device)
    own = places[1:-1, None]
    seen = ((places - own).abs() <= 1) | (places == 0) | (places == num_blocks - 1)
    drawn = lottery.masked_fill(seen, -1.0).topk(min(num_random_blocks, num_blocks)).indices
    return F.pad(drawn, (0, num_random_blocks - drawn.shape[-1]))


@cache
def _of_model_garden(
    num_heads: int, num_blocks: int, num_random_blocks: int, block_size: int, seed: int
) -> np.ndarray:
    """Repeat the original's draws: NumPy's legacy generator, one permutation per row, heads in order."""
    generator = np.random.RandomState(seed)
    rows = num_blocks - 2
    table = np.zeros((num_heads, rows, num_random_blocks), dtype=np.int64)
    for head in range(num_heads):
        for row in range(rows):
            drawn = generator.permutation(_candidates(row + 1, num_blocks, block_size))
            if len(drawn):
                table[head, row] = np.resize(drawn[:num_random_blocks], num_random_blocks)
    return table


def _candidates(block: int, num_blocks: int, block_size: int) -> np.ndarray:
    """Return what block number ``block`` draws from, with the original's limits at both ends."""
    middle = np.arange(1, num_blocks - 1)
    last = num_blocks - 1
    if 2 * block_size < DRAWN_FROM:
        last = DRAWN_FROM // block_size - 1
    if block <= 2:
        return middle[block + 1 : last]
    if block >= num_blocks - 3:
        return middle[:last]
    before = block - 2
    if before > last:
        return middle[:last]
    if block + 1 == last:
        return middle[:before]
    return np.concatenate([middle[:before], middle[block + 1 : last]])
