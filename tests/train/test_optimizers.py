from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nas.errors import InputError
from nas.train.optimizers import AdamW


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3))


def take_steps(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for step in range(5):
        ids = torch.arange(7).roll(step)
        loss = network(ids).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_it_steps_as_adamw_of_pytorch_does() -> None:
    ours, theirs = model(), model()
    take_steps(
        ours, AdamW(lr=0.1, beta1=0.8, beta2=0.95, epsilon=1e-6, weight_decay=0.2).build(ours.parameters())
    )
    matrices = [p for p in theirs.parameters() if p.dim() >= 2]
    vectors = [p for p in theirs.parameters() if p.dim() < 2]
    plain = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.2}, {"params": vectors, "weight_decay": 0.0}],
        lr=0.1, betas=(0.8, 0.95), eps=1e-6, fused=False, foreach=False,
    )  # fmt: skip
    take_steps(theirs, plain)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_vectors_do_not_decay_and_matrices_do() -> None:
    network = model()
    before = copy.deepcopy(network)
    optimizer = AdamW(lr=0.1, weight_decay=0.5).build(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for now, then in zip(network.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(now, then * 0.95 if now.dim() >= 2 else then)


def test_every_parameter_is_in_one_group() -> None:
    network = model()
    optimizer = AdamW().build(network.parameters())
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters())


def test_vectors_alone_make_one_group() -> None:
    assert len(AdamW().build(nn.LayerNorm(3).parameters()).param_groups) == 1


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"lr": 0.0}, "optimizer.lr=0.0 must be greater than 0"),
        ({"lr": float("nan")}, "optimizer.lr=nan must be greater than 0"),
        ({"weight_decay": float("nan")}, "optimizer.weight_decay=nan must not be negative"),
        ({"epsilon": -1.0}, "optimizer.epsilon=-1.0 must be greater than 0"),
        ({"beta1": 1.0}, "optimizer.beta1=1.0 must be at least 0 and below 1"),
        ({"beta2": -0.1}, "optimizer.beta2=-0.1 must be at least 0 and below 1"),
        ({"weight_decay": -1.0}, "optimizer.weight_decay=-1.0 must not be negative"),
    ],
)
def test_wrong_values_are_named(values: dict[str, float], text: str) -> None:
    with pytest.raises(InputError) as caught:
        AdamW(**values)
    assert str(caught.value) == text
