"""The best trial as a configuration file that builds it again, whatever becomes of the sweep."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from nas.config.compose import Composed, compose
from nas.errors import InputError
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


def _defaults(composed: Composed) -> list[str | dict[str, str | None]]:
    own = _blocks(_preset(composed))
    blocks = {key: name for key, name in _blocks(composed.choices).items() if own.get(key) != name}
    added = [{f"/{key}": name} for key, name in blocks.items() if key not in own]
    chosen = {group: composed.choices[group] for group in GROUPS if composed.choices.get(group)}
    chosen |= {key: name for key, name in blocks.items() if key in own}
    # Hydra wants what is overridden after what is added.
    return [*added, *({f"override /{key}": name} for key, name in chosen.items()), "_self_"]


def _blocks(choices: dict[str, str | None]) -> dict[str, str | None]:
    return {key: name for key, name in choices.items() if "@" in key}


def _preset(composed: Composed) -> dict[str, str | None]:
    """Return the choices that the encoder's own file makes."""
    folders = [o for o in composed.overrides if o.startswith("hydra.searchpath=")]
    try:
        return compose("train", [f"encoder={composed.choices['encoder']}", *folders]).choices
    except InputError:  # it leaves keys to be filled in, as encoder=base does, whose pool is empty
        return {}
