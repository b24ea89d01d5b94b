"""The one composition of norm, mixer and residual, and what every block says about itself."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch

from nas.blocks.base import Block, ResidualBlock
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.none import NoBlock
from nas.blocks.norms import RMSNorm
from nas.blocks.positions import rotate, sinusoid
from nas.errors import InputError

DATA = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))


def mix(block: MLP, data: torch.Tensor) -> torch.Tensor:
    return block.output(torch.nn.functional.gelu(block.inner(data)))


def test_pre_post_and_sandwich() -> None:
    pre, post, sandwich = (MLP(32, norm=site) for site in ("pre", "post", "sandwich"))
    torch.testing.assert_close(pre(DATA), DATA + mix(pre, pre.norm_before(DATA)))
    torch.testing.assert_close(post(DATA), post.norm_after(DATA + mix(post, DATA)))
    inside = sandwich.norm_mixed(mix(sandwich, sandwich.norm_before(DATA)))
    torch.testing.assert_close(sandwich(DATA), DATA + inside)


def test_without_a_norm_only_the_residual_is_left() -> None:
    block = MLP(32, norm="none")
    torch.testing.assert_close(block(DATA), DATA + mix(block, DATA))
    assert not [name for name, _ in block.named_parameters() if "norm" in name]


def test_places_are_added_to_what_the_mixer_reads() -> None:
    block = MLP(32, position="sinusoid")
    read = block.norm_before(DATA) + sinusoid(5, 32, DATA.device)
    torch.testing.assert_close(block(DATA), DATA + mix(block, read))


@pytest.mark.parametrize("width", [1, 7, 32])
def test_sinusoids_tell_places_apart(width: int) -> None:
    table = sinusoid(50, width, DATA.device)
    assert table.shape == (50, width)
    assert torch.unique(table, dim=0).shape[0] == 50
    assert table[0, 0] == 0
    assert table[1, 0].item() == pytest.approx(math.sin(1))


def test_the_branch_is_what_joins_the_stream() -> None:
    block = MLP(32, norm="sandwich")
    torch.testing.assert_close(DATA + block.branch(DATA), block(DATA))


def test_settings_without_effect_are_left_out() -> None:
    def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
        return MLP(32, **left).effective_config() == MLP(32, **right).effective_config()

    assert same({"residual_init": 1.0}, {})
    assert not same({"residual": "rezero", "residual_init": 1.0}, {"residual": "rezero"})
    assert same({"norm": "none", "norm_type": "rms", "norm_epsilon": 1.0}, {"norm": "none"})
    assert same({"norm_type": "dyt", "norm_epsilon": 1.0}, {"norm_type": "dyt"})
    assert not same({"norm_epsilon": 1.0}, {})


def test_inherited_arguments_are_told_and_recorded() -> None:
    names = list(inspect.signature(MLP).parameters)
    assert names.index("inner_dropout") < names.index("norm") < names.index("residual")
    assert MLP(32, dropout=0.5).config["dropout"] == 0.5
    assert MLP(32).config["residual"] == "add"


@pytest.mark.parametrize(
    "wrong", [{"norm": "pree"}, {"residual": "gat"}, {"position": "rope"}, {"dropout": 1.5}]
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    [key] = wrong
    with pytest.raises(InputError, match=key):
        MLP(32, **wrong)


def test_no_site_has_a_norm_it_does_not_use() -> None:
    counts = [len([n for n, _ in MLP(32, norm=s).named_parameters() if "norm" in n]) for s in ("pre", "post")]
    assert counts == [2, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rms_norm_keeps_the_dtype(dtype: torch.dtype) -> None:
    out = RMSNorm(32, eps=1e-6)(DATA.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float().square().mean(-1), torch.ones(2, 5), atol=0.02, rtol=0.02)


def test_none_returns_its_input() -> None:
    block = NoBlock()
    assert block(DATA, None) is DATA
    assert block.config == {}
    assert not list(block.parameters())


def test_rotation_is_a_rotation_by_the_distance() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    here = rotate(q.expand(1, 1, 40, 8), k.expand(1, 1, 40, 8), theta=100.0)
    scores = (here[0] @ here[1].mT)[0, 0]
    torch.testing.assert_close(here[0].norm(dim=-1), q.norm(dim=-1).expand(1, 1, 40))
    for distance in (-7, 0, 3):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-5)
    turned, first, second = here[0][0, 0, 1, 0], q[0, 0, 0, 0], q[0, 0, 0, 4]  # token 1 turns by 1
    assert turned.item() == pytest.approx((first * math.cos(1) - second * math.sin(1)).item(), abs=1e-6)


def test_a_subclass_says_its_own_name_and_cost() -> None:
    block = ResidualBlock(4)
    for name, say in {
        "label": lambda: block.label,
        "mix_flops": lambda: block.flops_per_token(1),
        "mix": lambda: block(DATA[..., :4]),
    }.items():
        with pytest.raises(NotImplementedError, match=f"^ResidualBlock defines no {name}$"):
            say()


def test_a_class_tells_what_it_has_yet_to_define() -> None:
    class Whole(ResidualBlock):
        label = "whole"  # type: ignore[assignment]

        def branch(self, data: Any, attention_mask: Any = None, *state: Any) -> Any:
            return data

        def flops_per_token(self, seq_length: int) -> float:
            return 0.0

    assert Block.undefined() == ["forward", "label", "flops_per_token"]
    assert ResidualBlock.undefined() == ["label", "mix", "mix_flops"]
    assert Whole.undefined() == MLP.undefined() == NoBlock.undefined() == []
