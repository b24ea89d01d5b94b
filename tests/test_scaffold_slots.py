"""Lists that mix layers, states, masks and sharing; and what is wrong with arguments (section 5A)."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.base import Block
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.mixing.conv import DepthwiseConv
from nas.blocks.none import NoBlock
from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.transformer.encoder_block import Transformer
from nas.errors import InputError
from nas.masks import PaddingMask, SelfAttentionMask
from nas.scaffold import EncoderScaffold

EMBEDDING = {"vocab_size": 50, "hidden_size": 16, "max_seq_length": 12}
MHA = partial(MultiHeadAttention, num_heads=2)
REUSE = partial(ReuseAttention, num_heads=2)


def scaffold(hidden_cls: Any = Transformer, **changes: Any) -> EncoderScaffold:
    settings: dict[str, Any] = {"pooled_output_dim": 8, "embedding_cfg": EMBEDDING, "hidden_cls": hidden_cls}
    if isinstance(hidden_cls, list | tuple):
        settings["num_hidden_instances"] = len(hidden_cls)
    if hidden_cls is Transformer:
        settings["hidden_cfg"] = {"num_attention_heads": 2}
    return EncoderScaffold(**{**settings, **changes}).eval()


def ids(tokens: int = 6) -> Tensor:
    return torch.arange(2 * tokens).reshape(2, tokens) % 50


class Probe(Block):
    """A block that keeps what it was called with."""

    role: ClassVar[Any] = "mixing"

    def __init__(self, layer_idx: int | None = None, attention_cfg: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.layer_idx, self.attention_cfg = layer_idx, attention_cfg
        self.seen: list[Any] = []

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        self.seen.append(attention_mask)
        return data + 1


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


def test_the_length_of_a_list_must_be_the_number_of_instances() -> None:  # 5A.1
    with pytest.raises(InputError, match=r"num_hidden_instances=3, but hidden_cls is a list of 2"):
        scaffold([NoBlock, NoBlock], num_hidden_instances=3)


@pytest.mark.parametrize("number", [0, -2, True, 1.5])
def test_the_number_of_instances_is_positive(number: Any) -> None:  # 5A.7
    with pytest.raises(InputError, match="num_hidden_instances=.* must be an integer greater than 0"):
        scaffold(num_hidden_instances=number)


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


def test_layer_idx_that_nobody_takes() -> None:  # 5A.7, 5A.9
    with pytest.raises(InputError, match=r"hidden_cls\[1\]=MLP does not accept layer_idx"):
        scaffold([Probe, MLP], feed_layer_idx=True)
    with pytest.raises(InputError, match="feed_layer_idx=True has no effect"):
        scaffold(Probe(), feed_layer_idx=True)
    with pytest.raises(InputError, match="hidden_cfg has no dict attention_cfg"):
        scaffold(Probe, layer_idx_as_attention_seed=True)
    with pytest.raises(InputError, match="hidden_cls are instances"):
        scaffold(Probe(), layer_idx_as_attention_seed=True)


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


def test_recursive_must_be_said_and_meant() -> None:  # 5A.7
    with pytest.raises(InputError, match=r"hidden_cls\[1\]=ReuseAttention is recursive: set recursive=True"):
        scaffold([MHA, REUSE])
    with pytest.raises(InputError, match="recursive=True, but no layer of hidden_cls takes a state"):
        scaffold([MHA, MLP], recursive=True)


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


def test_all_mistakes_come_together() -> None:
    with pytest.raises(InputError) as caught:
        EncoderScaffold(
            pooled_output_dim=0,
            pooler_layer_initializer="normal",
            embedding_cfg={"vocab": 50, "hidden_size": 16},
            num_hidden_instances=2,
            hidden_cls=[3, Transformer, nn.Linear],
            hidden_cfg={"num_heads": 2},
            mask_cls="self",
            mask_cfg=[1],
            dict_outputs="false",
        )
    text = str(caught.value)
    for part in (
        "pooled_output_dim=0 must be an integer greater than 0",
        "pooler_layer_initializer='normal' is not callable",
        "embedding_cfg.vocab=50 is no argument of embedding_cls=TransformerEmbedding",
        "did you mean 'vocab_size'",
        "num_hidden_instances=2, but hidden_cls is a list of 3",
        "hidden_cls[0]=3 is a int: expected a module class",
        "hidden_cfg.num_heads=2 is no argument of hidden_cls[1]=Transformer",
        "hidden_cls[1]=Transformer needs ['num_attention_heads']",
        "hidden_cls[2]=Linear: its forward must take (data, attention_mask[, state])",
        "mask_cfg=[1] is a list: expected a dict",
        "dict_outputs='false' must be True or False",
    ):
        assert part in text, part


def test_values_that_a_constructor_refuses_name_the_slot() -> None:
    with pytest.raises(InputError) as caught:
        scaffold([partial(MHA, num_kv_heads=3), MLP, partial(MLP, ratio=-1)])
    assert "hidden_cls[0]=MultiHeadAttention: num_heads=2 is not a multiple of num_kv_heads=3" in str(
        caught.value
    )
    assert "hidden_cls[2]=MLP: ratio=-1 must be greater than 0" in str(caught.value)


def test_the_default_embedding_needs_its_cfg() -> None:  # 5A.6, 5A.7
    with pytest.raises(InputError, match="embedding_cfg=None: the default embedding needs"):
        scaffold(embedding_cfg=None)
    with pytest.raises(InputError, match="embedding_data is for a custom embedding_cls"):
        scaffold(embedding_data=torch.ones(2))
    with pytest.raises(InputError, match="embedding_cls=TransformerEmbedding: dropout_rate=2"):
        scaffold(embedding_cfg={**EMBEDDING, "dropout_rate": 2})


def test_a_custom_embedding_tells_its_width() -> None:
    with pytest.raises(InputError, match="does not tell its width"):
        scaffold(NoBlock, embedding_cls=nn.Embedding(5, 5), embedding_cfg=None)
    wrong = Bare()
    wrong.hidden_size = 12
    with pytest.raises(InputError, match=r"expected \[B, T, 12\]"):
        scaffold(NoBlock, embedding_cls=wrong, embedding_cfg=None)([ids()])


def test_settings_of_instances_warn_that_they_have_no_effect() -> None:
    with pytest.warns(UserWarning, match="hidden_cfg has no effect"):
        scaffold(Probe(), hidden_cfg={"layer_idx": 3})
    with pytest.warns(UserWarning, match="mask_cfg has no effect"):
        scaffold(Probe(), mask_cls=PaddingMask(), mask_cfg={"a": 3})
