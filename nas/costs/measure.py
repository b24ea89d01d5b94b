"""What one layer does, found by running it once without data: operations, and bytes kept for its gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.flop_counter import conv_flop_count, flop_registry

from nas.blocks.losses import collect_losses
from nas.blocks.positions.kept import is_kept
from nas.errors import InputError
from nas.scaffold_slots import Slot, call_layer

_REMEMBERED = 1 << 14


class UncountableError(InputError):
    """A layer that runs neither on the meta device nor where it lives."""


@dataclass(frozen=True)
class Layer:
    """A layer and how the scaffold calls it.

    Attributes:
        key: equal for layers that cost the same; None: not known, so nothing is remembered.
        module: on any device; it is not changed.
        slot: whether it takes a state, and which.
        mask: makes its attention mask; None: it is called without one.
        parameters: the number of its own, shared ones once.
    """

    key: Hashable
    module: nn.Module = field(compare=False)
    slot: Slot = field(compare=False)
    mask: nn.Module | None = field(compare=False)
    parameters: int


@dataclass(frozen=True)
class Handed:
    """What one layer hands to the next: data [B, T, D] and the states, on the meta device.

    Attributes:
        signature: equal where shapes, types and what is kept or the same tensor are equal.
        data: the layer's output.
        states: kind to state.
        kept: the storages among them that an earlier layer keeps for its backward pass.
    """

    signature: str
    data: Tensor = field(compare=False)
    states: Mapping[str, Any] = field(default_factory=dict, compare=False)
    kept: frozenset[int] = field(default=frozenset(), compare=False)


@dataclass(frozen=True)
class Measured:
    """One run of a layer, in training.

    Attributes:
        forward: operations of the forward pass, as far as torch's counter sees them.
        training: those of the forward and the backward pass.
        kept: bytes that the backward pass needs and no earlier layer keeps.
        handed: what comes out.
    """

    forward: int
    training: int
    kept: int
    handed: Handed


_Call = Callable[[Callable[..., Any], Tensor, dict[str, Any]], Tensor]
"""Runs a layer over data and states, puts the states that it returns in their place, and returns data."""


def measure(layer: Layer, handed: Handed) -> Measured:
    """Run a layer on the meta device, or where it lives if it needs real numbers.

    Raises:
        InputError: it refuses this length, or can not be run.
    """
    return (_layer if layer.key is not None else _layer.__wrapped__)(layer, handed)


def measure_embedding(embedding: Layer, width: int, size: tuple[int, int], dtype: torch.dtype) -> Measured:
    """Run an embedding over ids [B, T] of zeros; one that wants other inputs counts for its linear layers.

    Raises:
        InputError: it refuses this length.
    """
    remembered = _embedding if embedding.key is not None else _embedding.__wrapped__
    return remembered(embedding, width, size, dtype)


@functools.lru_cache(_REMEMBERED)
def _layer(layer: Layer, handed: Handed) -> Measured:
    def call(run: Callable[..., Any], data: Tensor, states: dict[str, Any]) -> Tensor:
        mask = None if layer.mask is None else layer.mask(data, data.new_ones(data.shape[:2]))
        return call_layer(run, layer.slot, data, mask, states)

    return _somewhere(layer.module, call, handed, handed.data.dtype)


@functools.lru_cache(256)
def _embedding(embedding: Layer, width: int, size: tuple[int, int], dtype: torch.dtype) -> Measured:
    def call(run: Callable[..., Any], ids: Tensor, states: dict[str, Any]) -> Tensor:
        out = run([ids])
        data: Tensor = out[0] if isinstance(out, tuple | list) else out
        return data

    ids = torch.zeros(size, dtype=torch.int64, device="meta")
    try:
        return _somewhere(embedding.module, call, Handed("", ids), dtype)
    except UncountableError:
        linear = [m for m in embedding.module.modules() if isinstance(m, nn.Linear)]
        flops = sum(2 * m.in_features * m.out_features for m in linear) * ids.numel()
        data = torch.zeros(*size, width, dtype=dtype, device="meta", requires_grad=True)
        return Measured(flops, 3 * flops, 0, _cut(data, {}, frozenset()))


def _somewhere(module: nn.Module, call: _Call, handed: Handed, dtype: torch.dtype) -> Measured:
    try:
        return _run(module, call, handed, dtype)
    except InputError:
        raise
    except Exception as error:  # whatever a module from elsewhere does that shapes alone can not answer
        mistake = UncountableError(f"{type(module).__name__} can not be counted: {error}")
        home = next((p.device for p in module.parameters()), torch.device("cpu"))
        if home.type == "meta":
            raise mistake from error
    data, states = tree_map(functools.partial(_moved, device=home), (handed.data, dict(handed.states)))
    try:
        return _run(module, call, Handed(handed.signature, data, states), dtype)
    except Exception as error:
        raise mistake from error


def _run(module: nn.Module, call: _Call, handed: Handed, dtype: torch.dtype) -> Measured:
    device = handed.data.device
    weights = _weights_on(module, device, dtype)

    def run(*inputs: Any) -> Any:
        return functional_call(module, weights, inputs)

    with _undisturbed(module, device):
        module.train()
        states = dict(handed.states)
        with torch.enable_grad(), kept_storages() as sizes, Counter() as counter, collect_losses() as losses:
            out = call(run, handed.data, states)
            forward = counter.flops
            _backward([out, *_tensors(states), *losses.values()])
    before = {place(t) for t in weights.values()} | handed.kept
    return Measured(
        forward=forward,
        training=counter.flops,
        kept=sum(size for at, size in sizes.items() if at not in before),
        handed=_cut(out, states, handed.kept | sizes.keys()),
    )


def _weights_on(module: nn.Module, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        name: t.detach()
        .to(device, dtype if t.is_floating_point() else t.dtype)
        .requires_grad_(t.requires_grad)
        for name, t in named.items()
    }


@contextmanager
def _undisturbed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Leave random generators and the module's mode as they were; attend in plain products.

    The counter does not know the CPU's fused attention, which there is none of on the meta device.
    """
    modes = [(part, part.training) for part in module.modules()]
    with ExitStack() as around:
        around.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        around.enter_context(sdpa_kernel(SDPBackend.MATH))
        around.enter_context(torch.device(device))
        try:
            yield
        finally:
            for part, training in modes:
                part.training = training


def _backward(ends: list[Tensor]) -> None:
    ends = [end for end in ends if end.grad_fn is not None]
    if ends:
        torch.autograd.backward(ends, [torch.zeros_like(end) for end in ends])


def _cut(data: Tensor, states: Mapping[str, Any], kept: frozenset[int]) -> Handed:
    """Cut data and states off the graph, and write down what the next layer's cost depends on."""
    leaves, structure = tree_flatten((data, dict(states)))
    cut = [_meta(leaf) for leaf in leaves]
    told, seen, held = [str(structure)], dict[int, int](), set[int]()
    for leaf, copy in zip(leaves, cut, strict=True):
        if not isinstance(leaf, Tensor):
            told.append(repr(leaf))
            continue
        at = place(leaf)
        held |= {place(copy)} if at in kept else set()
        facts = (list(leaf.shape), leaf.dtype, leaf.requires_grad, at in kept, seen.setdefault(at, len(seen)))
        told.append(" ".join(map(str, facts)))
    data, states = structure.unflatten(cut)
    return Handed("; ".join(told), data, states, frozenset(held))


def _meta(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().to("meta").requires_grad_(value.requires_grad)


def _moved(value: Any, device: torch.device) -> Any:
    if not isinstance(value, Tensor):
        return value
    return torch.zeros_like(value, device=device).requires_grad_(value.requires_grad)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


def place(tensor: Tensor) -> int:
    """Return what tells a tensor's storage from others as long as it lives; views share theirs."""
    return int(tensor.untyped_storage()._cdata)


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what torch's FLOP counter knows of every operator: products, convolutions, attention."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = getattr(func, "overloadpacket", None)
        formula = (
            _conv_backward if packet is torch.ops.aten.convolution_backward else flop_registry.get(packet)
        )
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def _conv_backward(
    gradient: Tensor, data: Tensor, weight: Tensor, *settings: Any, out_val: Any = None
) -> int:
    """Count as much for each gradient as for the convolution: torch's own rule overlooks its groups."""
    transposed, wanted = settings[4], settings[7]
    products = conv_flop_count(list(data.shape), list(weight.shape), list(gradient.shape), transposed)
    return int(products) * (bool(wanted[0]) + bool(wanted[1]))


@contextmanager
def kept_storages() -> Iterator[dict[int, int]]:
    """Note the storages that operators keep for the backward pass, each once: place to bytes.

    Tables that are made once for each size are not among them: every layer and every step has the same.
    """
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no place is given away twice

    def pack(tensor: Tensor) -> Tensor:
        if not is_kept(tensor):
            alive.append(tensor)
            sizes[place(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes
