"""Predicted cost equals counted cost, for whole encoders."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.base import Block
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.none import NoBlock
from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.transformer.encoder_block import Transformer
from nas.costs.encoder import cost
from nas.errors import InputError
from nas.scaffold import EncoderScaffold

MHA = partial(MultiHeadAttention, num_heads=2)


def scaffold(*layers: Any, **changes: Any) -> EncoderScaffold:
    settings: dict[str, Any] = {
        "pooled_output_dim": 8,
        "embedding_cfg": {"vocab_size": 50, "hidden_size": 16, "max_seq_length": 32},
        "num_hidden_instances": len(layers),
        "hidden_cls": list(layers),
    }
    return EncoderScaffold(**{**settings, **changes}).eval()


def mixed() -> EncoderScaffold:
    ffn, reuse = MLP(16), partial(ReuseAttention, num_heads=2)
    return scaffold(
        MHA, ffn, reuse, NoBlock, ffn, reuse, partial(Transformer, num_attention_heads=2), recursive=True
    )


class Foreign(nn.Module):
    """A layer from elsewhere with one product per token."""

    def __init__(self, ask: bool = False) -> None:
        super().__init__()
        self.inner, self.ask = nn.Linear(16, 16), ask

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        if self.ask and data.sum() > 1e9:  # needs real numbers
            return data
        return nn.functional.dropout(self.inner(data), 0.5)


class ForeignAttention(nn.Module):
    """A layer from elsewhere that attends."""

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(data, data, data)


def test_parameters_are_those_of_the_module() -> None:
    encoder = mixed()
    total = cost(encoder, 1, 16)
    assert total.parameters == sum(p.numel() for p in encoder.parameters())
    assert total.embedding_parameters == sum(p.numel() for p in encoder.embedding.parameters())
    assert total.pooler_parameters == 16 * 8 + 8
    assert [slot.shared_with for slot in total.per_slot] == [None, None, None, None, 1, None, None]
    assert total.per_slot[4].parameters == 0
    assert total.per_slot[4].flops_per_token == total.per_slot[1].flops_per_token > 0
    normed = scaffold(MLP, layer_norm_before_pooling=True)
    assert cost(normed, 1, 16).parameters == sum(p.numel() for p in normed.parameters())


@pytest.mark.parametrize("tokens", [7, 32])
def test_flops_are_those_that_torch_counts(tokens: int) -> None:
    encoder = mixed()
    plain = sdpa_kernel(SDPBackend.MATH)  # the counter does not know the CPU's fused attention
    with plain, torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder([torch.ones(1, tokens, dtype=torch.int64)])
    total = cost(encoder, 1, tokens)
    assert total.flops_per_token * tokens == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert total.training_flops_per_token == 3 * total.flops_per_token


def test_the_meta_device_costs_the_same() -> None:
    with torch.device("meta"):
        encoder = mixed()
    assert cost(encoder, 1, 16) == cost(mixed(), 1, 16)


def test_modules_from_elsewhere_are_counted_without_touching_random_numbers() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    for layer in (Foreign(), Foreign(ask=True)):
        torch.manual_seed(3)
        encoder = scaffold(MLP, layer)
        state = torch.get_rng_state()
        assert cost(encoder, 1, 8).per_slot[1].flops_per_token == 2 * 16 * 16
        assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), expected)
    with torch.device("meta"):
        encoder = scaffold(partial(Foreign, ask=True))
    with pytest.raises(InputError, match="Foreign can not be counted"):
        cost(encoder, 1, 8)


def test_a_block_that_tells_no_cost_is_named() -> None:
    class Silent(Block):
        def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
            return data

    with pytest.raises(InputError, match=r"^Silent defines no flops_per_token$"):
        cost(scaffold(Silent), 1, 8)


def test_attention_from_elsewhere_is_counted() -> None:
    assert cost(scaffold(ForeignAttention), 1, 8).per_slot[0].flops_per_token == 4 * 8 * 16


def test_a_custom_embedding_counts_for_its_linear_layers() -> None:
    class Factorized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden_size = 16
            self.table, self.projection = nn.Embedding(50, 4), nn.Linear(4, 16)

        def forward(self, inputs: list[Tensor]) -> Tensor:
            return self.projection(self.table(inputs[0]))

    encoder = scaffold(NoBlock, embedding_cls=Factorized(), embedding_cfg=None)
    assert cost(encoder, 1, 8).flops_per_token == 2 * 4 * 16 + 2 * 16 * 8 / 8


def test_the_length_is_positive() -> None:
    with pytest.raises(InputError, match="seq_length=0 must be greater than 0"):
        cost(mixed(), 1, 0)
