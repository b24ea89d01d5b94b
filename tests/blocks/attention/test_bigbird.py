"""BigBird: lists of blocks against all scores, and both against the paper's picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.blocks.attention import bigbird
from nas.blocks.attention.bigbird import BigBirdAttention
from nas.blocks.attention.block_lists import Blocks, block_lists, times_seen
from nas.blocks.attention.random_blocks import draw_random_blocks
from nas.errors import InputError
from nas.masks import BigBirdMasks

TABLE_OF_SEED_1 = [[6, 5], [4, 6], [1, 6], [2, 6], [3, 1], [4, 6]]
"""Head 0 of the Model Garden's table for 8 blocks of 4 tokens, 2 random ones, seed 1."""


def block(tokens: int = 70, **settings: Any) -> BigBirdAttention:
    torch.manual_seed(1)
    given = {"block_size": 4, "num_random_blocks": 2, "max_seq_length": tokens, **settings}
    made = BigBirdAttention(32, 4, **given).double()
    for parameter in made.positions.parameters():
        torch.nn.init.normal_(parameter)
    return made


def data(tokens: int, kind: str) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, tokens, 32, dtype=torch.float64, generator=generator)
    if kind == "none":
        return x, None
    shape = (2, tokens) if kind == "BT" else (2, tokens, tokens)
    return x, (torch.rand(shape, generator=generator) > 0.2).double()


CASES = [
    (33, "BT", {}),
    (64, "BTT", {}),
    (70, "none", {"model_garden": True}),
    (71, "BT", {"model_garden": True, "max_seq_length": 40}),
    (70, "BT", {"causal": True, "num_kv_heads": 2}),
    (70, "BTT", {"position": "alibi", "soft_cap": 5.0}),
    (66, "BT", {"position": "t5", "causal": True}),
    (200, "BT", {"block_size": 16, "seed": 3, "max_seq_length": 4096}),
    (40, "BT", {"num_random_blocks": 0}),
]


@pytest.mark.parametrize(("tokens", "mask", "settings"), CASES)
def test_lists_are_all_scores(
    tokens: int, mask: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = block(tokens, **{"max_seq_length": tokens, **settings})
    x, given = data(tokens, mask)
    x.requires_grad_()
    seed = torch.randn_like(x)
    found = []
    for needed in (-(10**9), 10**9):
        monkeypatch.setattr(bigbird, "SPARSE_FROM", needed)
        out = attention(x, given)
        inputs = [x, *(p for name, p in attention.named_parameters() if "qkv" in name or "position" in name)]
        found.append((out, *torch.autograd.grad((out * seed).sum(), inputs)))
    for lists, plain in zip(*found, strict=True):
        torch.testing.assert_close(lists, plain, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("tokens", [1, 5, 9, 15, 30])
def test_which_keys_are_seen(tokens: int, twice: bool) -> None:
    """Write the paper's picture out, block by block."""
    table = draw_random_blocks(2, 8, 2, 4, seed=1)
    seen = times_seen(table, tokens, 4, twice=twice)
    last = (tokens - 1) // 4
    for head, query in np.ndindex(2, tokens):
        own = query // 4
        if own in (0, last):
            expected = [1] * tokens
        else:
            drawn = [int(b) for b in table[head, own - 1]]
            bound = last if twice else last - 1
            drawn = [b if b <= bound else (b - 1) % max(last - 1, 1) + 1 for b in drawn]
            listed = {0, own - 1, own, own + 1, last}
            times = [drawn.count(k // 4) + (k // 4 in listed) for k in range(tokens)]
            expected = times if twice else [min(t, 1) for t in times]
        assert seen[head, query].long().tolist() == expected


def test_a_list_names_no_block_twice_and_none_that_is_not_there() -> None:
    lists, hidden = block_lists(draw_random_blocks(4, 20, 3, 4, None), Blocks(50, 4), twice=False)
    assert lists.max() < 13
    for row, hide in zip(lists.flatten(0, 1), hidden.flatten(0, 1), strict=True):
        kept = row[~hide].tolist()
        assert len(kept) == len(set(kept))


def test_the_table_of_a_seed_is_the_original_s() -> None:
    assert draw_random_blocks(4, 8, 2, 4, seed=1)[0].tolist() == TABLE_OF_SEED_1
    first, second = block(seed=1), block(seed=1)
    assert torch.equal(first.random_blocks, second.random_blocks)
    assert not torch.equal(first.random_blocks, block(seed=2).random_blocks)


def test_own_tables_differ_and_draw_what_is_not_seen_anyway() -> None:
    torch.manual_seed(0)
    first, second = (draw_random_blocks(4, 30, 3, 4, None) for _ in range(2))
    assert not torch.equal(first, second)
    own = torch.arange(1, 29)[:, None]
    assert ((first - own).abs() > 1).all()
    assert ((first > 0) & (first < 29)).all()
    assert (draw_random_blocks(2, 3, 5, 4, None) < 3).all()


def test_far_tokens_pass_through_the_ends_alone() -> None:
    """Without random blocks, a change reaches its neighbours and the first and last block only."""
    attention = block(100, num_random_blocks=0, position="none", norm="none")
    x, _ = data(100, "none")
    changed = x.clone()
    changed[:, 50] += 1
    moved = (attention.mix(changed, None) - attention.mix(x, None)).abs().sum((0, 2)) > 1e-9
    near = range(44, 56)
    assert moved.nonzero().flatten().tolist() == [*range(4), *near, *range(96, 100)]


def test_cost_is_linear_in_length() -> None:
    attention = BigBirdAttention(32, 4)
    assert attention.mix_flops(4096) / attention.mix_flops(2048) == pytest.approx(1.0, abs=0.1)
    assert attention.mix_flops(64) == 8 * 32 * 32 + 4 * 64 * 32


def test_the_original_s_queries_at_padding_get_zeros() -> None:
    attention = block(norm="none", bias=True, model_garden=True)
    x, mask = data(33, "BT")
    assert mask is not None
    padded = attention.mix(x, mask)[mask == 0]
    torch.testing.assert_close(padded, attention.output.bias.expand_as(padded))


def test_takes_the_masks_that_are_named_after_it() -> None:
    attention = block()
    x, mask = data(33, "BT")
    assert torch.equal(attention(x, BigBirdMasks(4)(x, mask)), attention(x, mask))


@pytest.mark.slow  # compiles
def test_compiles_with_lists() -> None:
    torch._dynamo.reset()
    attention = block(300, block_size=8)
    x, mask = data(300, "BT")
    compiled = torch.compile(attention, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, mask), attention(x, mask))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block_size": 0}, "block_size=0 must be greater than 0"),
        ({"max_seq_length": -1}, "max_seq_length=-1 must be greater than 0"),
        ({"num_random_blocks": -1}, "num_random_blocks=-1 must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BigBirdAttention(8, 2, **settings)
