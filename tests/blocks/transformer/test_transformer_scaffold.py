"""The layer with any mixers: what it builds, where it differs from the original, and what it refuses."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.glu import GLU
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.mixing.fourier import FourierMixing
from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.transformer.encoder_block import TransformerEncoderBlock
from nas.blocks.transformer.scaffold import TransformerScaffold
from nas.errors import InputError
from nas.scaffold import EncoderScaffold

DATA = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 7, [1.0] * 5 + [0.0] * 2])


def make(**settings: object) -> TransformerScaffold:
    torch.manual_seed(0)
    layer = TransformerScaffold(32, 4, 48, **settings)  # type: ignore[arg-type]
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return layer.eval()


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_without_classes_it_is_the_standard_layer(norm_first: bool) -> None:
    layer = make(norm_first=norm_first)
    standard = TransformerEncoderBlock(32, 4, 48, norm_first=norm_first).eval()
    standard.load_state_dict(layer.state_dict())
    close(layer(DATA, MASK), standard(DATA, MASK))


@pytest.mark.parametrize("norm_first", [True, False])
def test_equals_the_written_out_form(norm_first: bool) -> None:
    layer = make(norm_first=norm_first, attention_cls=FourierMixing, feedforward_cls=GLU)
    over, within = layer.attention.mix, layer.feedforward.mix
    one, two = layer.attention_norm, layer.feedforward_norm
    if norm_first:
        data = DATA + over(one(DATA), MASK)
        expected = data + within(two(data), MASK)
    else:
        data = one(DATA + over(DATA, MASK))
        expected = two(data + within(data, MASK))
    close(layer(DATA, MASK), expected)


def test_class_partial_and_instance_are_the_same_layer() -> None:
    given = {"attention_cfg": {"bias": True, "position": "none"}, "attention_cls": MultiHeadAttention}
    as_partial = {"attention_cls": partial(MultiHeadAttention, bias=True, position="none", norm="pre")}
    built = MultiHeadAttention(32, 4, bias=True, position="none", norm="none")
    layers = [make(**given), make(**as_partial), make(attention_cls=built)]  # type: ignore[arg-type]
    for layer in layers[1:]:
        layer.load_state_dict(layers[0].state_dict())
        close(layer(DATA, MASK), layers[0](DATA, MASK))
        assert layer.effective_config() == layers[0].effective_config()
    assert layers[2].attention is built


def test_an_instance_is_shared_by_the_layers_of_an_encoder() -> None:
    shared = MLP(32, norm="none")
    encoder = EncoderScaffold(
        pooled_output_dim=8,
        embedding_cfg={"vocab_size": 9, "hidden_size": 32, "max_seq_length": 7},
        num_hidden_instances=2,
        hidden_cls=TransformerScaffold,
        hidden_cfg={"num_attention_heads": 4, "feedforward_cls": shared},
    )
    first, second = encoder.hidden_layers
    assert first.feedforward is second.feedforward is shared
    assert first.attention is not second.attention
    copy = EncoderScaffold.from_config(encoder.get_config())
    assert copy.hidden_layers[0].feedforward is copy.hidden_layers[1].feedforward


def test_keys_of_raw_data_are_the_original_s() -> None:
    layer = make(norm_first=True, key_value_norm=False)
    normed = layer.attention_norm(DATA)
    data = DATA + layer.attention.mix(normed, MASK, key_value=DATA)  # type: ignore[call-arg]
    expected = data + layer.feedforward.mix(layer.feedforward_norm(data), MASK)
    close(layer(DATA, MASK), expected)
    assert not torch.allclose(make(norm_first=True)(DATA, MASK), expected)
    fourier = {"norm_first": True, "attention_cls": FourierMixing}
    close(make(**fourier, key_value_norm=False)(DATA), make(**fourier)(DATA))


def test_a_feedforward_without_residual_is_the_original_s() -> None:
    layer = make(feedforward_cls=GLU, feedforward_residual=False)
    data = layer.attention_norm(DATA + layer.attention.mix(DATA, MASK))
    close(layer(DATA, MASK), layer.feedforward.mix(data, MASK))
    assert not any("feedforward_norm" in name for name, _ in layer.named_parameters())
    first = {"norm_first": True, "feedforward_cls": GLU}
    close(make(**first, feedforward_residual=False)(DATA), make(**first)(DATA))


def test_mixers_are_built_without_anything_around_them() -> None:
    around = {"norm": "post", "residual": "gate", "dropout": 0.5}
    layer = make(feedforward_cls=GLU, feedforward_cfg=around)
    assert sum("norm" in name for name, _ in layer.named_parameters()) == 4
    assert layer.label == "layer(mha+geglu)"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention_cls": torch.nn.Linear(2, 2)}, "attention_cls=Linear is no such thing: expected a block"),
        ({"attention_cls": ReuseAttention}, "attention_cls=ReuseAttention.* takes a state"),
        ({"feedforward_cls": MLP(32)}, "feedforward_cls=MLP has a norm or a residual scheme of its own"),
        ({"feedforward_cls": MLP(32, norm="none"), "feedforward_cfg": {"ratio": 2.0}}, "has no effect"),
        ({"feedforward_cls": MLP, "feedforward_cfg": {"ration": 2.0}}, "feedforward_cfg.ration=2.0 is no"),
        ({"attention_cls": MultiHeadAttention, "attention_cfg": {"num_heads": 5}}, "not a multiple"),
        ({"inner_activation": "gleu"}, "inner_activation='gleu' is not one of"),
    ],
)
def test_what_it_refuses(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**settings)
