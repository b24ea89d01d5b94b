"""The head shares the encoder's table: in value, in gradient, and in nothing that is saved twice."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nas.errors import InputError
from nas.heads import TokenHead


class Encoder(nn.Module):
    """A table, and its rows as output."""

    def __init__(self, vocab_size: int = 11, hidden_size: int = 8) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocab_size, hidden_size))

    def get_embedding_table(self) -> nn.Parameter:
        return self.table

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(ids, self.table)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder()


def test_only_the_positions_are_projected(encoder: Encoder) -> None:
    head = TokenHead(encoder, 11)
    nn.init.normal_(head.bias)
    output = torch.randn(3, 5, 8)
    positions = torch.tensor([0, 7, 14])
    expected = head.norm(output) @ encoder.table.T + head.bias
    torch.testing.assert_close(head(output, positions), expected.view(15, 11)[positions])


def test_a_narrow_table_is_reached_through_a_projection(encoder: Encoder) -> None:
    encoder.hidden_size = 12
    head = TokenHead(encoder, 11)
    output = torch.randn(3, 5, 12)
    expected = head.norm(head.projection(output.flatten(0, 1)[[3]])) @ encoder.table.T
    torch.testing.assert_close(head(output, torch.tensor([3])), expected)


def test_gradients_reach_the_table_from_both_sides(encoder: Encoder) -> None:
    head = TokenHead(encoder, 11)
    ids = torch.tensor([[1, 2, 3, 4]])
    loss = F.cross_entropy(head(encoder(ids), torch.tensor([1, 2])), torch.tensor([5, 6]))
    loss.backward()
    assert encoder.table.grad is not None
    assert encoder.table.grad.abs().sum(1).gt(0).all()  # every row is an answer
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_the_table_is_the_encoders_alone(encoder: Encoder) -> None:
    head = TokenHead(encoder, 11)
    assert set(head.state_dict()) == {"norm.weight", "norm.bias", "bias"}
    assert len(list(nn.ModuleList([encoder, head]).parameters())) == 4
    assert [type(child) for child in head.children()] == [nn.Identity, nn.LayerNorm]


def test_a_copy_of_both_is_tied_to_itself(encoder: Encoder) -> None:
    pair = nn.ModuleList([encoder, TokenHead(encoder, 11)])
    for again in (copy.deepcopy(pair), _through_a_file(pair)):
        with torch.no_grad():
            again[0].table.zero_()  # type: ignore[union-attr]
        assert again[1](torch.randn(1, 2, 8), torch.tensor([0, 1])).abs().sum() == 0
        assert encoder.table.abs().sum() > 0


def test_moving_keeps_the_tie(encoder: Encoder) -> None:
    pair = nn.ModuleList([encoder, TokenHead(encoder, 11)]).double()
    assert pair[1](torch.randn(1, 2, 8).double(), torch.tensor([0])).dtype == torch.float64


def test_bf16_autocast(encoder: Encoder) -> None:
    head = TokenHead(encoder, 11)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(torch.randn(1, 4, 8).bfloat16(), torch.tensor([1, 2]))
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()


def test_a_prior_is_what_the_head_starts_from(encoder: Encoder) -> None:
    counts = torch.tensor([0, 90, *[1] * 9])
    head = TokenHead(encoder, 11, counts)
    nn.init.zeros_(head.norm.weight)
    share = head(torch.randn(1, 2, 8), torch.tensor([0])).softmax(-1)[0]
    torch.testing.assert_close(share, (counts + 1) / (counts.sum() + 11))


@pytest.mark.slow  # compiles
def test_it_compiles_as_one_graph(encoder: Encoder) -> None:
    pair = nn.ModuleList([encoder, TokenHead(encoder, 11)])

    def forward(ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = pair[1](pair[0](ids), positions)
        return logits

    ids, positions = torch.tensor([[1, 2, 3, 4]]), torch.tensor([1, 3])
    compiled = torch.compile(forward, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(ids, positions), forward(ids, positions))
    with torch.no_grad():
        encoder.table.mul_(2)
    torch.testing.assert_close(compiled(ids, positions), forward(ids, positions))


def test_no_positions(encoder: Encoder) -> None:
    logits = TokenHead(encoder, 11)(torch.randn(1, 4, 8), torch.tensor([], dtype=torch.int64))
    assert logits.shape == (0, 11)


def test_another_vocabulary(encoder: Encoder) -> None:
    with pytest.raises(InputError, match="vocab_size=11 must be the task's: 12"):
        TokenHead(encoder, 12)


def _through_a_file(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded
