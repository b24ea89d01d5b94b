"""Fixtures and settings that every test shares."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis.internal.conjecture import providers

# Hypothesis reads the source of all our modules for constants to try: 13 s of a default run, in each worker.
if hasattr(providers, "_get_local_constants"):
    providers._get_local_constants = lambda: providers._local_constants

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small products are faster on one thread, and results do not depend on the machine's cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference cases and texts beside the project; tests that need it skip without."""
    folder = ROOT.parent / "shared"
    if not (folder / "reference" / "manifest.json").is_file():
        pytest.skip("../shared (reference cases, texts) is not beside this clone")
    return folder
