"""The delta rule: against the recurrence, forward and gradients, and what it is for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.mixing import delta_kernel
from nas.blocks.mixing.delta_kernel import _states_by_doubling, delta_rule, unit_lower_inverse
from nas.blocks.mixing.delta_rule import DeltaRule


def recurrence(query: Tensor, key: Tensor, value: Tensor, beta: Tensor, log_decay: Tensor | None) -> Tensor:
    batch, tokens, heads, size = key.shape
    state = key.new_zeros(batch, heads, size, value.shape[-1])
    out = []
    for t in range(tokens):
        if log_decay is not None:
            state = state * log_decay[:, t].exp()[..., None, None]
        held = torch.einsum("bhk,bhkv->bhv", key[:, t], state)
        correction = beta[:, t, :, None] * (value[:, t] - held)
        state = state + torch.einsum("bhk,bhv->bhkv", key[:, t], correction)
        out.append(torch.einsum("bhk,bhkv->bhv", query[:, t], state))
    return torch.stack(out, dim=1)


def example(tokens: int, gate: bool) -> list[Tensor]:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, tokens, 2, 4, dtype=torch.float64).unbind(0)
    beta, decay = torch.rand(2, 2, tokens, 2, dtype=torch.float64).unbind(0)
    inputs = [query, F.normalize(key, dim=-1), value, 2 * beta]
    return [x.clone().requires_grad_() for x in (*inputs, -decay)[: 5 if gate else 4]]


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("tokens", [1, 3, 32, 33, 100])
def test_equals_the_recurrence(tokens: int, gate: bool) -> None:
    inputs = example(tokens, gate)
    more = [] if gate else [None]
    ours, theirs = delta_rule(*inputs, *more), recurrence(*inputs, *more)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, weights), torch.autograd.grad(theirs, inputs, weights), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_a_key_gives_its_last_value() -> None:
    torch.manual_seed(0)
    key = F.normalize(torch.randn(1, 3, 1, 4), dim=-1)
    key[:, 2] = key[:, 0]
    value, beta = torch.randn(1, 3, 1, 4), torch.ones(1, 3, 1)
    out = delta_rule(key, key, value, beta, None)
    torch.testing.assert_close(out, value)  # each is read back right after; the third replaced the first


@pytest.mark.parametrize("size", [1, 2, 8, 32])
def test_the_inverse(size: int) -> None:
    torch.manual_seed(0)
    lower = torch.randn(3, size, size, dtype=torch.float64).tril(-1) / size
    expected = torch.linalg.inv(lower + torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(unit_lower_inverse(lower), expected)


@pytest.mark.parametrize("gate", [False, True])
def test_states_of_exported_graphs_are_those_of_the_loop(gate: bool) -> None:
    torch.manual_seed(0)
    added, known, written = torch.randn(3, 1, 5, 2, 8, 4, dtype=torch.float64).unbind(0)
    end = torch.rand(1, 5, 2, 1, 1, dtype=torch.float64) if gate else None
    loop = delta_kernel._states(added, known, written, end)
    turned = written.transpose(-2, -1)
    torch.testing.assert_close(_states_by_doubling(turned @ added, turned @ known, end), loop)


@pytest.mark.parametrize("gate", [False, True])
def test_padding_on_either_side_changes_nothing(gate: bool) -> None:
    torch.manual_seed(0)
    block = DeltaRule(8, 2, gate=gate).double()
    data, mask = torch.randn(1, 50, 8, dtype=torch.float64), torch.ones(1, 50)
    mask[:, :3] = mask[:, -12:] = 0
    torch.testing.assert_close(block(data, mask)[:, 3:-12], block(data[:, 3:-12]))


@pytest.mark.parametrize("gate", [False, True])
def test_the_fused_kernel_is_called_as_the_plain_form(gate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(q, k, v, g, beta, scale):  # type: ignore[no-untyped-def]
        assert scale == 1.0
        return recurrence(q, k, v, beta, g), None

    inputs = [*example(9, gate), *([] if gate else [None])]
    expected = delta_rule(*inputs)
    assert not delta_kernel.use_fused(inputs[0])
    monkeypatch.setattr(delta_kernel, "use_fused", lambda query: True)
    monkeypatch.setattr(delta_kernel, "fused_kernel", lambda: stand_in)
    torch.testing.assert_close(delta_rule(*inputs), expected)
