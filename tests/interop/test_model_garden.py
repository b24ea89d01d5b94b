"""What `build` makes computes what the Model Garden's class computes: every output, and gradients."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.interop.model_garden import build

ROOT = Path(__file__).resolve().parents[2]
COPIED = ROOT / "tests" / "reference"
SHARED = ROOT.parent / "shared" / "reference"
LOOSE = {"kernel_causal_window": 5e-5, "mobilebert_nonorm": 1e-4}
"""Tolerances other than 1e-5: what the original's float32 can be trusted to. MobileBERT's values reach 51,
and its attention multiplies rounding: the same in float64 is 3 times 1e-5 away from its float32."""


@cache
def cases(folder: Path) -> dict[str, Any]:
    manifest = folder / "manifest.json"
    return json.loads(manifest.read_text())["cases"] if manifest.is_file() else {}


def arrays(folder: Path, file: str) -> dict[str, np.ndarray]:
    npz = folder / "npz" / file if folder == SHARED else folder / file
    return dict(np.load(npz)) if npz.is_file() else {}


def named(folder: Path) -> list[Any]:
    """Return the cases of a folder as parameters; one that skips where the folder is not."""
    given = [
        pytest.param(folder, name, id=name if folder == SHARED else f"copied_{name}")
        for name in cases(folder)
    ]
    return given or [pytest.param(folder, "", marks=pytest.mark.skip("../shared is not beside this clone"))]


def inputs_of(case: dict[str, Any], stored: dict[str, np.ndarray]) -> list[Tensor]:
    return [torch.from_numpy(stored[f"inputs/{key}"]) for key in case["input_order"]]


def by_name(returned: Any, prefix: str = "outputs") -> dict[str, Tensor]:
    """Flatten what a module returned to the names of the npz file."""
    if isinstance(returned, Tensor):
        return {prefix: returned}
    items = returned.items() if isinstance(returned, dict) else enumerate(returned)
    return {name: t for key, value in items for name, t in by_name(value, f"{prefix}/{key}").items()}


def outputs_of(case: dict[str, Any], returned: Any) -> dict[str, Tensor]:
    """Return a module's outputs under the names of the npz file, whatever form the flags ask for."""
    if case["kind"] == "layer" or isinstance(returned, dict):
        return by_name(returned)
    sequence, pooled = returned
    both = {"sequence_output": sequence, "pooled_output": pooled}
    if isinstance(sequence, list):
        both = {"sequence_output": sequence[-1], "pooled_output": pooled, "encoder_outputs": sequence}
    return by_name(both)


def same_structure(returned: Any, documented: Any) -> bool:
    if isinstance(returned, Tensor):
        return bool(list(returned.shape) == documented)
    if isinstance(returned, dict):
        both = returned.keys() == documented.keys()
        return both and all(same_structure(returned[key], documented[key]) for key in returned)
    return len(returned) == len(documented) and all(map(same_structure, returned, documented))


def close(ours: Tensor | None, expected: np.ndarray, what: str, tolerance: float) -> None:
    assert ours is not None, what
    wanted = torch.as_tensor(expected)
    assert ours.shape == wanted.shape, what
    torch.testing.assert_close(
        ours.to(wanted.dtype), wanted, atol=tolerance, rtol=tolerance, msg=lambda m: f"{what}: {m}"
    )


@pytest.mark.parametrize(("folder", "name"), named(COPIED) + named(SHARED))
def test_outputs_are_the_original_s(folder: Path, name: str) -> None:
    case = cases(folder)[name]
    stored = arrays(folder, f"{name}.npz")
    module = build(case, stored)
    assert not module.training
    with torch.no_grad():
        returned = module(inputs_of(case, stored))
    assert same_structure(returned, case["returned_structure"])
    ours = outputs_of(case, returned)
    wanted = {key for key in stored if key.startswith("outputs")}
    if case["kind"] == "layer" or "encoder_outputs" in case["returned_structure"]:
        assert ours.keys() >= wanted
    compared = wanted & ours.keys()
    assert compared
    for key in compared:
        if not (name.startswith("eps_") and "encoder_outputs" in key):
            close(ours[key], stored[key], f"{name} {key}", LOOSE.get(name, 1e-5))


def with_gradients(folder: Path) -> list[Any]:
    return [p for p in named(folder) if arrays(folder, f"{p.values[1]}.grads.npz")]


@pytest.mark.parametrize(("folder", "name"), with_gradients(COPIED) + with_gradients(SHARED))
def test_gradients_are_the_original_s(folder: Path, name: str) -> None:
    case = cases(folder)[name]
    stored, grads = arrays(folder, f"{name}.npz"), arrays(folder, f"{name}.grads.npz")
    module = build(case, stored)
    ours = outputs_of(case, module(inputs_of(case, stored)))
    seeds = ("sequence_output", "pooled_output")
    weighted = [(ours[f"outputs/{s}"] * torch.from_numpy(grads[f"seed/{s}"])).sum() for s in seeds]
    loss = torch.stack(weighted).sum()
    loss.backward()
    close(loss.detach(), grads["loss"], f"{name} loss", 1e-4)
    gradients = {key.removeprefix("grads/"): grads[key] for key in grads if key.startswith("grads/")}
    extras = {key: stored[key] for key in stored if key.startswith("extras/")}
    expected: nn.Module = build(case, gradients, extras)
    parameters = dict(module.named_parameters())
    for key, gradient in expected.named_parameters():
        wanted = gradient.detach().numpy()
        close(parameters[key].grad, wanted, f"{name} gradient of {key}", 1e-4)
