"""The original's experts-choose mixture of experts, its parts, and its router by itself."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.activations import get_activation
from nas.blocks.feedforward.experts import Experts
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.feedforward.moe import MixtureOfExperts
from nas.blocks.feedforward.routing import ExpertsChoose
from nas.errors import InputError
from nas.interop.model_garden.alone import alone
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.forms import InstanceForm
from nas.interop.model_garden.top_k import heap_order
from nas.interop.model_garden.weights import State, Weights


def moe_layer(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `MixtureOfExperts` in which padding competes for places, as in the original."""
    return alone(_moe(arguments, weights, context), arguments, context)


def moe_with_backbone(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `MixtureOfExperts` with a backbone, which drops as its experts do."""
    inner = _part(arguments, "moe", "MoeLayer")
    arguments.ignore("inner_dropout", "output_dropout")
    block = _moe(inner, weights.below("moe"), context, arguments.get("backbone_d_ff"))
    inner.done()
    assert block.backbone is not None
    block.backbone.activation = get_activation(arguments.activation("activation", "gelu"))
    first, second = _two_layers(weights.below("backbone"))
    weights.fill(
        block.backbone,
        inner=first["weight"].T[None],
        inner_bias=first["bias"][None, None],
        output=second["weight"].T[None],
        output_bias=second["bias"][None, None],
    )
    return alone(block, arguments, context)


def feed_forward(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build an `MLP`, whose dropout is the original's output dropout."""
    block = MLP(
        context.hidden_size,
        inner_dim=arguments.get("d_ff"),
        activation=arguments.activation("activation", "gelu"),
        bias=True,
        inner_dropout=arguments.get("inner_dropout", 0.0),
        dropout=arguments.get("output_dropout", 0.0),
        norm="none",
    )
    first, second = _two_layers(weights)
    weights.fill(block, inner=first, output=second)
    return alone(block, arguments, context)


def feed_forward_experts(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build the experts alone, called with [G, E, C, D]."""
    arguments.ignore("output_dropout")
    experts = Experts(
        arguments.get("num_experts"),
        context.hidden_size,
        arguments.get("d_ff"),
        get_activation(arguments.activation("activation", "gelu")),
        bias=True,
        inner_dropout=arguments.get("inner_dropout", 0.0),
    )
    _fill_experts(experts, weights)
    return GroupedExperts(experts)


def experts_choose_router(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build the router alone, which returns the original's masks."""
    arguments.ignore("export_metrics")
    router = ExpertsChoose(
        context.hidden_size,
        arguments.get("num_experts"),
        bias=arguments.get("use_bias", True),
        jitter_noise=arguments.get("jitter_noise", 0.0),
        z_loss_weight=arguments.get("router_z_loss_weight", 0.0),
    )
    weights.fill(router, scores=weights.dense("router_weights"))
    return RouterMasks(router)


class GroupedExperts(nn.Module):
    """Experts, called with groups of tokens as the original's are."""

    def __init__(self, experts: Experts) -> None:
        super().__init__()
        self.experts = experts

    def forward(self, inputs: Tensor) -> Tensor:
        """Map [G, E, C, D] to the same shape."""
        groups, experts, places, width = inputs.shape
        by_expert = inputs.transpose(0, 1).reshape(experts, groups * places, width)
        out: Tensor = self.experts(by_expert)
        return out.view(experts, groups, places, width).transpose(0, 1)


class RouterMasks(nn.Module):
    """A router's choice as the original returns it: two arrays of tokens by experts by places."""

    def __init__(self, router: ExpertsChoose) -> None:
        super().__init__()
        self.router = router

    def forward(self, inputs: Tensor, expert_capacity: int) -> dict[str, Tensor]:
        """Return ``dispatch_mask`` (0 or 1) and ``combine_array`` (probabilities), [G, N, E, C]."""
        probabilities = self.router.probabilities(inputs, None)
        chosen = heap_order(probabilities.transpose(1, 2), expert_capacity)  # [G, E, C]
        dispatch = F.one_hot(chosen, inputs.shape[1]).permute(0, 3, 1, 2).to(probabilities.dtype)
        return {"dispatch_mask": dispatch, "combine_array": probabilities[..., None] * dispatch}


def _moe(
    arguments: Arguments, weights: Weights, context: Context, backbone_dim: int | None = None
) -> MixtureOfExperts:
    """Build the mixture from the forms of its experts and its router, and fill both."""
    experts = _part(arguments, "experts", "FeedForwardExperts")
    router = _part(arguments, "router", "ExpertsChooseMaskedRouter")
    count = experts.get("num_experts")
    router.only("num_experts", count)
    router.ignore("export_metrics")
    block = MixtureOfExperts(
        context.hidden_size,
        num_experts=count,
        inner_dim=experts.get("d_ff"),
        routing="experts",
        capacity_factor=arguments.get("train_capacity_factor", 1.0),
        eval_capacity_factor=arguments.get("eval_capacity_factor", 1.0),
        examples_per_group=arguments.get("examples_per_group", 1.0),
        padding_takes_places=True,
        jitter_noise=router.get("jitter_noise", 0.0),
        z_loss_weight=router.get("router_z_loss_weight", 0.0),
        backbone_dim=backbone_dim,
        activation=experts.activation("activation", "gelu"),
        router_bias=router.get("use_bias", True),
        inner_dropout=experts.get("inner_dropout", 0.0),
        expert_dropout=experts.get("output_dropout", 0.0),
        norm="none",
    )
    for part in (experts, router):
        part.done()
    _fill_experts(block.experts, weights.below("experts"))
    weights.fill(block.router, scores=weights.dense("router/router_weights"))
    return block


def _part(arguments: Arguments, key: str, name: str) -> Arguments:
    """Return the arguments of an object that another one is given."""
    form = arguments.get(key)
    if not isinstance(form, InstanceForm) or form.name != name:
        raise InputError(f"{arguments.class_name}.{key}={form!r} is not supported: only a {name}")
    return Arguments(form.name, form.config)


def _fill_experts(experts: Experts, weights: Weights) -> None:
    weights.fill(
        experts,
        inner=weights.take("intermediate_layer/kernel"),
        inner_bias=weights.take("intermediate_layer/bias"),
        output=weights.take("output_layer/kernel"),
        output_bias=weights.take("output_layer/bias"),
    )


def _two_layers(weights: Weights) -> tuple[State, State]:
    return weights.dense("intermediate_layer"), weights.dense("output_layer")


TRANSLATORS: dict[str, Translator] = {
    "ExpertsChooseMaskedRouter": experts_choose_router,
    "FeedForward": feed_forward,
    "FeedForwardExperts": feed_forward_experts,
    "MoeLayer": moe_layer,
    "MoeLayerWithBackbone": moe_with_backbone,
}
