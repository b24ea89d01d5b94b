"""Lists that mix classes, instances and states; what each slot is built with and called with."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, ClassVar

import pytest
from torch import Tensor, nn

from nas.blocks.base import Block
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.mixing.conv import DepthwiseConv
from nas.blocks.none import NoBlock
from nas.blocks.recursive.reuse import ReuseAttention
from nas.errors import InputError
from tests.scaffolds import MHA, REUSE, Probe, ids, scaffold


class Chain(Block):
    """A recursive block whose state lists the blocks of its kind that ran."""

    role: ClassVar[Any] = "recursive"
    recursive: ClassVar[bool] = True

    def __init__(self, name: str = "chain") -> None:
        super().__init__()
        self.name, self.seen = name, []

    def forward(
        self, data: Tensor, attention_mask: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, list[str]]:
        self.seen.append(state)
        return data, [*(state or []), self.name]


class OtherChain(Chain):
    """The same, of another kind."""

    state_kind: ClassVar[str] = "other"


class Foreign(nn.Module):
    """A layer from elsewhere that says nothing but its signature."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        self.seen.append(attention_mask)
        return data


class ForeignRecursive(nn.Module):
    """A recursive layer from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def forward(self, data: Tensor, attention_mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.seen.append(state)
        return data, [*(state or []), "foreign"]


def test_lists_mix_classes_partials_and_instances() -> None:
    shared = MLP(16)
    encoder = scaffold((MHA, shared, partial(DepthwiseConv, kernel_size=3), shared, NoBlock))
    names = [type(layer).__name__ for layer in encoder.hidden_layers]
    assert names == ["MultiHeadAttention", "MLP", "DepthwiseConv", "MLP", "NoBlock"]
    assert encoder.hidden_layers[1] is encoder.hidden_layers[3] is shared
    assert [slot.block for slot in encoder.slots] == [0, 1, 2, 1, 3]
    assert encoder([ids()])[0].shape == (2, 6, 16)
    assert len(list(encoder.parameters())) == len({id(p) for p in encoder.parameters()})
    assert sum(key.endswith("inner.weight") for key in encoder.state_dict()) == 1


def test_a_class_is_built_anew_for_each_slot_and_told_the_width() -> None:
    first, second = scaffold([MHA, MHA]).hidden_layers
    assert first is not second
    assert first.config["hidden_size"] == 16
    with pytest.raises(InputError, match="has hidden_size=8: expected the embedding's, 16"):
        scaffold([MLP(8)])
    with pytest.raises(InputError, match="has hidden_size=8: expected the embedding's, 16"):
        scaffold([partial(MLP, hidden_size=8)])


def test_layer_idx_reaches_every_class_and_no_caller(shared_cfg: dict[str, Any]) -> None:  # 5A.2
    before = copy.deepcopy(shared_cfg)
    encoder = scaffold(
        Probe,
        num_hidden_instances=3,
        hidden_cfg=shared_cfg,
        feed_layer_idx=True,
        layer_idx_as_attention_seed=True,
    )
    assert [layer.layer_idx for layer in encoder.hidden_layers] == [0, 1, 2]
    assert [layer.attention_cfg for layer in encoder.hidden_layers] == [
        {"seed": 0, "rate": 1},
        {"seed": 1, "rate": 1},
        {"seed": 2, "rate": 1},
    ]
    assert shared_cfg == before
    assert encoder.get_config()["hidden_cfg"] == before
    shared_cfg["attention_cfg"]["rate"] = 2
    assert encoder.get_config()["hidden_cfg"] == before


@pytest.fixture
def shared_cfg() -> dict[str, Any]:
    return {"attention_cfg": {"rate": 1}}


def test_state_starts_as_none_and_goes_from_layer_to_layer() -> None:
    layers = [Chain("a"), Probe(), ForeignRecursive(), Foreign(), Chain("b")]
    encoder = scaffold(layers, recursive=True)
    encoder([ids()])
    assert layers[0].seen == [None]
    assert layers[2].seen == [["a"]]
    assert layers[4].seen == [["a", "foreign"]]


def test_states_are_kept_by_kind() -> None:
    layers = [Chain("a"), OtherChain("x"), Chain("b"), OtherChain("y")]
    scaffold(layers, recursive=True)([ids()])
    assert [layer.seen for layer in layers] == [[None], [None], [["a"]], [["x"]]]


def test_one_recursive_instance_in_every_slot() -> None:  # 5A.8
    chain = Chain("a")
    scaffold(chain, num_hidden_instances=3, recursive=True)([ids()])
    assert chain.seen == [None, ["a"], ["a", "a"]]
    reuse = ReuseAttention(16, 2)
    assert scaffold(reuse, num_hidden_instances=3, recursive=True)([ids()])[0].shape == (2, 6, 16)


def test_has_state_says_whether_an_earlier_slot_is_of_the_kind() -> None:
    encoder = scaffold([MHA, REUSE, Chain, REUSE], recursive=True)
    assert [m.has_state for m in encoder.hidden_layers if isinstance(m, ReuseAttention)] == [False, True]
    assert encoder.hidden_layers[3].query is None
    assert encoder([ids()])[0].shape == (2, 6, 16)


class Forgetful(nn.Module):
    """Takes a state and returns none."""

    def forward(self, data: Tensor, attention_mask: Tensor, state: Any) -> Any:
        return data


class Talkative(nn.Module):
    """Returns more than it was asked for."""

    def forward(self, data: Tensor, attention_mask: Tensor) -> Any:
        return data, attention_mask


def test_layers_that_return_something_else_are_named() -> None:
    with pytest.raises(InputError, match="Forgetful takes a state, but returned a Tensor"):
        scaffold(Forgetful(), recursive=True)([ids()])
    with pytest.raises(InputError, match="Talkative returned a tuple: expected a tensor"):
        scaffold(Talkative())([ids()])
