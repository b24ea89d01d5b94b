"""The original's layer: against hand-written pre- and post-norm forms, and under both names."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.transformer.encoder_block import Transformer, TransformerEncoderBlock
from nas.errors import InputError

DATA = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 7, [1.0] * 5 + [0.0] * 2])


def attention(w: dict[str, Tensor], x: Tensor) -> Tensor:
    rows = F.linear(x, w["attention.qkv.weight"], w["attention.qkv.bias"])
    q, k, v = (r.view(2, 7, 4, 8).transpose(1, 2) for r in rows.split(32, dim=-1))
    scores = q @ k.mT / 8**0.5 + (1 - MASK[:, None, None, :]) * -1e9
    heads = (scores.softmax(-1) @ v).transpose(1, 2).reshape(2, 7, 32)
    return F.linear(heads, w["attention.output.weight"], w["attention.output.bias"])


def feedforward(w: dict[str, Tensor], x: Tensor) -> Tensor:
    inner = F.gelu(F.linear(x, w["feedforward.inner.weight"], w["feedforward.inner.bias"]))
    return F.linear(inner, w["feedforward.output.weight"], w["feedforward.output.bias"])


def norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / (variance + 1e-12).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def pre_norm(w: dict[str, Tensor]) -> Tensor:
    data = DATA + attention(w, norm(w, "attention_norm", DATA))
    return data + feedforward(w, norm(w, "feedforward_norm", data))


def post_norm(w: dict[str, Tensor]) -> Tensor:
    data = norm(w, "attention_norm", DATA + attention(w, DATA))
    return norm(w, "feedforward_norm", data + feedforward(w, data))


@pytest.mark.parametrize(("norm_first", "reference"), [(True, pre_norm), (False, post_norm)])
def test_equals_the_written_out_form_forward_and_backward(norm_first: bool, reference: object) -> None:
    torch.manual_seed(0)
    block = TransformerEncoderBlock(32, 4, 48, norm_first=norm_first)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    weights = dict(block.named_parameters())
    actual, expected = block(DATA, MASK), reference(weights)  # type: ignore[operator]
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    grads = [torch.autograd.grad((o * DATA.cos()).sum(), list(weights.values())) for o in (actual, expected)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_older_names_build_the_same_layer() -> None:
    settings = {"dropout_rate": 0.1, "attention_dropout_rate": 0.2, "intermediate_dropout": 0.3}
    old = Transformer(32, 4, 48, "relu", norm_first=True, **settings)
    new = TransformerEncoderBlock(
        32, 4, 48, "relu", norm_first=True, output_dropout=0.1, attention_dropout=0.2, inner_dropout=0.3
    )
    new.load_state_dict(old.state_dict())
    assert repr(old).replace("Transformer(", "TransformerEncoderBlock(", 1) == repr(new)
    assert old.attention.attention_dropout == new.attention.attention_dropout == 0.2
    assert torch.equal(old.eval()(DATA, MASK), new.eval()(DATA, MASK))
    assert old.config["intermediate_size"] == 48
    assert set(old.config) == set(inspect.signature(Transformer).parameters)


def test_weights_start_as_in_bert() -> None:
    torch.manual_seed(0)
    block = TransformerEncoderBlock(64, 4)
    for name, parameter in block.named_parameters():
        if "norm" in name:
            continue
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            assert parameter.abs().max() <= 0.04
            assert parameter.std().item() == pytest.approx(0.0176, rel=0.05)


def test_initializer_fills_every_projection() -> None:
    block = TransformerEncoderBlock(32, 4, kernel_initializer=torch.nn.init.ones_)
    for part in (
        block.attention.qkv,
        block.attention.output,
        block.feedforward.inner,
        block.feedforward.output,
    ):
        assert (part.weight == 1).all()


def test_activation_may_be_a_function() -> None:
    torch.manual_seed(0)
    named, given = (
        TransformerEncoderBlock(32, 4, None, "relu"),
        TransformerEncoderBlock(32, 4, None, torch.relu),
    )
    given.load_state_dict(named.state_dict())
    assert torch.equal(named(DATA), given(DATA))
    assert given.config["inner_activation"] is torch.relu


def test_rms_norm_is_for_attention_only() -> None:
    block = TransformerEncoderBlock(32, 4, norm_first=True, use_rms_norm=True)
    assert not hasattr(block.attention_norm, "bias")
    assert hasattr(block.feedforward_norm, "bias")


@pytest.mark.parametrize("kind", [TransformerEncoderBlock, Transformer])
def test_unknown_activation_names_the_argument(kind: type[TransformerEncoderBlock]) -> None:
    name = "inner_activation" if kind is TransformerEncoderBlock else "intermediate_activation"
    with pytest.raises(InputError, match=f"{name}='gleu' is not one of .*did you mean 'gelu'"):
        kind(32, 4, **{name: "gleu"})  # type: ignore[arg-type]


def test_heads_must_divide_the_hidden_size() -> None:
    with pytest.raises(InputError, match="hidden_size=32 is not a multiple of num_attention_heads=5"):
        TransformerEncoderBlock(32, 5)


def filled(**settings: object) -> TransformerEncoderBlock:
    """Return a block whose weights are large enough to matter, in evaluation mode."""
    torch.manual_seed(0)
    block = TransformerEncoderBlock(32, 4, 48, **settings)  # type: ignore[arg-type]
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return block.eval()


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("mask", [None, MASK, MASK[:, None].expand(-1, 7, -1), MASK[:, None].repeat(1, 7, 1)])
def test_output_range_returns_the_first_tokens_of_the_whole(norm_first: bool, mask: Tensor | None) -> None:
    whole, part = filled(norm_first=norm_first), filled(norm_first=norm_first, output_range=3)
    torch.testing.assert_close(part(DATA, mask), whole(DATA, mask)[:, :3], atol=1e-5, rtol=1e-5)


def test_output_range_costs_what_it_computes() -> None:
    whole, part, double = (filled(output_range=r) for r in (None, 4, 8))
    keys = 4.0 * 32 * 32
    assert part.flops_per_token(8) == keys + (whole.flops_per_token(8) - keys) / 2
    assert double.flops_per_token(8) == whole.flops_per_token(8)


def test_without_query_residual_attention_replaces_the_data() -> None:
    block = filled(norm_first=True, use_query_residual=False)
    w = dict(block.named_parameters())
    data = attention(w, norm(w, "attention_norm", DATA))
    expected = data + feedforward(w, norm(w, "feedforward_norm", data))
    torch.testing.assert_close(block(DATA, MASK), expected, atol=1e-5, rtol=1e-5)


def test_rope_is_an_argument() -> None:
    assert not torch.allclose(filled(position="rope")(DATA), filled()(DATA))


def test_softmax_over_queries_gives_masked_keys_an_equal_share() -> None:
    block = filled(num_kv_heads=2, softmax_axis=-2)
    query, key, value = block.attention._project(DATA)  # type: ignore[attr-defined,operator]
    scores = query @ key.repeat_interleave(2, dim=1).mT / 8**0.5 + (1 - MASK[:, None, None]) * -1e9
    weights = scores.softmax(dim=2)
    torch.testing.assert_close(weights[1, :, :, 5:], torch.full((4, 7, 2), 1 / 7))
    heads = weights @ value.repeat_interleave(2, dim=1)
    expected = block.attention.output(heads.transpose(1, 2).flatten(2))  # type: ignore[operator,union-attr]
    torch.testing.assert_close(block.attention.mix(DATA, MASK), expected, atol=1e-5, rtol=1e-5)


def test_a_padded_first_token_silences_a_linformer_s_queries_only_if_asked() -> None:
    linformer = {"linformer_dim": 3, "max_seq_length": 7}
    mask = MASK.clone()
    mask[1, 0] = 0
    ours, theirs = filled(**linformer), filled(**linformer, first_token_masks_queries=True)
    torch.testing.assert_close(ours(DATA, mask)[0], theirs(DATA, mask)[0])
    silent = theirs(DATA, mask)[1]
    torch.testing.assert_close(silent, silent[:1].expand_as(silent))
    assert not torch.allclose(ours(DATA, mask)[1, 1], ours(DATA, mask)[1, 2])


def test_settings_that_exclude_each_other() -> None:
    with pytest.raises(InputError, match="linformer_dim and src_block_size exclude each other"):
        filled(linformer_dim=3, max_seq_length=7, src_block_size=4)
    with pytest.raises(InputError, match="position='rope' has no place with linformer_dim"):
        filled(linformer_dim=3, max_seq_length=7, position="rope")
    with pytest.raises(InputError, match=r"tgt_block_size=4 .* need src_block_size"):
        filled(tgt_block_size=4)
    with pytest.raises(InputError, match=r"softmax_axis=1 is not one of"):
        filled(softmax_axis=1)


def test_effective_settings_tell_what_is_computed() -> None:
    settings = filled(inner_activation="gelu").effective_config()
    assert settings == filled(inner_activation="gelu", key_dim=8, max_seq_length=99).effective_config()
    assert settings != filled(inner_activation="gelu", position="rope").effective_config()
    assert settings != filled(inner_activation="relu").effective_config()
    assert filled(num_kv_heads=1).label == "layer(mqa)"
