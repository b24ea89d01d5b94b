"""The configuration restores everything but the weights, sharing included, and runs nothing foreign."""

from __future__ import annotations

import copy
import json
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.transformer.encoder_block import Transformer
from nas.configured import Configured
from nas.embeddings import TransformerEmbedding
from nas.errors import InputError
from nas.masks import PaddingMask
from nas.scaffold import EncoderScaffold
from nas.scaffold_config import ConfigReader, ConfigWriter, resolve

EMBEDDING = {"vocab_size": 50, "hidden_size": 16, "max_seq_length": 12}


def scaffold(hidden_cls: list[Any], **changes: Any) -> EncoderScaffold:
    settings: dict[str, Any] = {
        "pooled_output_dim": 8,
        "embedding_cfg": EMBEDDING,
        "num_hidden_instances": len(hidden_cls),
        "hidden_cls": hidden_cls,
    }
    return EncoderScaffold(**{**settings, **changes}).eval()


class Indexed(Configured, nn.Module):
    """Knows its place."""

    def __init__(self, layer_idx: int, act: Any = F.gelu) -> None:
        super().__init__()
        self.layer_idx, self.act = layer_idx, act

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        return self.act(data)


class Mixing(Configured, nn.Module):
    """A layer around an inner module that it is given."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        return self.inner(data)


class OldStyle(nn.Module):
    """Describes itself as Keras layers do."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def get_config(self) -> dict[str, Any]:
        return {"size": self.size}

    def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
        return data * self.size


def check_round_trip(encoder: EncoderScaffold, as_json: bool = True) -> EncoderScaffold:
    config = encoder.get_config()
    before = copy.deepcopy(config)
    rebuilt = EncoderScaffold.from_config(config).eval()
    assert config == before  # 5A.5: from_config leaves its argument alone
    assert rebuilt.get_config() == config
    assert [slot.block for slot in rebuilt.slots] == [slot.block for slot in encoder.slots]
    shared = {id(p) for p in encoder.parameters()} & {id(p) for p in rebuilt.parameters()}
    assert not shared  # 5A.5: no weights in common
    rebuilt.load_state_dict(encoder.state_dict(), strict=True)
    ids = torch.arange(12).reshape(2, 6)
    for ours, theirs in zip(encoder([ids]), rebuilt([ids]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    if as_json:
        assert json.loads(encoder.to_json()) == config
        text = json.dumps(json.loads(encoder.to_json()), sort_keys=True)
        assert EncoderScaffold.from_json(text).get_config() == config
    return rebuilt


def test_every_flag_comes_back() -> None:  # 5A.3
    reuse = partial(ReuseAttention, num_heads=2, reuse_heads=1)
    encoder = scaffold(
        [reuse, reuse],
        recursive=True,
        layer_norm_before_pooling=True,
        return_all_layer_outputs=True,
        pooler_layer_initializer=nn.init.ones_,
        mask_cls=PaddingMask,
    )
    rebuilt = EncoderScaffold.from_config(json.loads(encoder.to_json()))
    assert rebuilt.get_config() == encoder.get_config()
    assert rebuilt.return_all_layer_outputs
    assert rebuilt.output_layer_norm is not None
    assert torch.all(rebuilt.pooler_layer.weight == 1)
    assert [layer.has_state for layer in rebuilt.hidden_layers] == [False, True]
    assert isinstance(rebuilt.masks[0], PaddingMask)


def test_layer_indices_come_back_and_are_not_stored() -> None:  # 5A.2
    rebuilt = check_round_trip(scaffold([Indexed, Indexed], feed_layer_idx=True))
    assert [layer.layer_idx for layer in rebuilt.hidden_layers] == [0, 1]
    assert rebuilt.get_config()["hidden_cfg"] is None


def test_sharing_comes_back() -> None:
    ffn, inner = MLP(16), nn.Identity()
    attention = partial(MultiHeadAttention, num_heads=2)
    rebuilt = check_round_trip(scaffold([attention, ffn, attention, ffn, OldStyle(2)]))
    layers = rebuilt.hidden_layers
    assert layers[1] is layers[3]
    assert layers[0] is not layers[2]
    assert layers[4].size == 2
    inside = check_round_trip(scaffold([Mixing(inner), Mixing(inner)]), as_json=False).hidden_layers
    assert inside[0] is not inside[1]
    assert inside[0].inner is inside[1].inner


def test_the_form_is_readable() -> None:
    ffn = MLP(16)
    form = scaffold([ffn, partial(Indexed, 3, act=torch.tanh), ffn]).get_config()["hidden_cls"]
    assert form[0]["$instance"] == "nas.blocks.feedforward.mlp.MLP"
    assert form[0]["config"]["hidden_size"] == 16
    assert form[1]["$partial"]["$class"].endswith(".Indexed")
    assert (form[1]["args"], form[1]["keywords"]) == ([3], {"act": {"$class": "torch.tanh"}})
    assert form[2] == {"$ref": form[0]["id"]}


@pytest.mark.parametrize(
    "value",
    [F.gelu, F.relu, torch.tanh, nn.GELU, nn.init.normal_, partial(nn.init.normal_, std=0.1), (1, (2, "a"))],
)
def test_functions_classes_partials_and_tuples(value: Any) -> None:
    form = json.loads(json.dumps(ConfigWriter().encode({"value": value})))
    back = ConfigReader(form).decode(form)["value"]
    if isinstance(value, partial):
        assert (back.func, back.keywords) == (value.func, value.keywords)
    else:
        assert back == value


def test_what_has_no_name_stays_alive() -> None:
    class Local(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, data: Tensor, attention_mask: Tensor) -> Tensor:
            return self.inner(data)

    shared = nn.Linear(16, 16)
    encoder = scaffold([Local(shared), Local(shared), partial(Local, nn.Tanh())])
    rebuilt = check_round_trip(encoder, as_json=False)
    first, second, third = rebuilt.hidden_layers
    assert first.inner is second.inner
    assert first.inner is not shared
    assert isinstance(third.inner, nn.Tanh)
    with pytest.raises(InputError, match="Local can not be written as JSON"):
        encoder.to_json()
    other = scaffold([Local(nn.Linear(16, 16, bias=False)), Local(shared), partial(Local, nn.Tanh())])
    assert other.get_config() != encoder.get_config()


def test_embedding_data_of_its_own_comes_back() -> None:
    class Custom(TransformerEmbedding):
        pass

    table = torch.randn(5, 3)
    encoder = scaffold([MLP], embedding_cls=Custom, embedding_data=table)
    assert encoder.get_embedding_table() is table
    assert "table" not in encoder.state_dict()
    rebuilt = check_round_trip(encoder, as_json=False)
    assert torch.equal(rebuilt.get_embedding_table(), table)


def test_a_subclass_comes_back_as_itself() -> None:
    config = Small(width=16).get_config()
    assert config == {"width": 16}
    assert isinstance(Small.from_config(config), Small)


class Small(EncoderScaffold):
    """An encoder with arguments of its own."""

    def __init__(self, width: int) -> None:
        super().__init__(
            8, embedding_cfg={**EMBEDDING, "hidden_size": width}, hidden_cfg={"num_attention_heads": 2}
        )


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "torch.nn.init.math.sqrt",
        "nas.files.os.remove",
        "nas.scaffold.nothing",
        "json.JSONDecoder",
        "not_imported_yet.Block",
        "torch",
    ],
)
def test_a_configuration_reaches_nothing_else(path: str) -> None:
    with pytest.raises(InputError, match=f"'{path}' is not"):
        resolve(path)


def test_an_instance_must_be_a_module() -> None:
    form = {"$instance": "nas.errors.InputError", "id": 0, "config": {}}
    with pytest.raises(InputError, match="is not a module class"):
        ConfigReader(form).decode(form)
    with pytest.raises(InputError, match="names no"):
        ConfigReader({"$ref": 3}).decode({"$ref": 3})


def test_defaults_come_back() -> None:
    encoder = EncoderScaffold(8, embedding_cfg=EMBEDDING, hidden_cfg={"num_attention_heads": 2})
    assert encoder.get_config()["hidden_cls"] == {"$class": f"{Transformer.__module__}.Transformer"}
    check_round_trip(encoder.eval())
