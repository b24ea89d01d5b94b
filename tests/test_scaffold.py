"""What the original's own tests assert of an EncoderScaffold (reference README, section 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.transformer.encoder_block import Transformer
from nas.configured import Configured
from nas.masks import SelfAttentionMask
from nas.scaffold import EncoderScaffold

EMBEDDING = {"vocab_size": 50, "type_vocab_size": 3, "hidden_size": 16, "max_seq_length": 12}
HIDDEN = {"num_attention_heads": 2, "intermediate_size": 24, "dropout_rate": 0.1}


def scaffold(**changes: Any) -> EncoderScaffold:
    torch.manual_seed(0)
    settings = {
        "pooled_output_dim": 8,
        "embedding_cfg": EMBEDDING,
        "num_hidden_instances": 3,
        "hidden_cls": Transformer,
    }
    settings |= changes
    if settings["hidden_cls"] is Transformer and "hidden_cfg" not in changes:
        settings["hidden_cfg"] = HIDDEN
    return EncoderScaffold(**settings).eval()


def inputs(batch: int = 2, tokens: int = 7) -> dict[str, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    mask = torch.ones(batch, tokens, dtype=torch.int64)
    mask[0, tokens - 2 :] = 0
    return {
        "input_word_ids": torch.randint(0, 50, (batch, tokens), generator=drawn),
        "input_mask": mask,
        "input_type_ids": torch.randint(0, 3, (batch, tokens), generator=drawn),
    }


class Counting(Configured, nn.Module):
    """A layer from elsewhere that counts its calls and takes a setting of its own."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__()
        self.extra, self.calls = extra, 0
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        self.calls += 1
        assert attention_mask.shape == (data.shape[0], data.shape[1], data.shape[1])
        return data * self.weight


class CountingMask(Configured, nn.Module):
    """A mask layer from elsewhere that counts its calls and takes a setting of its own."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__()
        self.extra, self.calls = extra, 0

    def forward(self, data: Tensor, mask: Tensor) -> Tensor:
        self.calls += 1
        return SelfAttentionMask()(data, mask)


class WordsOnly(Configured, nn.Module):
    """A custom embedding with two inputs that makes its own mask."""

    def __init__(self, vocab_size: int = 50, hidden_size: int = 16) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.table = nn.Embedding(vocab_size, hidden_size)

    def forward(self, given: list[Tensor]) -> tuple[Tensor, Tensor]:
        ids, mask = given
        data = self.table(ids)
        return data, SelfAttentionMask()(data, mask)


def two_inputs(tokens: int = 7) -> list[Tensor]:
    given = inputs(tokens=tokens)
    return [given["input_word_ids"], given["input_mask"]]


def test_classes_with_their_cfgs_build_and_take_a_list() -> None:  # 1
    encoder = scaffold(mask_cls=SelfAttentionMask, mask_cfg={})
    sequence, pooled = encoder(list(inputs().values()))
    assert sequence.shape == (2, 7, 16)
    assert pooled.shape == (2, 8)


def test_hidden_cfg_reaches_the_class_and_its_forward_runs() -> None:  # 2
    encoder = scaffold(hidden_cls=Counting, hidden_cfg={"extra": 5})
    encoder(inputs())
    assert [layer.extra for layer in encoder.hidden_layers] == [5, 5, 5]
    assert [layer.calls for layer in encoder.hidden_layers] == [1, 1, 1]


def test_mask_cfg_reaches_the_mask_class_and_its_forward_runs() -> None:  # 3
    encoder = scaffold(mask_cls=CountingMask, mask_cfg={"extra": 7})
    encoder(inputs())
    assert (encoder.masks[0].extra, encoder.masks[0].calls) == (7, 1)


def test_output_forms() -> None:  # 4, 5, 6, 7
    given = inputs()
    sequence, pooled = scaffold()(given)
    layers, pooled_too = scaffold(return_all_layer_outputs=True)(given)
    named = scaffold(return_all_layer_outputs=True, dict_outputs=True)(given)
    assert sequence.shape == (2, 7, 16)
    assert sequence.dtype == pooled.dtype == torch.float32
    assert isinstance(layers, list)
    assert len(layers) == 3
    assert list(named) == ["sequence_output", "pooled_output", "encoder_outputs"]
    assert isinstance(named["encoder_outputs"], list)
    for same in (layers[-1], named["sequence_output"], named["encoder_outputs"][-1]):
        torch.testing.assert_close(same, sequence, rtol=0, atol=0)
    for same in (pooled_too, named["pooled_output"]):
        torch.testing.assert_close(same, pooled, rtol=0, atol=0)
    assert scaffold()(inputs(batch=5))[1].shape == (5, 8)


def test_hidden_layers_and_pooler() -> None:  # 8, 9
    encoder = scaffold()
    assert isinstance(encoder.hidden_layers, list)
    assert len(encoder.hidden_layers) == 3
    assert isinstance(encoder.pooler_layer, nn.Linear)
    assert torch.all(encoder.pooler_layer.bias == 0)
    ones = scaffold(pooler_layer_initializer=nn.init.ones_)
    assert torch.all(ones.pooler_layer.weight == 1)


def test_layer_norm_before_pooling_replaces_the_last_output() -> None:  # 10
    plain, normed = scaffold(dict_outputs=True), scaffold(dict_outputs=True, layer_norm_before_pooling=True)
    assert plain.output_layer_norm is None
    assert normed.output_layer_norm is not None
    assert normed.output_layer_norm.eps == 1e-12
    normed.output_layer_norm.weight.data.fill_(3.0)
    normed.load_state_dict(plain.state_dict(), strict=False)
    before, after = plain(inputs()), normed(inputs())
    expected = normed.output_layer_norm(before["sequence_output"])
    torch.testing.assert_close(after["sequence_output"], expected)
    torch.testing.assert_close(after["encoder_outputs"][-1], expected)
    torch.testing.assert_close(after["encoder_outputs"][0], before["encoder_outputs"][0])
    torch.testing.assert_close(after["pooled_output"], torch.tanh(normed.pooler_layer(expected[:, 0])))


def test_half_precision_autocast() -> None:  # 11
    with torch.autocast("cpu", torch.bfloat16):
        sequence, pooled = scaffold()(inputs())
    assert (sequence.shape, sequence.dtype) == ((2, 7, 16), torch.float32)
    assert (pooled.shape, pooled.dtype) == ((2, 8), torch.bfloat16)


def test_random_inputs_and_a_longer_table() -> None:  # 12, 13
    given = inputs(tokens=6)
    given["input_mask"] = torch.randint(0, 2, (2, 6))
    encoder = scaffold(embedding_cfg={**EMBEDDING, "seq_length": 6}, dict_outputs=True)
    assert encoder(given)["pooled_output"].shape == (2, 8)
    assert encoder.max_seq_length == 12


def test_config_round_trip_and_json() -> None:  # 14, 15
    encoder = scaffold(dict_outputs=True, layer_norm_before_pooling=True)
    config = encoder.get_config()
    rebuilt = EncoderScaffold.from_config(config)
    assert rebuilt.get_config() == config
    assert json.loads(rebuilt.to_json()) == config
    assert EncoderScaffold.from_json(rebuilt.to_json()).get_config() == config


def test_custom_embedding_instance_takes_its_own_inputs() -> None:  # 16, 23
    encoder = scaffold(embedding_cls=WordsOnly(), embedding_cfg=None, mask_cls=CountingMask)
    for tokens in (3, 20):
        assert encoder(two_inputs(tokens))[0].shape == (2, tokens, 16)
    assert encoder.masks[0].calls == 0  # the embedding's mask is used
    padded = encoder(two_inputs())[0]
    assert not torch.equal(padded, encoder([two_inputs()[0], torch.ones(2, 7)])[0])


def test_custom_embedding_round_trip() -> None:  # 17, 18, 19
    embedding = WordsOnly()
    encoder = scaffold(
        embedding_cls=embedding, embedding_cfg=None, embedding_data=embedding.table.weight, dict_outputs=True
    )
    config = json.loads(encoder.to_json())
    rebuilt = EncoderScaffold.from_config(config).eval()
    assert rebuilt.get_config() == encoder.get_config() == config
    assert rebuilt.get_embedding_table() is rebuilt.embedding_network.table.weight
    assert rebuilt.embedding_network is not embedding
    assert rebuilt.get_embedding_table().data_ptr() != encoder.get_embedding_table().data_ptr()
    rebuilt.load_state_dict(encoder.state_dict())
    ours, theirs = encoder(two_inputs()), rebuilt(two_inputs())
    torch.testing.assert_close(ours["sequence_output"], theirs["sequence_output"], rtol=0, atol=0)
    torch.testing.assert_close(ours["pooled_output"], theirs["pooled_output"], rtol=0, atol=0)
    unknown = scaffold(embedding_cls=WordsOnly, embedding_cfg={})
    with pytest.raises(RuntimeError, match="does not have a reference"):
        unknown.get_embedding_table()
    with pytest.raises(RuntimeError, match="does not have a reference"):
        unknown.get_embedding_layer()


def test_instances_are_really_called() -> None:  # 20
    layer, mask = Counting(), CountingMask()
    encoder = scaffold(hidden_cls=layer, mask_cls=mask)
    encoder(inputs())
    assert (layer.calls, mask.calls) == (3, 1)
    assert encoder.hidden_layers == [layer] * 3


def test_parts_of_another_encoder_give_the_same_outputs() -> None:  # 21
    first = scaffold()
    second = scaffold(
        embedding_cls=first.embedding_network, embedding_cfg=None, hidden_cls=first.hidden_layers
    )
    second.pooler_layer.load_state_dict(first.pooler_layer.state_dict())
    for ours, theirs in zip(first(inputs()), second(inputs()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert second.get_embedding_table() is first.get_embedding_table()


def test_popping_a_hidden_layer_leaves_the_encoder_alone() -> None:  # 22
    encoder = scaffold()
    before = encoder(inputs())[0]
    layers = encoder.hidden_layers
    layers.pop()
    shorter = scaffold(
        embedding_cls=encoder.embedding_network,
        embedding_cfg=None,
        hidden_cls=layers,
        num_hidden_instances=2,
    )
    assert not torch.allclose(shorter(inputs())[0], before)
    torch.testing.assert_close(encoder(inputs())[0], before, rtol=0, atol=0)
    assert len(encoder.hidden_layers) == 3


@pytest.mark.parametrize("instances", [True, False])
def test_round_trip_of_instances_and_of_classes(instances: bool) -> None:  # 24, 25
    parts: dict[str, Any] = (
        {"hidden_cls": Counting(3), "mask_cls": CountingMask(4)}
        if instances
        else {"hidden_cls": Counting, "hidden_cfg": {"extra": 3}, "mask_cls": CountingMask}
    )
    encoder = scaffold(**parts)
    config = encoder.get_config()
    rebuilt = EncoderScaffold.from_config(config).eval()
    assert rebuilt.get_config() == config
    assert rebuilt.hidden_layers[0].extra == 3
    assert (rebuilt.hidden_layers[0] is rebuilt.hidden_layers[1]) is instances
    rebuilt.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(encoder(inputs())[0], rebuilt(inputs())[0], rtol=0, atol=0)


def test_a_class_inside_a_cfg_comes_back_as_the_class() -> None:  # 25
    class_in_cfg = {"hidden_size": 16, "num_heads": 2}
    encoder = scaffold(hidden_cls=Wrapping, hidden_cfg={"inner_cls": MultiHeadAttention, "cfg": class_in_cfg})
    rebuilt = EncoderScaffold.from_config(encoder.get_config())
    assert isinstance(rebuilt.hidden_layers[0].inner, MultiHeadAttention)
    assert rebuilt.get_config() == encoder.get_config()


class Wrapping(Configured, nn.Module):
    """A layer that is told the class of its inner layer."""

    def __init__(self, inner_cls: Any, cfg: dict[str, Any]) -> None:
        super().__init__()
        self.inner = inner_cls(**cfg)

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        return self.inner(data, attention_mask)


def test_default_embedding_is_reachable() -> None:
    encoder = scaffold()
    assert encoder.get_embedding_table().shape == (50, 16)
    assert encoder.get_embedding_layer() is encoder.embedding_layer
    assert encoder.get_embedding_table() is encoder.get_embedding_layer().weight
    assert encoder.hidden_size == 16
