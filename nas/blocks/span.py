"""Spans: blocks inside a block, built once and run in order, and the base of the blocks that hold one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from nas.blocks.base import Block, ResidualBlock, Role
from nas.blocks.residuals import Add
from nas.errors import InputError, check_positive
from nas.factories import accepts, call_mistakes, given_to, is_factory, name_of, target_of
from nas.masks import padding_of

ALL_STATES = "all"
"""The ``state_kind`` of a block that gets and returns the dict of all states, kind to state."""

States = Mapping[str, Any]


class Span(nn.Module):
    """Named blocks in order; each pass hands data, masks and recursive states from one to the next.

    A class or `functools.partial` makes a fresh block, an instance is used as it is. A fresh block
    that takes ``hidden_size`` and was given none gets that of the span; one that takes ``has_state``
    is told that there is one if a block of its kind stands before it here. States that come from
    outside, or from an earlier pass over the same span, are used where a block can do without.

    Args:
        blocks: name to class, partial or instance.
        hidden_size: D.

    Raises:
        InputError: there is no block, one is none, cannot be built, or has another width.
    """

    def __init__(self, blocks: Mapping[str, Any], hidden_size: int) -> None:
        super().__init__()
        built = _build(blocks, hidden_size)
        distinct = list(dict.fromkeys(built))
        self.blocks = nn.ModuleList(distinct)
        self.order = tuple(distinct.index(block) for block in built)
        self.state_kinds = frozenset[str]().union(*(kinds_of(block) for block in built))
        wanted = [getattr(block, "mask_cls", None) for block in distinct]
        kinds = list(dict.fromkeys(kind for kind in wanted if kind is not None))
        self.mask_layers = nn.ModuleList(kind if isinstance(kind, nn.Module) else kind() for kind in kinds)
        self.mask_of = tuple(None if kind is None else kinds.index(kind) for kind in wanted)

    @property
    def inner_blocks(self) -> tuple[Block, ...]:
        """The blocks in the order of one pass; one that is used twice is there twice."""
        return tuple(self.blocks[index] for index in self.order)  # type: ignore[misc]

    @property
    def label(self) -> str:
        """The blocks' labels with commas (a hyphen separates slots), empty ones left out."""
        return ",".join(b.label for b in self.inner_blocks if b.role != "none") or "none"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of one pass."""
        return sum(block.flops_per_token(seq_length) for block in self.inner_blocks)

    def masks(self, data: Tensor, attention_mask: Tensor | None) -> list[Tensor | None]:
        """Return each distinct block's mask, those with a ``mask_cls`` of their own included.

        Args:
            data: [B, T, D].
            attention_mask: None, [B, T] or [B, T, T].
        """
        padding = padding_of(attention_mask) if self.mask_layers else None
        made = [layer(data, padding) if padding is not None else None for layer in self.mask_layers]
        return [attention_mask if index is None else made[index] for index in self.mask_of]

    def forward(self, data: Tensor, masks: Sequence[Tensor | None], states: States) -> tuple[Tensor, States]:
        """Map [B, T, D] and the states to both anew; ``masks`` is what `masks` returned."""
        for index in self.order:
            data, states = run_block(self.blocks[index], data, masks[index], states)  # type: ignore[arg-type]
        return data, states

    def update(self, data: Tensor, masks: Sequence[Tensor | None], states: States) -> tuple[Tensor, States]:
        """Return what one pass adds to ``data`` [B, T, D], and the states anew."""
        if len(self.order) == 1:
            return update_of(self.blocks[0], data, masks[0], states)  # type: ignore[arg-type]
        out, states = self(data, masks, states)
        return out - data, states


class SpanHolder(Block):
    """What a block that holds a ``span`` tells of the blocks inside; mixed into its other base."""

    state_kind: ClassVar[str] = ALL_STATES
    span: Span

    @property
    def state_kinds(self) -> frozenset[str]:
        """The kinds of state that this block reads and writes."""
        return self.span.state_kinds

    @property
    def recursive(self) -> bool:  # type: ignore[override]  # it depends on the blocks inside
        """Whether the block takes and returns states."""
        return bool(self.state_kinds)

    @property
    def inner_blocks(self) -> tuple[Block, ...]:
        """The blocks inside, in the order of one pass."""
        return self.span.inner_blocks

    def effective_config(self) -> dict[str, Any]:
        """Leave out the span: it is described by `inner_blocks`."""
        return {key: value for key, value in super().effective_config().items() if key != "span"}


class SpanBlock(SpanHolder):
    """A block that holds a span: `run` says what is done with it.

    It takes and returns states where an inner block does; every state that comes in goes on.

    Args:
        hidden_size: D.
        span: name to block (class, partial or instance), in order; in YAML, nodes with ``_target_``.

    Raises:
        InputError: see `Span`.
    """

    role: ClassVar[Role] = "recursive"
    inner_layout: ClassVar[Literal["sequence", "parallel"]] = "sequence"

    def __init__(self, hidden_size: int, span: dict[str, Any]) -> None:
        super().__init__()
        check_positive(hidden_size=hidden_size)
        self.hidden_size = hidden_size
        self.span = Span(span, hidden_size)

    @property
    def num_loops(self) -> int:
        """How often one forward pass in training runs the span."""
        return 1

    def run(self, data: Tensor, attention_mask: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Map [B, T, D] and all states to both anew."""
        raise NotImplementedError(self._lacks("run"))

    def forward(
        self, data: Tensor, attention_mask: Tensor | None = None, states: States | None = None
    ) -> Any:
        """Map ``data`` [B, T, D] to [B, T, D], or to (data, states) if the block is recursive.

        Raises:
            InputError: the data has another width, or the mask does not fit it.
        """
        self.check_inputs(data, attention_mask)
        out, new_states = self.run(data, attention_mask, states or {})
        return (out, new_states) if self.recursive else out


def kinds_of(block: nn.Module) -> frozenset[str]:
    """Return the kinds of state that a block reads and writes: none if it is not recursive."""
    kinds: frozenset[str] | None = getattr(block, "state_kinds", None)
    if kinds is not None:
        return kinds
    return frozenset([block.state_kind]) if getattr(block, "recursive", False) else frozenset()  # type: ignore[list-item]


def run_block(
    block: Block, data: Tensor, attention_mask: Tensor | None, states: States
) -> tuple[Tensor, States]:
    """Return a block's output [B, T, D] and the states after it; ``states`` is left as it was."""
    return _with_states(block, block, data, attention_mask, states)


def update_of(
    block: Block, data: Tensor, attention_mask: Tensor | None, states: States
) -> tuple[Tensor, States]:
    """Return what a block adds to ``data`` [B, T, D], and the states after it.

    Where the block computes it as such (its residual is a plain sum, not normalised after), the
    sum is not formed: the difference would lose digits in half precision.
    """
    if not _adds_branch(block):
        out, states = run_block(block, data, attention_mask, states)
        return out - data, states
    assert isinstance(block, ResidualBlock)
    return _with_states(block.branch, block, data, attention_mask, states)


def _with_states(
    call: Callable[..., Any], block: Block, data: Tensor, attention_mask: Tensor | None, states: States
) -> tuple[Tensor, States]:
    """Call a block, or its branch, with the state of its kind, and put the new one in its place."""
    if not block.recursive:
        return call(data, attention_mask), states
    if block.state_kind == ALL_STATES:
        out, new = call(data, attention_mask, states)
        return out, new
    out, state = call(data, attention_mask, states.get(block.state_kind))
    return out, {**states, block.state_kind: state}


def _adds_branch(block: Block) -> bool:
    return (
        isinstance(block, ResidualBlock)
        and type(block).forward is ResidualBlock.forward
        and isinstance(block.residual, Add)
        and isinstance(block.norm_after, nn.Identity)
    )


def _build(blocks: Mapping[str, Any], hidden_size: int) -> list[Block]:
    if not isinstance(blocks, Mapping) or not blocks:
        raise InputError(f"span={blocks!r} must name at least one block, in order")
    built: list[Block] = []
    wrong: list[str] = []
    for name, block in blocks.items():
        try:
            built.append(_built(name, block, hidden_size, built))
        except InputError as error:
            wrong.extend(error.mistakes)
    if wrong:
        raise InputError(*wrong)
    return built


def _built(name: str, block: Any, hidden_size: int, before: Iterable[Block]) -> Block:
    """Build one block of a span; every mistake names it.

    Raises:
        InputError: it is no block, cannot be built, or has another width.
    """
    where = f"span.{name}"
    if is_factory(block):
        keywords = _told(block, hidden_size, before)
        mistakes = call_mistakes(where, block, keywords, where)
        if mistakes:
            raise InputError(*mistakes)
        try:
            module = block(**keywords)
        except InputError as error:
            raise InputError(*(f"{where}={name_of(block)}: {m}" for m in error.mistakes)) from None
    else:
        module = block
    if not isinstance(module, Block):
        what = f"a {name_of(module)}" if isinstance(module, nn.Module) else repr(module)
        raise InputError(f"{where} is {what}: expected a block (a class, a functools.partial or an instance)")
    width = module.config.get("hidden_size", hidden_size)
    if width != hidden_size:
        raise InputError(f"{where}={name_of(module)} has hidden_size={width}: expected {hidden_size}")
    return module


def _told(factory: Any, hidden_size: int, before: Iterable[Block]) -> dict[str, Any]:
    """Return what a block is told of its place, where it asks and was given nothing."""
    given, told = given_to(factory), {}
    if given.get("hidden_size") is None and accepts(factory, "hidden_size", by_name_only=True):
        told["hidden_size"] = hidden_size
    if given.get("has_state") is None and accepts(factory, "has_state", by_name_only=True):
        kinds = frozenset[str]().union(*(kinds_of(block) for block in before))
        if target_of(factory).state_kind in kinds:
            told["has_state"] = True
    return told
