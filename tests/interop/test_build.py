"""What `build` accepts, refuses and says: entries made up here, with weights of our own making."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from nas.errors import InputError
from nas.interop.model_garden import build

RANDOM = np.random.default_rng(0)
HEADS = ("query", "key", "value")


def array(*shape: int) -> np.ndarray:
    return (0.3 * RANDOM.standard_normal(shape)).astype(np.float32)


def dense(name: str, *kernel: int, bias: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {f"{name}/kernel": array(*kernel), f"{name}/bias": array(*bias)}


def attention_weights(keys: int = 4, values: int = 4) -> dict[str, np.ndarray]:
    sizes = dict(zip(HEADS, (keys, keys, values), strict=True))
    found = {}
    for name, size in sizes.items():
        found |= dense(f"{name}_dense", 8, 2, size, bias=(2, size))
    return found | dense("output_dense", 2, values, 8, bias=(8,))


def layer_weights(**sizes: int) -> dict[str, np.ndarray]:
    inside = {f"attention_layer/{name}": value for name, value in attention_weights(**sizes).items()}
    norms = {f"{n}/{part}": array(8) for n in ("attention_layer_norm", "output_layer_norm") for part in
             ("gamma", "beta")}  # fmt: skip
    feedforward = dense("intermediate_dense", 8, 6, bias=(6,)) | dense("output_dense", 6, 8, bias=(8,))
    return inside | norms | feedforward


def entry(**changes: Any) -> dict[str, Any]:
    """An entry of one layer by itself, called with data alone."""
    config = {"num_attention_heads": 2, "inner_dim": 6, "inner_activation": {"$act": "gelu_tanh"}}
    return {
        "kind": "layer",
        "target": "TransformerEncoderBlock",
        "config": config | changes.pop("config", {}),
        "call": "layer([x, m])",
        "input_order": ["x", "m"],
        "inputs": {"x": {"shape": [2, 5, 8]}, "m": {"shape": [2, 5, 5]}},
        **changes,
    }


DATA, MASK = torch.from_numpy(array(2, 5, 8)), torch.ones(2, 5, 5)


def test_inputs_come_in_any_form() -> None:
    layer = build(entry(), layer_weights())
    expected = layer([DATA, MASK])
    for returned in (layer(DATA, MASK), layer({"x": DATA, "m": MASK}), layer(x=DATA, m=MASK)):
        assert torch.equal(returned, expected)
    with pytest.raises(InputError, match=r"inputs \['m'\] are missing; the layer takes \['x', 'm'\]"):
        layer(DATA)


def test_prefixes_of_weights_may_be_there_or_not() -> None:
    weights = layer_weights()
    prefixed = {f"weights/{name}": value for name, value in weights.items()}
    npz = prefixed | {"inputs/x": array(2, 5, 8), "meta": np.array("{}"), "outputs": array(1)}
    results = [build(entry(), form)(DATA, MASK) for form in (weights, prefixed, npz)]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_neither_entry_nor_weights_are_changed() -> None:
    given, weights = entry(), layer_weights()
    before, values = copy.deepcopy(given), {name: value.copy() for name, value in weights.items()}
    layer = build(given, weights)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1)
    assert given == before
    assert all(np.array_equal(weights[name], values[name]) for name in values)


@pytest.mark.parametrize(("keys", "values"), [(4, 3), (3, 5)])
def test_values_of_another_width_than_keys(keys: int, values: int) -> None:
    weights = layer_weights(keys=keys, values=values)
    layer = build(entry(config={"key_dim": keys, "value_dim": values}), weights)

    def heads(name: str) -> torch.Tensor:
        kernel, bias = (weights[f"attention_layer/{name}_dense/{part}"] for part in ("kernel", "bias"))
        return torch.from_numpy(np.einsum("btd,dhk->bhtk", DATA.numpy(), kernel) + bias[:, None])

    query, key, value = map(heads, HEADS)
    mixed = ((query / keys**0.5) @ key.mT).softmax(-1) @ value
    kernel, bias = (weights[f"attention_layer/output_dense/{part}"] for part in ("kernel", "bias"))
    expected = torch.from_numpy(np.einsum("bhtk,hkd->btd", mixed.numpy(), kernel) + bias)
    attention = layer.layer.block.attention
    torch.testing.assert_close(attention.mix(DATA, MASK), expected, atol=1e-5, rtol=1e-5)


def edited(**weights: Any) -> dict[str, np.ndarray]:
    return {k: v for k, v in (layer_weights() | weights).items() if v is not None}


@pytest.mark.parametrize(
    ("given", "weights", "message"),
    [
        (
            {"target": "TransformerEncoderBlok"},
            {},
            "entry.target='TransformerEncoderBlok' is not known; there",
        ),
        ({"kind": "layers"}, {}, r"entry.kind='layers' is not one of \['encoder_scaffold'"),
        ({"call": "layer(open('x'))"}, {}, "neither an input .* nor a constant"),
        ({"call": "layer("}, {}, "is not an expression"),
        ({"call": "x"}, {}, "is not a call such as"),
        ({"config": {"inner_dims": 6}}, {}, "has no argument inner_dims=6; did you mean 'inner_dim'"),
        ({"config": {"attention_axes": 2}}, {}, "attention_axes=2 is not supported: only"),
        ({"config": {"inner_activation": "gleu"}}, {}, "inner_activation='gleu' is not one of .*'gelu'"),
        ({"config": {"inner_activation": {"$lambda": 1}}}, {}, "marker '\\$lambda' of the config is not one"),
        ({"config": {"num_kv_heads": {"$ref": "A"}}}, {}, "\\$ref='A' names no \\$instance"),
        (
            {},
            {"output_dense/bias": None},
            r"parameters of .* that no weight fills: .*feedforward.output.bias",
        ),
        ({}, {"output_dense/kernel": None}, "weight 'output_dense/kernel' is missing"),
        ({}, {"surplus/kernel": array(2)}, r"weights that nothing here uses: \['surplus/kernel'\]"),
        ({}, {"output_dense/kernel": array(6, 9)}, r"'output.weight' of MLP has shape \[8, 6\], the weights"),
    ],
)
def test_what_it_refuses(given: dict[str, Any], weights: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(entry(**given), edited(**weights))


def test_nothing_is_imported_by_name() -> None:
    evil = {"$instance": "os.system", "id": "A", "config": {"command": "true"}}
    given = {"target": "EncoderScaffold", "kind": "encoder_scaffold", "config": {"embedding_cls": evil}}
    with pytest.raises(InputError, match=r"class=.os\.system. is not one of"):
        build(given, {})


def test_an_object_that_stands_twice_is_one_module() -> None:
    instance = {"$instance": "TransformerEncoderBlock", "id": "A", "config": entry()["config"]}
    config = {
        "pooled_output_dim": 8,
        "num_hidden_instances": 3,
        "embedding_cfg": {"vocab_size": 9, "type_vocab_size": 2, "hidden_size": 8, "max_seq_length": 5},
        "hidden_cls": [{"$ref": "A"}, {"$class": "TransformerEncoderBlock"}, instance],
        "hidden_cfg": entry()["config"],
    }
    tables = {"word_embeddings/embeddings": array(9, 8), "type_embeddings/embeddings": array(2, 8)}
    weights = tables | {"position_embedding/position_embeddings": array(5, 8)}
    weights |= {f"embeddings_layer_norm/{part}": array(8) for part in ("gamma", "beta")}
    weights |= dense("pooler", 8, 8, bias=(8,))
    for index in (0, 1):
        weights |= {f"hidden_layers/{index}/{name}": value for name, value in layer_weights().items()}
    encoder = build({"config": config}, weights)
    first, second, third = encoder.hidden_layers
    assert first is third
    assert first is not second
    sequence, _ = encoder([torch.tensor([[1, 2, 3]]), torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.int64)])
    assert sequence.shape == (1, 3, 8)
    weights |= {f"hidden_layers/2/{name}": value for name, value in layer_weights().items()}
    with pytest.raises(InputError, match=r"weights that nothing here uses: .*hidden_layers/2/"):
        build({"config": config}, weights)
