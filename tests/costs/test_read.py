"""A configuration costs what the encoder costs that it builds: over every block and 200 random lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import nas
from nas.config.compose import compose
from nas.costs.encoder import cost
from nas.costs.measure import Counter, kept_storages, place
from nas.costs.read import build
from nas.errors import InputError
from nas.scaffold import EncoderScaffold

B, T = 1, 32  # what all rows of a batch share, a block's formula counts for one
PRESETS = Path(__file__).resolve().parents[2] / "conf" / "encoder"
Configure = Callable[..., dict[str, Any]]


def ids(batch: int = B) -> list[torch.Tensor]:
    return [torch.zeros(batch, T, dtype=torch.int64)]


def counted(encoder: EncoderScaffold) -> float:
    """Return what torch counts of one forward pass, for each token."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        encoder.eval()(ids())
    return counter.get_total_flops() / (B * T)


def counted_quickly(encoder: EncoderScaffold) -> float:
    """Count by the same formulas, but not by module: ten times as fast."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), Counter() as counter:
        encoder.eval()(ids())
    return counter.flops / (B * T)


def trained(encoder: EncoderScaffold, batch: int = B) -> tuple[float, int]:
    """Return the operations of a forward and a backward pass for each token, and the bytes kept between."""
    with sdpa_kernel(SDPBackend.MATH), kept_storages() as sizes, Counter() as counter:
        outputs = encoder(ids(batch))
        torch.autograd.backward(outputs, [torch.zeros_like(o) for o in outputs])
    weights = {place(t) for t in [*encoder.parameters(), *encoder.buffers()]}
    return counter.flops / (batch * T), sum(size for at, size in sizes.items() if at not in weights)


def agrees(
    config: dict[str, Any],
    unseen: Callable[[str], float],
    count: Callable[[EncoderScaffold], float],
    *,
    training: bool,
) -> None:
    """Check every figure of a configuration against the encoder that it builds."""
    told, encoder = cost(config, B, T), build(config, T, device="cpu")
    assert told == cost(encoder, B, T)
    assert told.parameters == sum(p.numel() for p in encoder.parameters())
    blind = sum(unseen(name) for name in config["hidden_cls"])
    assert told.flops_per_token - blind == pytest.approx(count(encoder), rel=0.02)
    if not training:
        return
    flops, kept = trained(encoder.train())
    assert told.activation_bytes == kept
    if not blind:
        assert told.training_flops_per_token == pytest.approx(flops, rel=0.02)


@pytest.fixture(scope="module")
def unseen(encoder_of: Configure, blind: frozenset[str]) -> Callable[[str], float]:
    """Return a function: what torch's counter does not see of a block, for each token."""
    known: dict[str, float] = {}

    def of(name: str) -> float:
        if name not in known:
            config = encoder_of(name)
            told = cost(config, B, T).flops_per_token
            known[name] = told - counted(build(config, T, device="cpu")) if name in blind else 0.0
        return known[name]

    return of


@pytest.mark.slow  # seconds
def test_every_block_alone_and_twice(
    encoder_of: Configure, blocks: list[str], unseen: Callable[[str], float]
) -> None:
    for name in blocks:
        agrees(encoder_of(name), unseen, counted, training=False)
        agrees(encoder_of(name, name, shared=(name,)), unseen, counted_quickly, training=True)


@pytest.mark.slow  # each is built as well
def test_200_random_encoders(
    random_encoders: Callable[[int], list[dict[str, Any]]], unseen: Callable[[str], float]
) -> None:
    for index, config in enumerate(random_encoders(200)):
        agrees(config, unseen, counted_quickly, training=index % 4 == 0)


def test_both_ways_to_count_agree(encoder_of: Configure) -> None:
    encoder = build(
        encoder_of("attention/mha", "mixing/conv", "mixing/ssm", "recursive/loop"), T, device="cpu"
    )
    assert counted_quickly(encoder) == counted(encoder) > 0


@pytest.mark.slow  # large batches
def test_memory_of_larger_batches(random_encoders: Callable[[int], list[dict[str, Any]]]) -> None:
    for config in random_encoders(10):
        encoder = build(config, T, device="cpu")
        assert cost(config, 3, T).activation_bytes == trained(encoder.train(), 3)[1]


@pytest.mark.slow  # every preset is built
@pytest.mark.parametrize("preset", sorted(p.stem for p in PRESETS.glob("*.yaml") if p.stem != "base"))
def test_every_preset(preset: str) -> None:
    run = nas.build([f"encoder={preset}", "task=mqar", "encoder.hidden_size=16"])
    size = {"batch": 2, "seq_length": run.task.seq_length}
    told = nas.cost(run.config["encoder"], **size, vocab_size=run.task.vocab_size)
    assert told == nas.cost(run.encoder, **size)
    assert told.parameters == sum(p.numel() for p in run.encoder.parameters())


def test_known_layers_are_not_built_again(
    random_encoders: Callable[[int], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = random_encoders(50)
    known = [cost(config, B, T) for config in configs]
    built: list[str] = []
    begin = nn.Module.__init__

    def note(module: nn.Module, *args: Any, **kwargs: Any) -> None:
        built.append(type(module).__name__)
        begin(module, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__init__", note)
    assert [cost(config, B, T) for config in configs] == known
    assert built == []


def test_omegaconf_is_taken_and_what_a_task_gives_is_asked_for() -> None:
    composed = compose("train", ["encoder=bert", "task=mqar"]).config.encoder
    told = cost(composed, 1, T, vocab_size=50)
    assert told == cost(OmegaConf.to_container(composed, resolve=True), 1, T, vocab_size=50)
    with pytest.raises(InputError, match="vocab_size=None is left to a task"):
        cost(composed, 1, T)


def test_a_list_whose_layers_know_their_place_is_built_as_a_whole(encoder_of: Configure) -> None:
    config = encoder_of("attention/mha", "recursive/repeat")
    inner = config["blocks"]["recursive/repeat"]["span"]
    for node in inner.values():
        node["_partial_"] = False  # one instance in every copy of the repeat
    config["hidden_cls"] = ["recursive/repeat", "recursive/repeat"]
    told = cost(config, B, T)
    assert told.parameters == sum(p.numel() for p in build(config, T, device="cpu").parameters())
    assert told.per_slot[1].parameters == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_cls": ["attention/mha", "nothing"]}, "encoder.hidden_cls.1='nothing' is not in"),
        ({"hidden_cls": []}, "at least one slot"),
        ({"_target_": "os.system"}, "'os.system' is not available"),
        ({"_target_": "nas.masks.PaddingMask"}, "takes no arguments|unexpected keyword"),
        ({"num_heads": 3}, "hidden_size=32 is not a multiple of num_heads=3"),
        ({"kernel_size": 3}, "hidden_cls.1.=MultiHeadAttention: .*kernel_size"),
    ],
)
def test_mistakes(encoder_of: Configure, change: dict[str, Any], message: str) -> None:
    config = encoder_of("none", "attention/mha")
    block = config["blocks"]["attention/mha"]
    block.update({k: v for k, v in change.items() if k in ("num_heads", "kernel_size")})
    config.update({k: v for k, v in change.items() if k not in ("num_heads", "kernel_size")})
    with pytest.raises(InputError, match=message):
        cost(config, B, T)


@pytest.mark.parametrize("target", ["os.system", "nas.files.os.system", "torch.load", "builtins.eval"])
def test_only_trusted_classes_are_built(encoder_of: Configure, target: str) -> None:
    config = encoder_of("attention/mha")
    config["blocks"]["attention/mha"] = {"_target_": target, "command": "true"}
    with pytest.raises(InputError):
        cost(config, B, T)


def test_no_configuration(encoder_of: Configure) -> None:
    for wrong in (3, None, [], {}, {"hidden_cls": ["mha"]}):
        with pytest.raises(InputError, match="must be an EncoderScaffold, or a configuration with _target_"):
            cost(wrong, B, T)
