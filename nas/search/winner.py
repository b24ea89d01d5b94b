"""The best trial as a configuration file that builds it again, whatever becomes of the sweep."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from nas.config.compose import Composed
from nas.files import write_text

GROUPS = (
    "encoder", "embedding", "mask", "task", "corpus", "tokenizer", "optimizer", "schedule", "trainer",
)  # fmt: skip
"""What decides a result; where files go and who is told is the next user's own."""


def write_experiment(path: Path, composed: Composed, title: str) -> None:
    """Write ``composed`` as a file for ``nas-train experiment=<path>``.

    Groups are chosen as they were, and every value is written out on top of them, interpolations
    kept: so ``encoder.hidden_size=128`` still reaches every block.
    """
    content = {"defaults": _defaults(composed), "seed": composed.config.seed}
    content |= {group: composed.config[group] for group in GROUPS}
    header = f"# @package _global_\n# {title}\n# nas-train experiment={path}\n"
    write_text(path, header + OmegaConf.to_yaml(OmegaConf.create(content)))


def _defaults(composed: Composed) -> list[dict[str, str | None]]:
    chosen: list[dict[str, str | None]] = [
        {f"override /{group}": composed.choices[group]} for group in GROUPS if composed.choices.get(group)
    ]
    for override in composed.overrides:  # blocks that the command line put into the pool
        key, _, name = override.lstrip("+").partition("=")
        if "@" in key:
            keyword = "" if override.startswith("+") else "override "
            chosen.append({f"{keyword}/{key.lstrip('/')}": name})
    return [*chosen, "_self_"]  # type: ignore[list-item]
