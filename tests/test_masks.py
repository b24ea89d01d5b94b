"""Masks: what the modules make, and how blocks read None, [B, T], [B, T, T] and [B, 1, T, T]."""

from __future__ import annotations

import pytest
import torch

from nas.errors import InputError
from nas.masks import (
    MASKED,
    BigBirdMasks,
    BlockedMask,
    KernelMask,
    PaddingMask,
    SelfAttentionMask,
    attention_bias,
    check_mask,
    padding_of,
)

DATA = torch.zeros(2, 3, 8)
MASK = torch.tensor([[1, 1, 0], [1, 0, 0]])


def test_self_attention_mask_hides_keys_only_and_is_a_view() -> None:
    made = SelfAttentionMask()(DATA, MASK)
    assert made.shape == (2, 3, 3)
    assert made.dtype == DATA.dtype
    assert torch.equal(made, MASK[:, None, :].expand(2, 3, 3).float())
    assert made.stride(1) == 0


def test_self_attention_mask_keeps_values() -> None:
    assert SelfAttentionMask()(DATA.double(), 2 * MASK).max() == 2.0


def test_padding_mask_is_boolean() -> None:
    assert torch.equal(PaddingMask()(DATA, MASK), MASK == 1)


@pytest.mark.parametrize("module", [SelfAttentionMask, PaddingMask])
def test_wrong_padding_mask_names_both_shapes(module: type[SelfAttentionMask] | type[PaddingMask]) -> None:
    with pytest.raises(InputError, match=r"mask of shape \[2, 4\] does not fit data of shape \[2, 3, 8\]"):
        module()(DATA, torch.ones(2, 4))


def test_padding_of_every_form() -> None:
    square = SelfAttentionMask()(DATA, MASK)
    assert padding_of(None) is None
    for form in (MASK, MASK.bool(), MASK.float(), square, square[:, None]):
        real = padding_of(form)
        assert real is not None
        assert torch.equal(real, MASK == 1)


def test_a_key_is_real_if_any_query_sees_it() -> None:
    real = padding_of(torch.eye(3)[None])
    assert real is not None
    assert real.all()


def test_bias_of_every_form() -> None:
    square = SelfAttentionMask()(DATA, MASK)
    assert attention_bias(None, torch.float32) is None
    expected = (1 - MASK[:, None, None, :].float()) * MASKED
    for form in (MASK, MASK.bool(), square, square.contiguous(), square[:, None]):
        bias = attention_bias(form, torch.float32)
        assert bias is not None
        assert torch.equal(bias.expand(2, 1, 3, 3), expected.expand(2, 1, 3, 3))
    row, every = attention_bias(square, torch.float32), attention_bias(square.contiguous(), torch.float32)
    assert row is not None
    assert every is not None
    assert (row.shape[2], every.shape[2]) == (1, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_masked_row_is_finite_and_uniform(dtype: torch.dtype) -> None:
    bias = attention_bias(torch.zeros(1, 4), dtype)
    assert bias is not None
    assert bias.dtype == dtype
    assert bias.isfinite().all()
    scores = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=dtype)
    weights = (scores + bias).softmax(-1).flatten()
    assert weights.isfinite().all()
    if dtype is not torch.float64:  # which is fine enough to keep the scores beside the bias
        torch.testing.assert_close(weights, torch.full((4,), 0.25, dtype=dtype))


def test_float16_bias_is_half_its_lowest_number() -> None:
    bias = attention_bias(torch.zeros(1, 1), torch.float16)
    assert bias is not None
    assert bias.item() == -32752.0


@pytest.mark.parametrize("shape", [(2, 4), (1, 3), (2, 3, 4), (2, 1, 4, 4)])
def test_mask_that_does_not_fit_names_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as error:
        check_mask(torch.ones(shape), DATA)
    assert f"attention_mask of shape {list(shape)} does not fit data of shape [2, 3, 8]" in str(error.value)
    assert "expected [2, 3] or [2, 3, 3]" in str(error.value)


@pytest.mark.parametrize("read", [padding_of, lambda m: attention_bias(m, torch.float32)])
def test_mask_with_other_axes(read: object) -> None:
    with pytest.raises(InputError, match=r"\[3\] is not one of \[B, T\], \[B, T, T\]"):
        read(torch.ones(3))  # type: ignore[operator]


def test_kernel_mask_is_the_padding_mask_in_numbers() -> None:
    made = KernelMask()(DATA, MASK)
    assert made.dtype == DATA.dtype
    assert torch.equal(made, MASK.float())


def test_bigbird_masks_are_blocks_of_the_padding_mask() -> None:
    mask = (torch.rand(2, 12) > 0.3).long()
    made = BigBirdMasks(2)(torch.zeros(2, 12, 8), mask)
    assert torch.equal(made.queries, mask[:, None, :, None].float())
    assert torch.equal(made.keys, mask[:, None, None].float())
    assert torch.equal(made.blocked, mask.view(2, 6, 2).float())
    assert made.band.shape == (2, 1, 2, 2, 6)
    for row in range(2):  # block 2 + row sees the blocks before and after it, if it is real itself
        around = mask[:, None, 2 * row + 2 : 2 * row + 8]
        own = mask[:, 2 * row + 4 : 2 * row + 6, None]
        assert torch.equal(made.band[:, 0, row], (own * around).float())


@pytest.mark.parametrize("tokens", [1, 3, 7, 9])
def test_bigbird_masks_of_any_length_are_read_as_the_padding_mask(tokens: int) -> None:
    data, mask = torch.zeros(2, tokens, 8), torch.ones(2, tokens)
    mask[1, tokens // 2 :] = 0
    made: BlockedMask = BigBirdMasks(4)(data, mask)
    assert made.blocked.shape == (2, -(-tokens // 4), 4)
    check_mask(made, data)
    read, bias = padding_of(made), attention_bias(made, torch.float32)
    assert read is not None
    assert bias is not None
    assert torch.equal(read, mask.bool())
    assert torch.equal(bias, (1 - mask)[:, None, None] * MASKED)
    with pytest.raises(InputError, match="does not fit data"):
        check_mask(made, torch.zeros(2, tokens + 1, 8))
    with pytest.raises(InputError, match="block_size=0 must be greater than 0"):
        BigBirdMasks(0)
