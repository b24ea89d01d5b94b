"""The original's attention and mixing layers by themselves: oddities written out, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.errors import InputError
from nas.interop.model_garden import build

B, T, D, H, K = 2, 6, 8, 2, 4
CALL = "layer(query=x, value=x, attention_mask=m)"
SIZES = {"num_heads": H, "key_dim": K, "use_bias": False}


def weights(*more: tuple[str, tuple[int, ...]], value_dim: int = K) -> dict[str, Tensor]:
    """Return random projections under the original's names, and others."""
    generator = torch.Generator().manual_seed(0)
    shapes = {f"{name}_dense/kernel": (D, H, K) for name in ("query", "key")}
    shapes |= {
        "value_dense/kernel": (D, H, value_dim),
        "output_dense/kernel": (H, value_dim, D),
        **dict(more),
    }
    return {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}


def layer(target: str, given: dict[str, Tensor], extras: Any = None, call: str = CALL, **config: Any) -> Any:
    inputs = {"x": {"shape": [B, T, D]}, "m": {"shape": [B, T]}}
    sizes = {} if target.endswith("TransformLayer") else SIZES
    entry = {"kind": "layer", "target": target, "config": {**sizes, **config}, "call": call}
    return build({**entry, "inputs": inputs, "input_order": list(inputs)}, given, extras or {})


def data() -> tuple[Tensor, Tensor]:
    mask = torch.ones(B, T)
    mask[1, 4:] = 0
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(1)), mask


def heads(given: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    return [torch.einsum("btd,dhk->bhtk", x, given[f"{n}_dense/kernel"]) for n in ("query", "key", "value")]


def joined(given: dict[str, Tensor], averaged: Tensor, name: str = "output_dense") -> Tensor:
    return torch.einsum("bhtk,hkd->btd", averaged, given[f"{name}/kernel"])


def test_the_beginning_of_kernel_attention_sees_projections_and_padding() -> None:
    given = weights(("output_dense_softmax/kernel", (H, K, D)))
    matrix = torch.randn(5, K, generator=torch.Generator().manual_seed(2))
    module = layer(
        "KernelAttention",
        given,
        {"projection_matrix": matrix},
        feature_transform="relu",
        num_random_features=5,
        begin_kernel=2,
    )
    x, mask = data()
    query, key, value = heads(given, x)
    query, key = query / 2 @ matrix.T / 5**0.5, key @ matrix.T / 5**0.5 * mask[:, None, :, None]
    averaged = (query @ key.transpose(-2, -1)).softmax(-1) @ value
    expected = joined(given, averaged, "output_dense_softmax")
    torch.testing.assert_close(module([x, mask])[:, :2], expected[:, :2], atol=1e-5, rtol=1e-5)


def test_left_padded_windows_come_out_late() -> None:
    """The original adds its padding before the sequence, and takes it away behind."""
    given = weights()
    settings = {"feature_transform": "elu", "num_random_features": 0, "use_causal_windowed": True}
    settings |= {"causal_chunk_length": 4, "causal_window_length": 1, "causal_padding": "left"}
    module = layer("KernelAttention", given, **settings)
    x, mask = data()
    query, key, value = heads(given, x)
    features = [torch.nn.functional.elu(y / 2**0.5) + 1 for y in (query, key)]
    chunk = (torch.arange(T) + 2) // 4
    seen = (chunk[:, None] == chunk) * mask[:, None, None]
    products = features[0] @ features[1].transpose(-2, -1) * seen
    averaged = products / (products.sum(-1, keepdim=True) + 1e-6) @ value
    late = torch.nn.functional.pad(averaged, (0, 0, 2, 0))[:, :, :T]
    torch.testing.assert_close(module([x, mask]), joined(given, late), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("value_dim", [3, 6])
def test_values_may_be_narrower_or_wider_than_keys(value_dim: int) -> None:
    scale = torch.randn(K, generator=torch.Generator().manual_seed(3))
    given = weights(value_dim=value_dim)
    module = layer("PerDimScaleAttention", {**given, "per_dim_scale": scale}, value_dim=value_dim)
    x, mask = data()
    query, key, value = heads(given, x)
    query = query * torch.nn.functional.softplus(scale) * 1.442695041 / 2
    scores = query @ key.transpose(-2, -1) + (1 - mask[:, None, None]) * -1e9
    expected = joined(given, scores.softmax(-1) @ value)
    torch.testing.assert_close(module([x, mask]), expected, atol=1e-5, rtol=1e-5)


def test_mixing_ignores_the_mask() -> None:
    x, _ = data()
    names = {"mat_seq": torch.randn(T, T), "mat_hidden": torch.randn(D, D)}
    call = "layer(query=x, value=x, attention_mask=m)"
    inputs = [x, torch.zeros(B, T)]
    linear = torch.einsum("bij,jk,ni->bnk", x, names["mat_hidden"], names["mat_seq"])
    torch.testing.assert_close(layer("LinearTransformLayer", names, call=call)(inputs), linear)
    fourier = torch.fft.fft2(x)
    torch.testing.assert_close(layer("FourierTransformLayer", {}, call=call)(inputs), fourier.real)
    hartley = layer("HartleyTransformLayer", {}, call=call, use_fft=True)(inputs)
    torch.testing.assert_close(hartley, fourier.real - fourier.imag)


@pytest.mark.parametrize(
    ("target", "config", "message"),
    [
        ("KernelAttention", {"use_causal_windowed": True, "begin_kernel": 2}, "raises there"),
        ("KernelAttention", {"causal_padding": "both"}, "causal_padding='both' is not one of"),
        ("KernelAttention", {"value_dim": 9}, "KernelAttention.value_dim=9 is above key_dim=4"),
        ("KernelAttention", {"feature_transform": "tanh"}, "feature_map='tanh' is not one of"),
        ("KernelAttention", {"num_random_features": 3}, "extras have no projection_matrix"),
        ("BigBirdAttention", {"to_block_size": 32}, "from_block_size=64 and to_block_size=32 must be equal"),
        ("BigBirdAttention", {"max_rand_mask_length": 256}, "extras have no rand_attn"),
        ("TalkingHeadsAttention", {"attention_axes": 2}, "attention_axes=2 is not supported"),
        ("PerDimScaleAttention", {"scale": 1}, "PerDimScaleAttention has no argument scale=1"),
    ],
)
def test_what_can_not_be_is_said(target: str, config: dict[str, Any], message: str) -> None:
    more = {"per_dim_scale": torch.zeros(K)} | {f"{n}_softmax_weight": torch.eye(H) for n in ("pre", "post")}
    with pytest.raises(InputError, match=message):
        layer(target, weights() | more, **config)
