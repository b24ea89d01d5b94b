"""The scaffold's arguments: everything that is wrong with them in one message, and its parts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn

from nas.embeddings import TransformerEmbedding
from nas.errors import InputError
from nas.factories import call_mistakes, is_factory, name_of
from nas.scaffold_slots import SlotPlan

Parts = Mapping[str, tuple[Any, Mapping[str, Any] | None]]


def check_arguments(
    *,
    pooled_output_dim: Any,
    pooler_layer_initializer: Any,
    parts: Parts,
    embedding_data: Any,
    num_hidden_instances: Any,
    hidden_cfg: Any,
    flags: Mapping[str, Any],
    plan: SlotPlan,
) -> None:
    """Raise `InputError` with a line for each wrong argument of `EncoderScaffold`."""
    wrong = [*_size_mistakes("pooled_output_dim", pooled_output_dim)]
    if pooler_layer_initializer is not None and not callable(pooler_layer_initializer):
        wrong.append(
            f"pooler_layer_initializer={pooler_layer_initializer!r} is not callable: expected a function "
            "that fills a tensor in place"
        )
    for name, (cls, cfg) in parts.items():
        wrong += _part_mistakes(name, cls, cfg)
    if embedding_data is not None and parts["embedding"][0] is TransformerEmbedding:
        wrong.append("embedding_data is for a custom embedding_cls; the default one knows its own table")
    wrong += _number_mistakes(num_hidden_instances, len(plan.layers), plan.listed)
    wrong += _cfg_mistakes("hidden_cfg", hidden_cfg) or plan.mistakes()
    wrong += [f"{k}={v!r} must be True or False" for k, v in flags.items() if not isinstance(v, bool)]
    if wrong:
        raise InputError(*wrong)
    if hidden_cfg and not any(is_factory(layer) for layer in plan.layers):
        _warn_no_effect("hidden_cfg", "hidden_cls")


def build_part(name: str, cls: Any, cfg: Mapping[str, Any] | None) -> nn.Module:
    """Return the embedding or mask: built from a class, or the instance itself."""
    if isinstance(cls, nn.Module):
        if cfg:
            _warn_no_effect(f"{name}_cfg", f"{name}_cls")
        return cls
    try:
        built = cls(**dict(cfg or {}))
    except InputError as error:
        raise InputError(*(f"{name}_cls={name_of(cls)}: {m}" for m in error.mistakes)) from None
    except Exception as error:  # a fault in the class: its place is all that can be added
        error.add_note(f"{name}_cls={name_of(cls)}")
        raise
    if not isinstance(built, nn.Module):
        raise InputError(f"{name}_cls={name_of(cls)} built a {type(built).__name__}: expected a module")
    return built


def width_of(embedding: nn.Module, embedding_cfg: Mapping[str, Any] | None, plan: SlotPlan) -> int:
    """Return D: what the embedding says, or else what it or the hidden layers were configured with.

    Raises:
        InputError: nothing tells.
    """
    candidates = [
        getattr(embedding, "hidden_size", None),
        _setting(getattr(embedding, "config", None)),
        _setting(embedding_cfg),
        _setting(plan.hidden_cfg),
        *(_setting(getattr(layer, "config", None)) for layer in plan.layers),
    ]
    for size in candidates:
        if isinstance(size, int) and size > 0:
            return size
    raise InputError(
        f"embedding_cls={name_of(embedding)} does not tell its width: "
        "give it an integer attribute hidden_size"
    )


def path_in(module: nn.Module, value: Any) -> str | None:
    """Return the dotted name of a parameter, buffer or submodule of ``module``, or None."""
    named = (
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
        *module.named_modules(remove_duplicate=False),
    )
    return next((name for name, part in named if part is value and name), None)


def _setting(config: Any) -> Any:
    return config.get("hidden_size") if isinstance(config, Mapping) else None


def _part_mistakes(name: str, cls: Any, cfg: Any) -> list[str]:
    wrong = _cfg_mistakes(f"{name}_cfg", cfg)
    if isinstance(cls, nn.Module) or wrong:
        return wrong
    if not is_factory(cls):
        return [
            f"{name}_cls={cls!r} is of type {type(cls).__name__}: "
            "expected a module class, a functools.partial of one, or a module"
        ]
    if cls is TransformerEmbedding and cfg is None:
        return ["embedding_cfg=None: the default embedding needs vocab_size, hidden_size and max_seq_length"]
    return call_mistakes(f"{name}_cls", cls, cfg or {}, f"{name}_cfg")


def _cfg_mistakes(name: str, cfg: Any) -> list[str]:
    if cfg is None or isinstance(cfg, Mapping):
        return []
    return [f"{name}={cfg!r} is of type {type(cfg).__name__}: expected a dict of keyword arguments"]


def _size_mistakes(name: str, value: Any) -> list[str]:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return []
    return [f"{name}={value!r} must be an integer greater than 0"]


def _number_mistakes(number: Any, length: int, listed: bool) -> list[str]:
    wrong = _size_mistakes("num_hidden_instances", number)
    if listed and not wrong and number != length:
        wrong.append(
            f"num_hidden_instances={number}, but hidden_cls is a list of {length}: they must be equal"
        )
    return wrong


def _warn_no_effect(setting: str, instances: str) -> None:
    warnings.warn(f"{setting} has no effect: {instances} is already built", UserWarning, stacklevel=4)


def repeats(num_hidden_instances: Any) -> int:
    """Return how often a single layer is repeated; 1 for a wrong number, which is told elsewhere."""
    valid = isinstance(num_hidden_instances, int) and not isinstance(num_hidden_instances, bool)
    return max(1, num_hidden_instances) if valid else 1
