"""Position schemes: known values, and what they do not see."""

from __future__ import annotations

import math

import pytest
import torch

from nas.blocks.positions.alibi import ALiBi
from nas.blocks.positions.rope import RoPE, rotate
from nas.blocks.positions.scheme import PositionScheme
from nas.blocks.positions.sinusoid import Sinusoid, sinusoid
from nas.blocks.positions.t5 import T5Bias
from nas.errors import InputError

CPU = torch.device("cpu")


def test_rope_turns_pairs_by_the_place_in_every_dtype() -> None:
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    frequencies = 100.0 ** (-torch.arange(4, dtype=torch.float64) / 4)
    turns = torch.polar(torch.ones(()).double(), torch.arange(9)[:, None] * frequencies)
    expected = torch.view_as_real(torch.complex(x[..., :4], x[..., 4:]) * turns)
    expected = torch.cat([expected[..., 0], expected[..., 1]], dim=-1)
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        (turned,) = rotate(x.to(dtype), theta=100.0)
        assert turned.dtype == dtype
        torch.testing.assert_close(turned.double(), expected, atol=tolerance, rtol=tolerance)


def test_rope_sees_queries_and_keys_of_different_lengths_at_the_same_places() -> None:
    query, key = torch.randn(1, 2, 3, 8), torch.randn(1, 2, 7, 8)
    turned = RoPE(8, 100.0).turn(query, key)
    torch.testing.assert_close(turned[0], rotate(query, theta=100.0)[0])
    torch.testing.assert_close(turned[1], rotate(key, theta=100.0)[0])


def test_alibi_falls_linearly_to_both_sides() -> None:
    gained = ALiBi(4).by_distance(torch.tensor([-2, 0, 1, 3]))
    slopes = torch.tensor([1 / 4, 1 / 16, 1 / 64, 1 / 256])
    torch.testing.assert_close(gained, -slopes[:, None] * torch.tensor([2.0, 0.0, 1.0, 3.0]))


def bucket_of(distance: int, buckets: int, longest: int, causal: bool) -> int:
    """Compute one bucket with plain numbers: the published rule."""
    start = 0
    if not causal:
        buckets //= 2
        start, distance = (buckets, distance) if distance > 0 else (0, -distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return start + distance
    share = math.log(distance / exact) / math.log(longest / exact)
    return start + min(exact + int(share * (buckets - exact) + 1e-6), buckets - 1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (4, 7), (10, 300)])
def test_t5_buckets_are_the_published_ones(buckets: int, longest: int, causal: bool) -> None:
    scheme = T5Bias(2, buckets, longest, causal=causal)
    distance = torch.arange(-400, 401)
    expected = [bucket_of(d, buckets, longest, causal) for d in distance.tolist()]
    actual = scheme.bucket(distance + 0).tolist()
    assert sum(a != b for a, b in zip(actual, expected, strict=True)) <= 2  # where a logarithm is whole
    assert (min(actual), max(actual)) == (0, buckets - 1)
    assert torch.equal(scheme.by_distance(distance), scheme.table[:, scheme.bucket(distance)])


@pytest.mark.parametrize("scheme", [ALiBi(2), T5Bias(2, 8, 9, causal=False)])
def test_a_bias_depends_on_the_distance_alone(scheme: PositionScheme) -> None:
    bias = scheme.bias(5, 7, CPU, first_key=-2)
    assert bias is not None
    assert bias.shape == (1, 2, 5, 7)
    for t in range(5):
        for s in range(7):
            gained = scheme.by_distance(torch.tensor([s - 2 - t]))
            torch.testing.assert_close(bias[0, :, t, s], gained[:, 0])  # type: ignore[index]


def test_sinusoid_is_added() -> None:
    data = torch.randn(2, 5, 7, dtype=torch.float64)
    torch.testing.assert_close(Sinusoid().add(data), data + sinusoid(5, 7, CPU))
    assert sinusoid(3, 4, CPU)[2, 2].item() == pytest.approx(math.cos(2))


def test_no_scheme_changes_nothing() -> None:
    scheme, x = PositionScheme(), torch.randn(1, 2, 3, 4)
    assert scheme.add(x) is x
    assert scheme.turn(x, x) == (x, x)
    assert scheme.bias(3, 3, CPU) is None


def test_rope_needs_pairs() -> None:
    with pytest.raises(InputError, match="head_size=7 must be even"):
        RoPE(7, 10.0)
