"""A recurrent network as one operator, for compiled and exported graphs."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = list[Tensor]


def run_gru(data: Tensor, weights: Weights) -> Tensor:
    """Return the states [B, T, S] of a one-layer network over [B, T, D], from 0.

    Traced into a graph, torch's network would have the length that it was traced with. In compiled
    and exported graphs it is one operator, ``nas::gru``; a program that loads such a graph imports
    this package first.

    Args:
        data: what is read.
        weights: in `torch.nn.GRUCell`'s order: of data and state, then their biases if there are any.
    """
    if not torch.compiler.is_compiling():
        return _states(data, weights)
    states: Tensor = torch.ops.nas.gru(data, weights)
    return states


@torch.library.custom_op("nas::gru", mutates_args=())
def gru_op(data: Tensor, weights: list[Tensor]) -> Tensor:
    """Return the states [B, T, S] for weights in `run_gru`'s order."""
    return _states(data, weights)


@gru_op.register_fake
def _(data: Tensor, weights: list[Tensor]) -> Tensor:
    return data.new_empty(data.shape[0], data.shape[1], weights[1].shape[1])


@torch.library.custom_op("nas::gru_backward", mutates_args=())
def gru_backward_op(gradient: Tensor, states: Tensor, data: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """Return the gradients of data and weights.

    All gates are computed again at once, as every state is known; only the gradient of the state
    goes from token to token. With r, z and n the gates, h the state before, m what n reads of it:
    ``state = (1 - z) n + z h``, ``n = tanh(read + r m)``.
    """
    before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], dim=1)
    read, recalled = _gates(data, weights[::2]), _gates(before, weights[1::2])
    reset, update = (read + recalled)[..., : 2 * states.shape[-1]].sigmoid().chunk(2, dim=-1)
    memory = recalled.chunk(3, dim=-1)[2]
    new = torch.tanh(read.chunk(3, dim=-1)[2] + reset * memory)
    of_new = (1 - update) * (1 - new * new)
    of_reset = of_new * memory * reset * (1 - reset)
    of_update = (before - new) * update * (1 - update)
    slopes = torch.cat([of_reset, of_update, of_new * reset], dim=-1)

    of_states = _backward_in_time(gradient, slopes, update, weights[1])
    recalled_gradient = of_states.repeat(1, 1, 3) * slopes
    read_gradient = of_states.repeat(1, 1, 3) * torch.cat([of_reset, of_update, of_new], dim=-1)
    gradients = [
        read_gradient @ weights[0],
        _product(read_gradient, data),
        _product(recalled_gradient, before),
    ]
    if len(weights) == 4:
        gradients += [read_gradient.sum(dim=(0, 1)), recalled_gradient.sum(dim=(0, 1))]
    return gradients


@gru_backward_op.register_fake
def _(gradient: Tensor, states: Tensor, data: Tensor, weights: list[Tensor]) -> list[Tensor]:
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (data, *weights)]


def _backward_in_time(gradient: Tensor, slopes: Tensor, update: Tensor, weight: Tensor) -> Tensor:
    """Return the gradients of all states, [B, T, S], from the last to the first."""
    gradients, slope, kept = (x.transpose(0, 1).contiguous() for x in (gradient, slopes, update))
    out = torch.empty_like(gradients)
    later = torch.zeros_like(gradients[0])
    for t in reversed(range(gradients.shape[0])):
        torch.add(gradients[t], later, out=out[t])
        later = torch.addmm(out[t] * kept[t], out[t].repeat(1, 3) * slope[t], weight)
    return out.transpose(0, 1)


def _gates(data: Tensor, weights: Weights) -> Tensor:
    return F.linear(data, weights[0], weights[1] if len(weights) == 2 else None)


def _product(gradient: Tensor, data: Tensor) -> Tensor:
    return gradient.flatten(0, 1).T @ data.flatten(0, 1)


def _save(ctx: Any, inputs: tuple[Tensor, Weights], output: Tensor) -> None:
    ctx.save_for_backward(output, inputs[0], *inputs[1])


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Weights]:
    states, data, *weights = ctx.saved_tensors
    first, *rest = torch.ops.nas.gru_backward(gradient, states, data, weights)
    return first, rest


gru_op.register_autograd(_backward, setup_context=_save)


def _states(data: Tensor, weights: Weights) -> Tensor:
    start = data.new_zeros(1, data.shape[0], weights[1].shape[1])
    with warnings.catch_warnings():  # cuDNN wants all weights in one piece of memory, and copies them
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
        states: Tensor = torch.gru(data, start, weights, len(weights) == 4, 1, 0.0, True, False, True)[0]
    return states.contiguous()
