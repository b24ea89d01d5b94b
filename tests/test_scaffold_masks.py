"""Each layer gets the mask that it asks for, made once; a custom embedding may bring its own."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nas.blocks.none import NoBlock
from nas.errors import InputError
from nas.masks import PaddingMask, SelfAttentionMask
from tests.scaffolds import Probe, ids, scaffold


class Foreign(nn.Module):
    """A layer from elsewhere that says nothing but its signature."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        self.seen.append(attention_mask)
        return data


class OwnMask(Probe):
    """A block with a mask of its own."""

    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask


class CountedMask(PaddingMask):
    """Counts how often a mask is made."""

    made = 0

    def forward(self, data: Tensor, mask: Tensor) -> Tensor:
        type(self).made += 1
        return super().forward(data, mask)


class WithCountedMask(Probe):
    mask_cls: ClassVar[type[nn.Module] | None] = CountedMask


def test_blocks_get_none_and_foreign_layers_get_ones_without_a_mask() -> None:
    layers = [Probe(), Foreign(), OwnMask()]
    scaffold(layers)([ids()])
    assert layers[0].seen == [None]
    assert torch.equal(layers[1].seen[0], torch.ones(2, 6, 6))
    assert layers[2].seen == [None]


def test_each_block_gets_the_mask_that_it_asks_for() -> None:
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1] * 6])
    layers = [Probe(), OwnMask(), Foreign(), OwnMask()]
    scaffold(layers)([ids(), mask])
    full = mask[:, None, :].expand(-1, 6, -1).float()
    assert torch.equal(layers[0].seen[0], full)
    assert torch.equal(layers[2].seen[0], full)
    assert torch.equal(layers[1].seen[0], mask.bool())
    assert layers[1].seen[0] is layers[3].seen[0]


def test_a_mask_is_made_once_for_each_class() -> None:
    CountedMask.made = 0
    scaffold([WithCountedMask, WithCountedMask])([ids(), torch.ones(2, 6)])
    assert CountedMask.made == 1


def test_a_mask_class_of_ones_own_is_used_even_without_a_mask() -> None:
    layer = Probe()
    scaffold(layer, mask_cls=PaddingMask)([ids()])
    assert torch.equal(layer.seen[0], torch.ones(2, 6, dtype=torch.bool))
    instance = SelfAttentionMask()
    assert scaffold(layer, mask_cls=instance).masks[0] is instance


class Bare(nn.Module):
    """A custom embedding without a mask of its own, or with the one it is told."""

    def __init__(self, mask: Tensor | None = None) -> None:
        super().__init__()
        self.hidden_size, self.mask = 16, mask
        self.embedding_layer = nn.Embedding(50, 16)

    def forward(self, given: Any) -> Any:
        words = given["words"] if isinstance(given, dict) else given[0]
        data = self.embedding_layer(words)
        return data if self.mask is None else (data, self.mask)


def test_an_embedding_may_leave_the_mask_to_mask_cls() -> None:
    layer = Probe()
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1] * 6])
    encoder = scaffold(layer, embedding_cls=Bare(), embedding_cfg=None, mask_cls=PaddingMask)
    encoder({"words": ids(), "input_mask": mask})
    assert torch.equal(layer.seen[0], mask.bool())
    encoder([ids(), mask])
    assert torch.equal(layer.seen[1], mask.bool())
    assert encoder.get_embedding_table() is encoder.embedding_network.embedding_layer.weight


def test_an_embeddings_mask_is_read_by_blocks_with_needs_of_their_own() -> None:
    causal = torch.ones(6, 6).tril()[None].repeat(2, 1, 1)
    causal[0, :, 4:] = 0
    layers = [Probe(), OwnMask()]
    scaffold(layers, embedding_cls=Bare(causal), embedding_cfg=None)({"words": ids()})
    assert layers[0].seen[0] is causal
    assert layers[1].seen[0].tolist() == [[True] * 4 + [False] * 2, [True] * 6]


def test_a_custom_embedding_tells_its_width() -> None:
    with pytest.raises(InputError, match="does not tell its width"):
        scaffold(NoBlock, embedding_cls=nn.Embedding(5, 5), embedding_cfg=None)
    wrong = Bare()
    wrong.hidden_size = 12
    with pytest.raises(InputError, match=r"expected \[B, T, 12\]"):
        scaffold(NoBlock, embedding_cls=wrong, embedding_cfg=None)([ids()])
