"""Architecture search and experiments on transformer encoders: the public API, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.config.build import Run, build
    from nas.costs.encoder import cost
    from nas.scaffold import EncoderScaffold

__version__ = "0.1.0"

__all__ = ["EncoderScaffold", "Run", "__version__", "build", "cost"]

_HOMES = {
    "EncoderScaffold": "nas.scaffold",
    "Run": "nas.config.build",
    "build": "nas.config.build",
    "cost": "nas.costs.encoder",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import nas`` alone loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
