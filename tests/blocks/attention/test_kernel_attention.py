"""Kernel attention: every feature map against weights written out as T x T, forward and gradients."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from nas.blocks.attention.feature_maps import FeatureMap, draw_projection
from nas.blocks.attention.kernel_attention import KernelAttention, Normalizer
from nas.blocks.attention.softmax import attend_plain, merge_heads, split_heads
from nas.blocks.attention.windowed_kernel import WindowedKernelAttention
from nas.errors import InputError

B, T, H, K = 3, 21, 2, 4
MAPS = get_args(FeatureMap)


def data() -> tuple[Tensor, Tensor]:
    """Return [B, T, D] in float64, and a mask with padding at the end of row 1 and the start of row 2."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, 15:] = False
    mask[2, :2] = False
    return torch.randn(B, T, H * K, generator=generator, dtype=torch.float64), mask


def block(cls: type[KernelAttention] = KernelAttention, **settings: Any) -> Any:
    torch.manual_seed(1)
    return cls(H * K, H, norm="none", bias=True, **settings).double()


def phi(name: str, x: Tensor, y: Tensor, real: Tensor, matrix: Tensor | None, *, key: bool) -> Tensor:
    """Write a feature map out for one example and head: x [T, K] (and y, the other side) to [T, M]."""
    ratio = 1 if matrix is None else 1 / math.sqrt(len(matrix))
    u = x if matrix is None else x @ matrix.T
    square = x.square().sum(-1, keepdim=True)
    if name == "elu":
        return ratio * torch.where(u > 0, u + 1, u.exp())
    if name == "relu":
        return ratio * (u.clamp(min=0) + 1e-3)
    if name == "square":
        return ratio * u**2
    if name == "identity":
        return ratio * u
    floor = 0.0
    if name == "expplus":
        d = x.shape[-1]
        both = torch.cartesian_prod(*(torch.arange(int(real.sum())),) * 2)
        mean = (x[real][both[:, 0]] + y[real][both[:, 1]]).square().sum(-1).mean().detach()
        shrink = (torch.sqrt((2 * mean + d) ** 2 + 8 * d * mean) - 2 * mean - d) / (4 * mean)
        a = (1 - 1 / shrink) / 8
        ratio = ratio * (1 - 4 * a) ** (d / 4)
        exponent = torch.sqrt(1 - 4 * a) * u - square / 2 + a * matrix.square().sum(-1)
        floor = 1e-6
    else:
        exponent = u - (square if name == "exp" else math.sqrt(x.shape[-1])) / 2
    highest = exponent[real].max() if key else exponent.max(-1, keepdim=True).values
    return ratio * ((exponent - highest.detach()).exp() + floor)


def plain(kernel: KernelAttention, x: Tensor, mask: Tensor, seen: Tensor | None = None) -> Tensor:
    """Compute the block's mixture with explicit weights; ``seen`` [T, T] multiplies them."""
    query, key, value = (split_heads(part, H) for part in kernel.qkv(x).chunk(3, dim=-1))
    rows = []
    for b in range(len(x)):
        scale = kernel.scale * (mask[b].sum().double().log() / math.log(512) if kernel.scale_by_length else 1)
        root = 1.0 if kernel.normalizer == "softmax" else scale**0.5
        outs = []
        for h in range(H):
            q = query[b, h] * (scale if kernel.normalizer == "softmax" else root)
            k, given = key[b, h] * root, (mask[b], kernel.projection)
            features = phi(kernel.feature_map, q, k, *given, key=False)
            weights = features @ phi(kernel.feature_map, k, q, *given, key=True).T
            if kernel.normalizer == "softmax":
                weights = weights.masked_fill(~mask[b], -torch.inf).softmax(-1)
            else:
                weights = weights * mask[b] * (1 if seen is None else seen)
                count = mask[b].double().expand(T, T) * (1 if seen is None else seen)
                total = weights if kernel.normalizer == "sum" else count
                weights = weights / total.sum(-1, keepdim=True).clamp(min=1e-30)
            outs.append(weights @ value[b, h])
        rows.append(torch.stack(outs))
    return kernel.output(merge_heads(torch.stack(rows)))


def same(kernel: KernelAttention, expected: Any) -> None:
    """Compare the mixture of real tokens and its gradients with ``expected(x, mask)``."""
    x, mask = data()
    x.requires_grad_()
    seed = torch.randn_like(x) * mask[..., None]
    found = []
    for out in (kernel.mix(x, mask), expected(x, mask)):
        inputs = [x, kernel.qkv.weight, kernel.output.weight]
        found.append((out * mask[..., None], *torch.autograd.grad((out * seed).sum(), inputs)))
    for ours, reference in zip(*found, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-8, rtol=1e-6)


FORMS = [(n, f, z) for n in MAPS for f in (None, 6) for z in get_args(Normalizer)]
"""Without the sum of identity's weights, which may be of any sign."""


@pytest.mark.parametrize(
    ("name", "features", "normalizer"), [f for f in FORMS if f[::2] != ("identity", "sum")]
)
def test_is_the_average_by_explicit_weights(name: FeatureMap, features: int | None, normalizer: str) -> None:
    kernel = block(feature_map=name, num_features=features, normalizer=normalizer)
    same(kernel, lambda x, mask: plain(kernel, x, mask))


def test_scale_by_length_reads_the_number_of_real_tokens() -> None:
    kernel = block(feature_map="square", scale_by_length=True, normalizer="softmax")
    same(kernel, lambda x, mask: plain(kernel, x, mask))
    usual = block(feature_map="elu", scale_by_length=True)
    x = torch.randn(1, 512, H * K, dtype=torch.float64)
    torch.testing.assert_close(usual.mix(x, None), block(feature_map="elu").mix(x, None))


def test_the_first_queries_use_softmax_attention() -> None:
    kernel = block(begin_kernel=5)
    x, mask = data()
    query, key, value = (split_heads(part, H) for part in kernel.qkv(x).chunk(3, dim=-1))
    bias = torch.zeros(B, 1, 1, T, dtype=x.dtype).masked_fill(~mask[:, None, None], -torch.inf)
    first = kernel.output_softmax(merge_heads(attend_plain(query, key, value, bias, 0.0)))
    out = kernel.mix(x, mask)
    torch.testing.assert_close(out[:, :5], first[:, :5])
    torch.testing.assert_close(out[:, 5:], plain(kernel, x, mask)[:, 5:])
    torch.testing.assert_close(kernel.mix(x[:, :3], mask[:, :3]), first_of(kernel, x[:, :3], mask[:, :3]))


def first_of(kernel: KernelAttention, x: Tensor, mask: Tensor) -> Tensor:
    query, key, value = (split_heads(part, H) for part in kernel.qkv(x).chunk(3, dim=-1))
    bias = torch.zeros(B, 1, 1, x.shape[1], dtype=x.dtype).masked_fill(~mask[:, None, None], -1e9)
    return kernel.output_softmax(merge_heads(attend_plain(query, key, value, bias, 0.0)))


@pytest.mark.parametrize("name", ["exp", "expplus"])
def test_many_random_features_are_the_softmax(name: FeatureMap) -> None:
    kernel = block(feature_map=name, num_features=20000, seed=0)
    x, mask = data()
    query, key, value = (split_heads(part, H) for part in kernel.qkv(x).chunk(3, dim=-1))
    bias = torch.zeros(B, 1, 1, T, dtype=x.dtype).masked_fill(~mask[:, None, None], -torch.inf)
    expected = kernel.output(merge_heads(attend_plain(query, key, value, bias, 0.0)))
    assert (kernel.mix(x, mask) - expected).abs().mean() < 0.003


def test_the_original_s_numbers_see_padding() -> None:
    """Its softmax gives a masked key the score 0; its maxima and means are over whole examples."""
    x, mask = data()
    short = block(feature_map="identity", normalizer="softmax", model_garden=True)
    query, key, value = (split_heads(part, H) for part in short.qkv(x).chunk(3, dim=-1))
    weights = ((query / 2) @ (key * mask[:, None, :, None]).transpose(-2, -1)).softmax(-1)
    torch.testing.assert_close(short.mix(x, mask), short.output(merge_heads(weights @ value)))
    plus = block(feature_map="expplus", model_garden=True)
    other = torch.where(mask[..., None], x, 3 * x)
    assert not torch.allclose(plus.mix(x, mask)[mask], plus.mix(other, mask)[mask])
    ours = block(feature_map="expplus")
    torch.testing.assert_close(ours.mix(x, mask)[mask], ours.mix(other, mask)[mask])


@pytest.mark.parametrize("normalizer", ["sum", "length"])
@pytest.mark.parametrize(("window", "decay"), [(1, None), (3, None), (3, 0.7), (9, 0.9)])
def test_windows_are_the_average_by_decayed_weights(
    window: int, decay: float | None, normalizer: str
) -> None:
    kernel = block(WindowedKernelAttention, chunk_size=4, window=window, decay=decay, normalizer=normalizer)
    chunk = torch.arange(T) // 4
    back = (chunk[:, None] - chunk).double()
    seen = torch.where((back >= 0) & (back < window), (decay or 1.0) ** back, 0.0)
    kernel_seen = seen
    if normalizer == "length":  # a window of padding alone divides by 1
        same(kernel, lambda x, mask: plain_clamped(kernel, x, mask, kernel_seen))
    else:
        same(kernel, lambda x, mask: plain(kernel, x, mask, kernel_seen))


def plain_clamped(kernel: KernelAttention, x: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
    """Compute `plain` with at least one token in each window's count."""
    query, key, value = (split_heads(part, H) for part in kernel.qkv(x).chunk(3, dim=-1))
    root = kernel.scale**0.5
    weights = torch.nn.functional.elu(query * root) + 1
    weights = weights @ (torch.nn.functional.elu(key * root) + 1).transpose(-2, -1)
    shown = seen * mask[:, None, None]
    return kernel.output(merge_heads((weights * shown / shown.sum(-1, keepdim=True).clamp(min=1)) @ value))


def test_windows_of_single_tokens_are_causal() -> None:
    kernel = block(WindowedKernelAttention, chunk_size=1, window=5)
    x, _ = data()
    later = torch.cat([x[:, :9], torch.randn_like(x[:, 9:])], dim=1)
    torch.testing.assert_close(kernel.mix(x, None)[:, :9], kernel.mix(later, None)[:, :9])


def test_windows_after_a_softmax_beginning() -> None:
    kernel = block(WindowedKernelAttention, chunk_size=4, window=2, begin_kernel=8)
    alone = block(WindowedKernelAttention, chunk_size=4, window=2)
    alone.load_state_dict({k: v for k, v in kernel.state_dict().items() if "softmax" not in k})
    x, mask = data()
    torch.testing.assert_close(kernel.mix(x, mask)[:, 8:], alone.mix(x, mask)[:, 8:])


def test_projections_are_orthogonal_seeded_and_redrawn_in_training_only() -> None:
    rows = draw_projection(8, 4, seed=3)
    torch.testing.assert_close(rows, draw_projection(8, 4, seed=3))
    for half in (rows[:4], rows[4:]):
        gram = half @ half.T
        torch.testing.assert_close(gram, torch.diag(gram.diag()), atol=1e-5, rtol=0)
    kernel = block(feature_map="relu", num_features=6, redraw=True)
    x, mask = data()
    assert not torch.equal(kernel.mix(x, mask), kernel.mix(x, mask))
    assert torch.equal(kernel.eval().mix(x, mask), kernel.mix(x, mask))


def test_effective_config_leaves_out_what_has_no_effect() -> None:
    first, second = block(seed=1, redraw=True), block(head_size=K, normalizer="sum")
    assert first.effective_config() == second.effective_config()
    assert block(feature_map="expplus").effective_config()["num_features"] == K


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_map": "rely"}, "feature_map='rely' is not one of .*did you mean 'relu'"),
        ({"num_features": 0}, "num_features=0 must be greater than 0"),
        ({"normalizer": "mean"}, "normalizer='mean' is not one of"),
        ({"begin_kernel": -1}, "begin_kernel=-1 must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        KernelAttention(8, 2, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "window=0 must be greater than 0"),
        ({"decay": 1.5}, "decay=1.5 must be above 0 and at most 1"),
        ({"normalizer": "softmax"}, "normalizer='softmax' has no windowed form"),
        ({"begin_kernel": 3}, "begin_kernel=3 must be a multiple of chunk_size=16"),
    ],
)
def test_wrong_windows_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WindowedKernelAttention(8, 2, **settings)
