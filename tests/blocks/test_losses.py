"""Auxiliary losses are kept where somebody asks for them, and nowhere else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.blocks.losses import add_loss, collect_losses


class Costly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, data: Tensor) -> Tensor:
        out = self.linear(data)
        add_loss("size", out.square().mean())
        add_loss("sum", out.sum())
        return out


DATA = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


def test_losses_of_one_name_are_summed() -> None:
    layer = Costly()
    with collect_losses() as losses:
        out = layer(DATA)
        again = layer(2 * DATA)
    assert set(losses) == {"size", "sum"}
    torch.testing.assert_close(losses["sum"], out.sum() + again.sum())


def test_nothing_is_kept_outside_and_the_innermost_collects() -> None:
    layer = Costly()
    layer(DATA)
    with collect_losses() as outer:
        with collect_losses() as inner:
            layer(DATA)
        assert not outer
    assert inner


def test_they_train_the_block_also_when_compiled() -> None:
    layer = Costly()
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    for step in range(3):  # inside and outside, by turns
        with collect_losses() as losses:
            compiled(DATA)
        torch.testing.assert_close(losses["size"], layer(DATA).square().mean())
        layer.zero_grad()
        losses["size"].backward()
        assert layer.linear.weight.grad.any(), step
        compiled(DATA)
