"""Mixtures of experts: against a loop over tokens, capacity, padding, groups and losses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.blocks.feedforward.moe import MixtureOfExperts
from nas.blocks.losses import collect_losses
from nas.errors import InputError


def block(**changes: Any) -> MixtureOfExperts:
    torch.manual_seed(0)
    made = MixtureOfExperts(**{"hidden_size": 8, "inner_dim": 6, "num_experts": 3, "norm": "none", **changes})
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def batch(rows: int = 2, tokens: int = 10) -> Tensor:
    return torch.randn(rows, tokens, 8, generator=torch.Generator().manual_seed(1))


def network(made: MixtureOfExperts, expert: int, row: Tensor) -> Tensor:
    experts = made.experts
    inner = experts.activation(row @ experts.inner[expert] + experts.inner_bias[expert, 0])
    return inner @ experts.output[expert] + experts.output_bias[expert, 0]


def by_experts(made: MixtureOfExperts, group: Tensor, places: int) -> Tensor:
    """Experts' choice, one expert after another: each takes its highest tokens."""
    probabilities = made.router.scores(group).softmax(-1)
    out = [torch.zeros_like(row) for row in group]
    for expert in range(probabilities.shape[1]):
        for token in probabilities[:, expert].topk(places).indices.tolist():
            out[token] = out[token] + probabilities[token, expert] * network(made, expert, group[token])
    return torch.stack(out)


def by_tokens(made: MixtureOfExperts, group: Tensor, places: int) -> Tensor:
    """Tokens' choice, one token after another: first choices of all, then second ones."""
    probabilities = made.router.scores(group).softmax(-1)
    weights, chosen = probabilities.topk(made.router.top_k)
    if made.router.top_k > 1:
        weights = weights / weights.sum(-1, keepdim=True)
    room = [places] * probabilities.shape[1]
    out = [torch.zeros_like(row) for row in group]
    for choice in range(made.router.top_k):
        for token in range(len(group)):
            expert = int(chosen[token, choice])
            if room[expert]:
                room[expert] -= 1
                out[token] = out[token] + weights[token, choice] * network(made, expert, group[token])
    return torch.stack(out)


CASES = [
    ({"routing": "experts"}, by_experts, 3),
    ({"routing": "experts", "capacity_factor": 1.5}, by_experts, 5),
    ({"routing": "experts", "capacity_factor": 9.0}, by_experts, 10),
    ({"routing": "tokens"}, by_tokens, 3),
    ({"routing": "tokens", "top_k": 2, "capacity_factor": 0.75}, by_tokens, 5),
    ({"routing": "tokens", "top_k": 3, "capacity_factor": 2.0}, by_tokens, 10),
]


@pytest.mark.parametrize(("changes", "plain", "places"), CASES)
def test_it_is_a_loop_over_tokens_and_so_is_its_gradient(changes: Any, plain: Any, places: int) -> None:
    made, data = block(**changes), batch().requires_grad_()
    ours = made.mix(data, None)
    expected = torch.stack([plain(made, group, places) for group in data])
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    wanted = [data, *made.parameters()]
    for one, other in zip(
        torch.autograd.grad(ours.square().sum(), wanted),
        torch.autograd.grad(expected.square().sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("routing", ["experts", "tokens"])
def test_padding_changes_nothing(routing: str) -> None:
    made, data = block(routing=routing), batch(1)
    longer = torch.cat([data, 9 * torch.ones(1, 7, 8)], dim=1)
    mask = torch.arange(17)[None] < 10
    torch.testing.assert_close(made(longer, mask)[:, :10], made(data))
    as_there = block(routing=routing, padding_takes_places=True)
    assert not torch.allclose(as_there(longer, mask)[:, :10], as_there(data))


def test_every_expert_is_full_where_experts_choose() -> None:
    made = block()
    routes = made.router(batch(), None, 4, 4)
    assert routes.tokens.shape == (2, 3, 4)
    assert (routes.weights > 0).all()
    assert all(len(set(places)) == 4 for group in routes.tokens.tolist() for places in group)


def test_no_expert_is_overfull_where_tokens_choose() -> None:
    made = block(routing="tokens", top_k=2)
    with torch.no_grad():
        made.router.scores.weight.zero_()
        made.router.scores.bias.copy_(torch.tensor([5.0, 4.0, 0.0]))  # all want the first two
    routes = made.router(batch(), None, 4, 4)
    assert [(w > 0).sum().item() for w in routes.weights[0]] == [4, 4, 0]
    assert routes.tokens[0, 0].tolist() == [0, 1, 2, 3]


def test_groups_of_examples() -> None:
    data = batch(4, 6)
    together, halves = block(examples_per_group=2), block(examples_per_group=0.5)
    torch.testing.assert_close(together(data), block()(data.view(2, 12, 8)).view(4, 6, 8))
    torch.testing.assert_close(halves(data), block()(data.view(8, 3, 8)).view(4, 6, 8))
    with pytest.raises(InputError, match=r"examples_per_group=3 cuts 6 tokens into groups of 18"):
        block(examples_per_group=3)(data)


def test_evaluation_may_have_another_capacity() -> None:
    made, data = block(eval_capacity_factor=2.0), batch()
    torch.testing.assert_close(made.eval()(data), block(capacity_factor=2.0)(data))
    assert made.mix_flops(10) == block(capacity_factor=2.0).mix_flops(10)


def test_the_backbone_serves_every_token() -> None:
    made, data = block(backbone_dim=5), batch()
    without = made._combine(data, made.router(data, None, 3, 3))
    backbone = made.backbone
    wanted = backbone.activation(data @ backbone.inner[0] + backbone.inner_bias[0]) @ backbone.output[0]
    torch.testing.assert_close(
        made.mix(data, None) - without, wanted + backbone.output_bias[0], atol=1e-4, rtol=1e-4
    )


def test_losses_are_switch_s_and_z() -> None:
    made, data = block(routing="tokens", balance_loss_weight=2.0, z_loss_weight=3.0), batch()
    mask = torch.ones(2, 10)
    mask[1, 4:] = 0
    with collect_losses() as losses:
        made(data, mask)
    logits = made.router.scores(data[mask == 1])
    share = torch.bincount(logits.argmax(-1), minlength=3) / 14
    balance = 3 * (share * logits.softmax(-1).mean(0)).sum()
    torch.testing.assert_close(losses["moe_balance"], 2 * balance)
    torch.testing.assert_close(losses["moe_z"], 3 * logits.logsumexp(-1).square().mean())
    with collect_losses() as losses:
        block(z_loss_weight=0.0)(data, mask)
    assert losses == {}


def test_noise_is_for_training() -> None:
    made, data = block(jitter_noise=0.9), batch()
    assert not torch.equal(made(data), made(data))
    assert torch.equal(made.eval()(data), made(data))


def test_mistakes_and_labels() -> None:
    assert [block(routing="tokens", top_k=k).label for k in (1, 2)] == ["switch", "moetop2"]
    with pytest.raises(InputError, match="top_k=4 is more than num_experts=3"):
        block(routing="tokens", top_k=4)
    with pytest.raises(InputError, match=r"routing='token' is not one of .*; did you mean 'tokens'"):
        block(routing="token")
    with pytest.raises(InputError, match=r"z_loss_weight=-1.0 must be 0 or greater"):
        block(z_loss_weight=-1.0)
    assert block(top_k=2).effective_config() == block().effective_config()
