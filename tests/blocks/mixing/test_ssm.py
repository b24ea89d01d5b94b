"""Selective state space: against the recurrence, token by token, forward and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.blocks.mixing.ssm import SelectiveSSM
from nas.blocks.mixing.ssm_kernel import selective_scan
from nas.errors import InputError


def recurrence(values: Tensor, step: Tensor, log_decay: Tensor, write: Tensor, read: Tensor) -> Tensor:
    batch, tokens, heads, size = values.shape
    out = torch.zeros_like(values)
    for direction in range(step.shape[2]):
        state = values.new_zeros(batch, heads, write.shape[-1], size)
        places = range(tokens) if direction == 0 else reversed(range(tokens))
        results = {}
        for t in places:
            added = torch.einsum("bn,bhp->bhnp", write[:, t, direction], values[:, t])
            decay = log_decay[:, t, direction].exp()[..., None, None]
            state = decay * state + step[:, t, direction, :, None, None] * added
            results[t] = torch.einsum("bn,bhnp->bhp", read[:, t, direction], state)
        out = out + torch.stack([results[t] for t in range(tokens)], dim=1)
    return out


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("tokens", [1, 2, 64, 65, 200])
def test_equals_the_recurrence(tokens: int, directions: int) -> None:
    torch.manual_seed(0)
    shape = (2, tokens, directions)
    values = torch.randn(2, tokens, 3, 4, dtype=torch.float64)
    step = torch.rand(*shape, 3, dtype=torch.float64)
    log_decay = -torch.rand(*shape, 3, dtype=torch.float64)
    write, read = torch.randn(2, *shape, 5, dtype=torch.float64).unbind(0)
    inputs = [x.requires_grad_() for x in (values, step, log_decay, write, read)]
    ours, theirs = selective_scan(*inputs), recurrence(*inputs)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, weights), torch.autograd.grad(theirs, inputs, weights), strict=True
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("share", [False, True])
def test_padding_on_either_side_changes_nothing(share: bool) -> None:
    torch.manual_seed(0)
    block = SelectiveSSM(8, 2, state_size=4, share_directions=share).double()
    data, mask = torch.randn(1, 90, 8, dtype=torch.float64), torch.ones(1, 90)
    mask[:, :3] = mask[:, -20:] = 0
    torch.testing.assert_close(block(data, mask)[:, 3:-20], block(data[:, 3:-20]))


def test_shared_directions_treat_both_ends_alike() -> None:
    torch.manual_seed(0)
    data = torch.randn(1, 9, 8)
    for share in (True, False):
        block = SelectiveSSM(8, 2, share_directions=share, conv_size=0)
        turned = block(data.flip(1)).flip(1)
        assert torch.allclose(block(data), turned, atol=1e-5) is share


def test_heads_must_divide_the_features() -> None:
    with pytest.raises(InputError, match=r"expand \* hidden_size=16 is not a multiple of num_heads=3"):
        SelectiveSSM(8, 3)
