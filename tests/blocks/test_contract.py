"""Every block's contract: each YAML in conf/block joins by itself, alone and, if recursive, in a pair."""

from __future__ import annotations

import inspect
import math
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas.blocks.base import Block
from nas.masks import PaddingMask, SelfAttentionMask

CONF = Path(__file__).resolve().parents[2] / "conf"
YAMLS = sorted(str(p.relative_to(CONF / "block").with_suffix("")) for p in (CONF / "block").rglob("*.yaml"))
ENCODER = {
    "hidden_size": 32,
    "num_heads": 4,
    "composition": OmegaConf.load(CONF / "encoder" / "base.yaml").composition,
}
LONGEST = 300
TOKENS = 12
BLIND = {"mixing/fourier", "mixing/hartley"}
"""Blocks whose work torch's counter does not see: it has no rule for Fourier transforms."""
PARTLY_BLIND = {"mixing/dynamic_conv", "mixing/long_conv"}
"""The same for a part of their work, which their own tests count: element-wise filters, transforms."""
BEFORE = {"recursive/skip_add": "recursive/skip_save"}
"""What has to stand before a block for it to do anything."""
AS_THE_ORIGINAL = {"padding_takes_places"}
"""Arguments that reproduce numbers in which padding does reach real tokens."""


class Chain(nn.Module):
    """Blocks one after another, the state handed on: how a scaffold runs them."""

    def __init__(self, *blocks: Block) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        state = None
        for block in self.blocks:
            if block.recursive:
                data, state = block(data, attention_mask, state)
            else:
                data = block(data, attention_mask)
        return data


@cache
def nodes() -> dict[str, dict[str, Any]]:
    """Return every block's configuration: in one composition they take a tenth of the time."""
    added = [f"+block@blocks.b{i}={yaml}" for i, yaml in enumerate(YAMLS)]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = OmegaConf.create({"encoder": ENCODER, **compose(overrides=added)})
    blocks: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)["blocks"]
    return {yaml: blocks[f"b{i}"] for i, yaml in enumerate(YAMLS)}


def node(yaml: str) -> dict[str, Any]:
    return nodes()[yaml]


@cache
def class_of(yaml: str) -> type[Block]:
    return get_class(OmegaConf.load(CONF / "block" / f"{yaml}.yaml")._target_)


def make(yaml: str, **changes: Any) -> Block:
    made = instantiate(node(yaml))
    if "max_seq_length" in node(yaml):  # null in the YAML: a scaffold tells a block the embedding's
        changes = {"max_seq_length": LONGEST, **changes}
    return made(**changes) if node(yaml)["_partial_"] else made


def build(case: str, **changes: Any) -> Chain:
    """Build the block of ``case``; ``x2`` after the name makes a pair, told about its states."""
    torch.manual_seed(0)
    chain = _chain(case, **changes)
    with torch.no_grad():  # a weight that starts at 0 (ReZero, LayerScale) hides what it multiplies
        for parameter in chain.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return chain


def _chain(case: str, **changes: Any) -> Chain:
    yaml = case.removesuffix(" x2")
    tells = "has_state" in node(yaml)
    pair: list[dict[str, Any]] = [{"has_state": False}, {"has_state": True}] if tells else [{}, {}]
    blocks = [make(yaml, **changes, **given) for given in (pair if " x2" in case else [{}])]
    before = [make(BEFORE[yaml]) for _ in blocks] if yaml in BEFORE else []
    return Chain(*before, *blocks)


def is_recursive(yaml: str) -> bool:
    """Return whether a block takes a state; a wrapper does if a block inside does."""
    if isinstance(class_of(yaml).recursive, bool):
        return class_of(yaml).recursive
    with torch.device("meta"):
        return make(yaml).recursive


RECURSIVE = {yaml for yaml in YAMLS if is_recursive(yaml)}
CASES = YAMLS + [f"{yaml} x2" for yaml in YAMLS if yaml in RECURSIVE]


def learns(chain: Chain) -> bool:
    return any(True for _ in chain.parameters())


def batch(tokens: int = TOKENS, rows: int = 3) -> Tensor:
    return torch.randn(rows, tokens, ENCODER["hidden_size"], generator=torch.Generator().manual_seed(1))


def padding(tokens: int = TOKENS, rows: int = 3) -> Tensor:
    """Row 0 is full; each next row has more padding, at its end, and row 2 at its start as well."""
    mask = torch.ones(rows, tokens)
    for row in range(1, rows):
        mask[row, tokens - 2 * row :] = 0
    mask[-1, 0] = 0
    return mask


def masks_of(mask: Tensor, data: Tensor) -> dict[str, Tensor]:
    square = SelfAttentionMask()(data, mask)
    return {"BT": mask, "bool": PaddingMask()(data, mask), "BTT": square, "copied": square.contiguous()}


def close(actual: Tensor, expected: Tensor, tolerance: float = 2e-5, told: str = "") -> None:
    def message(found: str) -> str:
        return f"{told}: {found}" if told else found

    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance, msg=message)


def hints(cls: type) -> dict[str, Any]:
    """Return the annotation of every argument that ``cls`` takes, inherited ones included."""
    found: dict[str, Any] = {}
    for parent in reversed(cls.__mro__):
        if "__init__" in vars(parent) and issubclass(parent, Block):
            found |= get_type_hints(parent.__init__)
    return {name: found[name] for name in inspect.signature(cls).parameters}


def variations(yaml: str) -> list[dict[str, Any]]:
    """Return every other choice that the constructor's annotations offer, one at a time."""
    changes: list[dict[str, Any]] = []
    for name, hint in hints(class_of(yaml)).items():
        if name not in node(yaml) or name == "has_state" or name in AS_THE_ORIGINAL:
            continue
        if get_origin(hint) is Literal:
            changes += [{name: choice} for choice in get_args(hint) if choice != node(yaml)[name]]
        elif hint is bool:
            changes.append({name: not node(yaml)[name]})
    changes += [{"num_kv_heads": n} for n in (1, 2) if "num_kv_heads" in node(yaml)]
    changes += [{"window": n} for n in (1, 3) if "window" in node(yaml)]
    return changes + [{"reuse_heads": n} for n in (0, 3) if "reuse_heads" in node(yaml)]


def counted_flops(chain: Chain, data: Tensor, mask: Tensor) -> float:
    """Count per token, with attention in plain products: the CPU's fused kernel is not counted."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        chain(data, mask)
    return counter.get_total_flops() / mask.numel()


@pytest.mark.parametrize("yaml", YAMLS)
def test_yaml_lists_every_argument_with_its_type(yaml: str) -> None:
    settings = {k: v for k, v in node(yaml).items() if k not in ("_target_", "_partial_")}
    parameters = inspect.signature(class_of(yaml)).parameters
    assert set(settings) == set(parameters)
    for name, parameter in parameters.items():
        default = parameter.default
        if default is not inspect.Parameter.empty:
            assert type(settings[name]) is type(default), name
    assert (CONF / "block" / f"{yaml}.yaml").read_text().startswith("# ")


@pytest.mark.parametrize("yaml", YAMLS)
def test_place_name_and_config(yaml: str) -> None:
    block = make(yaml)
    assert type(block).__module__.startswith("nas.blocks.")
    assert yaml.split("/")[0] == block.role
    assert re.fullmatch(r"\w+(\(.*\))?", block.label)
    assert type(block)(**block.config).label == block.label


@pytest.mark.parametrize("case", CASES)
def test_shape_and_dtype_at_any_length(case: str) -> None:
    chain = build(case)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        chain = chain.to(dtype)
        for tokens in (TOKENS, 63, 64, 300, 1):
            data = batch(tokens).to(dtype)
            out = chain(data, torch.ones(3, tokens))
            assert out.shape == data.shape
            assert out.dtype == dtype
            assert out.isfinite().all(), (tokens, dtype)


@pytest.mark.parametrize("case", CASES)
def test_padding_never_reaches_real_tokens(case: str) -> None:
    chain = build(case).eval()
    for tokens in (TOKENS, 300):
        data, mask = batch(tokens), padding(tokens)
        changed = torch.where(mask[..., None] == 1, data, 50 * torch.randn_like(data))
        expected = chain(data, mask)
        for name, form in masks_of(mask, data).items():
            close(chain(data, form), expected, told=f"{tokens} tokens, mask {name}")
            close(
                chain(changed, form)[mask == 1],
                expected[mask == 1],
                told=f"{tokens} tokens, mask {name}, other padding",
            )


@pytest.mark.parametrize("case", CASES)
def test_no_mask_means_all_real(case: str) -> None:
    chain, data = build(case).eval(), batch()
    for form in masks_of(torch.ones(3, TOKENS), data).values():
        close(chain(data), chain(data, form))


@pytest.mark.parametrize("case", CASES)
def test_rows_of_padding_stay_finite(case: str) -> None:
    chain = build(case)
    for tokens in (TOKENS, 300):
        data = batch(tokens).requires_grad_()
        mask = padding(tokens)
        mask[1] = 0
        for name, form in masks_of(mask, data).items():
            for dtype in (torch.float32, torch.bfloat16):
                with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
                    out = chain(data, form)
                (gradient,) = torch.autograd.grad(out.sum(), data)
                assert out.isfinite().all(), (tokens, name, dtype)
                assert gradient.isfinite().all(), (tokens, name, dtype)


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_gets_a_gradient(case: str) -> None:
    chain, data = build(case), batch()
    if learns(chain):
        (chain(data, padding()) * torch.randn_like(data)).sum().backward()
    for name, parameter in chain.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("case", CASES)
def test_batch_entries_are_independent(case: str) -> None:
    chain, data, mask = build(case).eval(), batch(), padding()
    together = chain(data, mask)
    for row in range(3):
        close(chain(data[row : row + 1], mask[row : row + 1])[0], together[row])


@pytest.mark.parametrize("case", CASES)
def test_dropout_is_for_training_and_evaluation_is_deterministic(case: str) -> None:
    rates = [name for name in node(case.removesuffix(" x2")) if "dropout" in name]
    data, mask = batch(), padding()
    plain = build(case).eval()(data, mask)
    for name in rates:
        chain = build(case, **{name: 0.5})
        assert not torch.equal(chain(data, mask), chain(data, mask)), name
        close(chain.eval()(data, mask), plain)
        assert torch.equal(chain(data, mask), chain(data, mask))


@pytest.mark.parametrize("case", CASES)
def test_predicted_flops_are_the_counted_ones(case: str) -> None:
    chain = build(case).eval()
    for tokens in (32, 63, 300):
        data = batch(tokens, rows=1)
        predicted = sum(block.flops_per_token(tokens) for block in chain.blocks)
        counted = counted_flops(chain, data, torch.ones(1, tokens))
        if case in BLIND | PARTLY_BLIND:
            assert (counted == 0) == (case in BLIND), tokens
            assert predicted >= max(counted, 1), tokens
        else:
            assert predicted == pytest.approx(counted, rel=0.02), tokens


@pytest.mark.parametrize("case", CASES)
def test_bf16_autocast_is_near_float32(case: str) -> None:
    chain, data, mask = build(case), batch(), padding()
    with torch.autocast("cpu", torch.bfloat16):
        out = chain(data, mask)
    assert out.dtype == torch.float32
    close(out, chain(data, mask), tolerance=0.05)
    if learns(chain):
        out.sum().backward()
    assert all(p.grad.isfinite().all() for p in chain.parameters())


@pytest.mark.parametrize("yaml", YAMLS)
def test_every_choice_keeps_the_contract(yaml: str) -> None:
    data, mask = batch(70), padding(70)
    changed = torch.where(mask[..., None] == 1, data, 50 * torch.randn_like(data))
    for change in variations(yaml):
        chain = build(f"{yaml} x2" if yaml in RECURSIVE else yaml, **change)
        out = chain(data, mask)
        with torch.autocast("cpu", torch.bfloat16):
            close(chain(data, mask), out, tolerance=0.1)
        close(chain(changed, mask)[mask == 1], out[mask == 1])
        if learns(chain):
            (out * torch.randn_like(out)).sum().backward()
        for name, parameter in chain.named_parameters():
            assert parameter.grad is not None, (change, name)
            assert parameter.grad.any(), (change, name)
        predicted = sum(block.flops_per_token(70) for block in chain.blocks)
        counted = counted_flops(chain, data[:1], mask[:1])
        assert yaml in BLIND | PARTLY_BLIND or predicted == pytest.approx(counted, rel=0.02), change


@pytest.mark.slow  # a graph for each block: minutes in all
@pytest.mark.parametrize("case", CASES)
def test_compiles_in_one_graph(case: str) -> None:
    torch._dynamo.reset()
    chain, data, mask = build(case), batch(70), padding(70)
    compiled = torch.compile(chain, backend="eager", fullgraph=True)
    for form in (mask, SelfAttentionMask()(data, mask)):
        close(compiled(data, form), chain(data, form))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_exports_for_any_batch_and_length(case: str) -> None:
    chain, data, mask = build(case).eval(), batch(70), padding(70)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", min=2)}
    exported = torch.export.export(chain, (data, mask), dynamic_shapes=(sizes, sizes), strict=False).module()
    close(exported(data, mask), chain(data, mask))
    shorter, its_mask = batch(17, rows=2), padding(17, rows=2)
    close(exported(shorter, its_mask), chain(shorter, its_mask))


@pytest.mark.parametrize("yaml", [y for y in YAMLS if "causal" in inspect.signature(class_of(y)).parameters])
def test_causal_leaks_nothing_from_later_tokens(yaml: str) -> None:
    chain = build(yaml, causal=True).eval()
    data, mask = batch(70), torch.ones(3, 70)
    changed = torch.cat([data[:, :40], 50 * torch.randn_like(data[:, 40:])], dim=1)
    close(chain(changed, mask)[:, :40], chain(data, mask)[:, :40])
    assert not torch.allclose(build(yaml)(changed, mask)[:, :40], build(yaml)(data, mask)[:, :40])


@pytest.mark.parametrize("case", CASES)
def test_runs_on_the_meta_device(case: str) -> None:
    with torch.device("meta"):
        chain = _chain(case)
        out = chain(torch.empty(2, TOKENS, 32), torch.ones(2, TOKENS))
    assert out.shape == (2, TOKENS, 32)


def test_fourier_cost_is_the_customary_count() -> None:
    assert make("mixing/fourier").flops_per_token(64) == 5 * 32 * math.log2(64 * 32)
