"""Recorded learning curves: where they are read from, and what their early values tell of the last ones."""

from __future__ import annotations

import importlib.resources
import json
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from nas.errors import InputError
from nas.search.correlation import spearman

Curves = list[dict[float, float]]
FILES = ("curves.json", "curves_late.json")
"""As `nas-search` recorded them: text, and recall, which comes late and where early ranks mislead."""


@dataclass(frozen=True)
class Recording:
    """Learning curves of many candidates, and in words how they came about."""

    question: str
    curves: Curves


def recordings(path: str | None) -> list[Recording]:
    """Return what a file holds.

    Args:
        path: of a JSON file; None: those that come along.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    if path is not None:
        return [_read(path, Path(path).expanduser())]
    return [_read(name, importlib.resources.files("nas.bench") / name) for name in FILES]


def agreement(curves: Curves) -> dict[float, float]:
    """Return how the ranks after each share of the budget agree with the last ones (Spearman)."""
    last = [curve[1.0] for curve in curves]
    return {
        share: spearman([curve[share] for curve in curves], last).value for share in curves[0] if share < 1
    }


def _read(name: str, file: Path | Traversable) -> Recording:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        curves = [dict(zip(told["shares"], curve, strict=True)) for curve in told["curves"]]
        if not curves:
            raise ValueError("it holds no curves")
        return Recording(str(told.get("question", name)), curves)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"bench.curves={name!r} cannot be read: {error}") from None
