"""Spans: what inner blocks are told, and how states and masks reach them, alone and in a scaffold."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.mixing.conv import DepthwiseConv
from nas.blocks.none import NoBlock
from nas.blocks.recursive.halting import AdaptiveHalting
from nas.blocks.recursive.hyper_connections import HyperConnections
from nas.blocks.recursive.latent import LatentRecursion
from nas.blocks.recursive.loop import Loop
from nas.blocks.recursive.parallel import Parallel
from nas.blocks.recursive.repeat import Repeat
from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.recursive.skip import SkipAdd, SkipSave
from nas.blocks.span import Span, run_block, update_of
from nas.errors import InputError
from nas.pool import encoder_from_pool
from nas.scaffold import EncoderScaffold

D = 16
DATA = torch.randn(2, 6, D, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 6, [1.0] * 4 + [0.0] * 2])
IDS = {"input_word_ids": torch.arange(12).view(2, 6), "input_mask": MASK}
REUSE = partial(ReuseAttention, num_heads=2)
MHA = partial(MultiHeadAttention, num_heads=2)


RECURSIVE = {"reuse", "save", "add", "repeat", "loop", "act", "hyper", "latent", "streams", "one"}


def embedding() -> Any:
    from nas.embeddings import TransformerEmbedding

    return partial(TransformerEmbedding, vocab_size=20, max_seq_length=8, hidden_size=D)


def scaffold(hidden_cls: list[Any], recursive: bool) -> EncoderScaffold:
    torch.manual_seed(0)
    return EncoderScaffold(
        D, embedding_cls=embedding(), hidden_cls=hidden_cls, recursive=recursive,
        num_hidden_instances=len(hidden_cls),
    )  # fmt: skip


def test_blocks_run_in_the_order_given() -> None:
    span = Span({"z": MHA, "a": MLP(D)}, D)
    assert [block.label for block in span.inner_blocks] == ["mha", "mlp"]
    out, _ = span(DATA, span.masks(DATA, MASK), {})
    z, a = span.inner_blocks
    assert torch.equal(out, a(z(DATA, MASK), MASK))


def test_later_blocks_of_a_kind_are_told_that_there_is_a_state() -> None:
    first, _, second = Span({"first": REUSE, "mlp": MLP, "second": REUSE}, D).inner_blocks
    assert first.config["has_state"] is None
    assert second.config["has_state"] is True


def test_states_are_kept_by_kind_and_the_given_ones_left_alone() -> None:
    span = Span({"reuse": REUSE, "mlp": MLP}, D)
    given = {"other": torch.ones(1)}
    _, states = span(DATA, span.masks(DATA, MASK), given)
    assert set(states) == {"other", "attention_scores"}
    assert set(given) == {"other"}
    assert span.state_kinds == {"attention_scores"}


def test_one_instance_under_two_names_is_one_block() -> None:
    shared = MLP(D)
    span = Span({"a": shared, "b": MHA, "c": shared}, D)
    assert span.order == (0, 1, 0)
    assert sum(p.numel() for p in span.parameters()) == sum(
        p.numel() for block in (shared, span.inner_blocks[1]) for p in block.parameters()
    )


def test_a_block_with_its_own_mask_gets_it() -> None:
    class Looks(MLP):
        mask_cls = DepthwiseConv.mask_cls
        seen: Tensor | None = None

        def forward(self, data: Tensor, attention_mask: Tensor | None = None, *state: Any) -> Any:
            self.seen = attention_mask
            return data

    looks, plain = Looks(D), MHA(hidden_size=D)
    span = Span({"looks": looks, "plain": plain}, D)
    square = MASK[:, None].expand(-1, 6, -1)
    span(DATA, span.masks(DATA, square), {})
    assert looks.seen is not None
    assert torch.equal(looks.seen, MASK.bool())
    assert span.masks(DATA, None) == [None, None]
    assert span.masks(DATA, square)[1] is square


def test_an_inner_wrapper_passes_states_on() -> None:
    torch.manual_seed(0)
    block = Repeat(D, {"inner": partial(Parallel, span={"r": REUSE, "m": MLP}), "again": REUSE}, n=1)
    assert block.recursive
    inner, again = block.inner_blocks
    assert again.config["has_state"] is True
    out, states = block(DATA, MASK)
    data, inside = inner(DATA, MASK, None)
    expected, _ = again(data, MASK, inside["attention_scores"])
    assert torch.equal(out, expected)
    assert set(states) == {"attention_scores"}


@pytest.mark.parametrize(
    "block",
    [
        partial(MLP, norm=norm, residual=residual)
        for norm in ("pre", "post", "sandwich", "none")
        for residual in ("add", "gate")
    ],
)
def test_an_update_is_what_a_block_adds(block: Any) -> None:
    made = block(hidden_size=D)
    update, _ = update_of(made, DATA, MASK, {})
    torch.testing.assert_close(DATA + update, made(DATA, MASK))


def test_an_update_threads_states() -> None:
    for made in (ReuseAttention(D, 2), ReuseAttention(D, 2, norm="post")):
        update, states = update_of(made, DATA, MASK, {"other": 1})
        out, same = run_block(made, DATA, MASK, {"other": 1})
        torch.testing.assert_close(DATA + update, out)
        assert set(states) == set(same) == {"other", "attention_scores"}


# --- in a scaffold ---


def test_states_go_into_a_wrapper_and_out_of_it() -> None:
    encoder = scaffold([REUSE, partial(Repeat, span={"r": REUSE, "m": MLP}, n=2), REUSE], recursive=True)
    layers: list[Any] = encoder.hidden_layers
    first, wrapper, last = layers
    assert last.config["has_state"] is True
    data, _ = encoder._embed(IDS)
    data, state = first(data, MASK, None)
    reuse, mlp = wrapper.inner_blocks
    for _ in range(2):
        data, state = reuse(data, MASK, state)
        data = mlp(data, MASK)
    data, _ = last(data, MASK, state)
    torch.testing.assert_close(encoder.sequence_output(IDS), data)


def test_a_wrapper_of_plain_blocks_needs_no_recursive_scaffold() -> None:
    plain = partial(Repeat, span={"m": MHA, "f": MLP})
    for recursive in (False, True):
        encoder = scaffold([plain, MLP], recursive)
        assert not encoder.slots[0].recursive
        assert encoder(IDS)[0].shape == (2, 6, D)


@pytest.mark.parametrize("given", ["class", "instance"])
def test_a_wrapper_of_recursive_blocks_needs_a_recursive_scaffold(given: str) -> None:
    wrapper: Any = partial(Repeat, span={"r": REUSE})
    wrapper = wrapper if given == "class" else wrapper(hidden_size=D)
    with pytest.raises(InputError, match=r"hidden_cls\[0\]=Repeat .*recursive.*: set recursive=True"):
        scaffold([wrapper, MLP], recursive=False)
    assert scaffold([wrapper, MLP], recursive=True)(IDS)[0].shape == (2, 6, D)


def test_a_pool_finds_out_whether_the_scaffold_is_recursive() -> None:
    from nas.masks import SelfAttentionMask

    for inner, recursive in ((MHA, False), (REUSE, True)):
        blocks = {"r": partial(Repeat, span={"i": inner})}
        encoder = encoder_from_pool(D, 2, ["r", "r"], blocks, embedding(), SelfAttentionMask)
        assert [slot.recursive for slot in encoder.slots] == [recursive, recursive]
        assert encoder(IDS)[0].isfinite().all()


def test_the_configuration_keeps_order_and_sharing() -> None:
    shared = MLP(D)
    wrapper = partial(Repeat, span={"z": MHA, "a": shared, "m": DepthwiseConv})
    encoder = scaffold([wrapper, shared, wrapper], recursive=False)
    again = EncoderScaffold.from_json(encoder.to_json())
    layers: list[Any] = again.hidden_layers
    first, plain, last = layers
    assert [block.label for block in first.inner_blocks] == ["mha", "mlp", "conv"]
    assert first.inner_blocks[1] is last.inner_blocks[1] is plain
    assert first.inner_blocks[0] is not last.inner_blocks[0]
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(IDS)[0], encoder(IDS)[0])


POOL: dict[str, Any] = {
    "reuse": REUSE,
    "mlp": MLP,
    "none": NoBlock,
    "save": SkipSave,
    "add": SkipAdd,
    "repeat": partial(Repeat, span={"r": partial(REUSE, reuse_heads=1), "m": MLP}),
    "loop": partial(Loop, span={"deep": partial(Repeat, span={"m": MLP, "r": REUSE}), "s": SkipAdd}),
    "act": partial(AdaptiveHalting, span={"h": partial(HyperConnections, span={"r": REUSE})}),
    "hyper": partial(HyperConnections, span={"p": partial(Parallel, span={"r": REUSE, "m": MLP})}),
    "latent": partial(LatentRecursion, span={"save": SkipSave, "m": MLP, "add": SkipAdd}),
    "streams": partial(HyperConnections, span={"m": MLP}, num_streams=2),
    "one": HyperConnections(D, {"r": ReuseAttention(D, 2)}, num_streams=4),
}


def test_any_list_is_valid_and_comes_back_from_its_configuration() -> None:
    drawn = random.Random(0)
    for _ in range(25):
        names = drawn.choices(list(POOL), k=drawn.randint(2, 6))
        encoder = scaffold([POOL[name] for name in names], recursive=any(name in RECURSIVE for name in names))
        out = encoder(IDS)[0]
        assert out.isfinite().all(), names
        again = EncoderScaffold.from_json(encoder.to_json())
        again.load_state_dict(encoder.state_dict())
        assert torch.equal(again(IDS)[0], out), names


# --- labels and mistakes ---


def test_labels_leave_empty_blocks_out() -> None:
    assert Repeat(D, {"a": MHA, "n": NoBlock, "m": MLP}, n=3).label == "repeat3(mha,mlp)"
    assert Repeat(D, {"n": NoBlock}).label == "repeat2(none)"


class Foreign(nn.Linear):
    """No block."""


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ({}, r"span=\{\} must name at least one block, in order"),
        (None, "span=None must name at least one block"),
        ({"a": 3}, "span.a is 3: expected a block"),
        ({"a": Foreign(1, 1)}, "span.a is a Foreign: expected a block"),
        ({"a": MLP(8)}, "span.a=MLP has hidden_size=8: expected 16"),
        ({"a": MultiHeadAttention}, r"span.a=MultiHeadAttention needs \['num_heads'\]: set them in span.a"),
        ({"a": partial(MHA, num_heads=3)}, "span.a=MultiHeadAttention: hidden_size=16 is not a multiple of"),
    ],
)
def test_mistakes_name_the_block(span: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Repeat(D, span)


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(InputError) as error:
        Span({"a": 3, "b": MLP(8)}, D)
    assert len(error.value.mistakes) == 2
