"""Wrong input to every block in conf/block: told in a line or two, at construction or by forward."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor

from nas.blocks.arguments import check_kinds, renamed
from nas.blocks.base import Block
from nas.errors import InputError
from tests.blocks.test_contract import LONGEST, YAMLS, batch, class_of, hints, make, node

DATA, MASK = batch(rows=2), torch.ones(2, 12)
TAKES_ANYTHING = {"none", "recursive/skip_add", "recursive/skip_save"}
"""Blocks that look at neither data nor mask."""
HEADS = {"num_heads", "num_attention_heads"}
OWN_WIDTH = {"mixing/ssm", "transformer/mobilebert"}
"""Blocks whose heads divide a width of their own, which follows from them."""
ANY_LENGTH = {"attention/bigbird", "transformer/encoder_block"}
"""Blocks that do without the longest length unless asked for more."""


def arguments(yaml: str) -> set[str]:
    """Return the names of a block's arguments; its YAML has the same and takes longer to compose."""
    return {*inspect.signature(class_of(yaml)).parameters}


def kinds_of(hint: Any) -> set[Any]:
    """Return int, float, ``Literal`` and so on: what an annotation is a union of."""
    return {get_origin(part) or part for part in (get_args(hint) if _is_union(hint) else [hint])}


def _is_union(hint: Any) -> bool:
    return get_origin(hint) is not Literal and type(None) in get_args(hint)


def wrong_values(hint: Any) -> list[Any]:
    kinds = kinds_of(hint)
    if kinds & {int, float}:
        return [0, -1, "many", float("nan"), *([2.5] if float not in kinds else [])]
    if kinds & {bool, Literal}:
        return ["nosuch"]
    return [3.5] if str in kinds else []


def wrong_arguments(yaml: str) -> Iterator[tuple[str, Any]]:
    for name, hint in hints(class_of(yaml)).items():
        yield from ((name, value) for value in wrong_values(hint))


def made_with(yaml: str) -> Callable[..., Block]:
    """Return `make` for one block, whose YAML is read once."""
    made = instantiate(node(yaml))
    length = {"max_seq_length": LONGEST} if "max_seq_length" in node(yaml) else {}
    return lambda **changes: made(**{**length, **changes})


def run(block: Block, data: Tensor, *others: Tensor) -> Tensor:
    out = block(data, *others)
    return out[0] if block.recursive else out


def told(make_block: Callable[..., Block], data: Tensor = DATA, **changes: Any) -> tuple[str, ...]:
    """Return how wrong arguments are refused; nothing if the block can be built and run with them."""
    try:
        out = run(make_block(**changes), data, MASK)
    except InputError as error:
        return error.mistakes
    assert out.shape == data.shape
    assert out.isfinite().all()
    return ()


@pytest.mark.parametrize("yaml", YAMLS)
def test_an_argument_out_of_range_is_told_by_name_or_works(yaml: str) -> None:
    make_block = made_with(yaml)
    for name, value in wrong_arguments(yaml):
        mistakes = told(make_block, **{name: value})
        assert len(mistakes) <= 2, mistakes
        assert any(f"{name}={value!r}" in m for m in mistakes) or (not mistakes and value in (0, -1)), (
            name,
            value,
            mistakes,
        )


@pytest.mark.parametrize("yaml", [y for y in YAMLS if HEADS & {*arguments(y)}])
def test_heads_that_do_not_divide_are_told_or_work(yaml: str) -> None:
    (heads,) = HEADS & {*arguments(yaml)}
    mistakes = told(made_with(yaml), DATA[..., :30], **{"hidden_size": 30, heads: 4})
    assert mistakes or yaml in OWN_WIDTH
    assert all(re.search(r"hidden_size=30 .*num_(attention_)?heads=4", m) for m in mistakes)


@pytest.mark.parametrize("yaml", sorted(set(YAMLS) - TAKES_ANYTHING))
def test_data_and_mask_that_do_not_fit_are_told_with_the_block(yaml: str) -> None:
    block = make(yaml)
    for data in (DATA[..., :31], DATA[..., :1], DATA[0]):
        with pytest.raises(InputError) as caught:
            block(data, None)
        assert str(caught.value).startswith(f"{block.label} ({type(block).__name__}): data of shape")
        assert str(caught.value).endswith(f"{list(data.shape)}: expected [B, T, 32]")
    for mask in (MASK[:, :-1], MASK[:1], MASK[0], torch.ones(2, 12, 13), torch.ones(2, 1, 1, 12, 12)):
        with pytest.raises(InputError) as caught:
            block(DATA, mask)
        shape = f"attention_mask of shape {list(mask.shape)}"
        assert str(caught.value).startswith(f"{block.label} ({type(block).__name__}): {shape}")


@pytest.mark.parametrize("yaml", [y for y in YAMLS if "max_seq_length" in arguments(y)])
def test_a_sequence_longer_than_a_fixed_length_is_told(yaml: str) -> None:
    if yaml in ANY_LENGTH:
        assert run(make(yaml, max_seq_length=None), batch(LONGEST + 1)).isfinite().all()
        return
    with pytest.raises(InputError, match="max_seq_length=None must be an integer greater than 0"):
        make(yaml, max_seq_length=None)
    with pytest.raises(InputError, match=rf"\w+.*: data has T=301 tokens: at most max_seq_length={LONGEST}"):
        make(yaml)(batch(LONGEST + 1))


@pytest.mark.parametrize("yaml", ["recursive/reuse", "transformer/reuse_transformer"])
def test_a_missing_or_misshapen_state_is_told(yaml: str) -> None:
    with pytest.raises(InputError, match=r"reuse \(ReuseAttention\) .* needs a state, but no block of kind"):
        make(yaml, has_state=True)(DATA, MASK)
    with pytest.raises(InputError, match=r"needs a state of shape .*, not \[2, 1, 12, 12\]"):
        make(yaml)(DATA, MASK, torch.ones(2, 1, 12, 12))


def test_values_of_another_width_are_told() -> None:
    shapes = r"state of shape \[2, 12, 16\]: expected \[2, 12, 32\]"
    with pytest.raises(InputError, match=rf"valueresidual \(ValueResidual.*\): {shapes}"):
        make("recursive/value_residual")(DATA, MASK, torch.ones(2, 12, 16))


def test_kinds_of_unknown_annotations_are_not_checked() -> None:
    class Odd(Block):
        def __init__(self, size: int | None, other: complex | int) -> None:
            super().__init__()

    assert Odd(None, other="x").config == {"size": None, "other": "x"}
    with pytest.raises(InputError, match="size='x' must be an integer or None"):
        Odd("x", other=1)
    check_kinds(Odd, {"size": 1, "other": "y"})


def test_arguments_are_told_under_other_names() -> None:
    error = renamed(InputError("dim=3 and inner_dim=4: dim counts"), {"dim": "size"})
    assert error.mistakes == ("size=3 and inner_dim=4: dim counts",)
