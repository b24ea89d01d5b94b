"""The best trial as a configuration file that builds it again, whatever becomes of the sweep."""

from __future__ import annotations

import functools
import shlex
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
    if composed.config.checkpoint is not None:
        content |= {key: composed.config[key] for key in ("checkpoint", "transfer")}
    header = f"# @package _global_\n# {title}\n# {command(str(path), composed)}\n"
    write_text(path, header + OmegaConf.to_yaml(OmegaConf.create(content)))


def command(experiment: str, composed: Composed) -> str:
    """Return the command line that trains an experiment again, with where its blocks come from."""
    given = [*_places(composed), f"experiment={experiment}"]
    return shlex.join(["nas-train", *given])


def prepare(composed: Composed) -> None:
    """Compose what `write_experiment` needs to know of ``composed``'s presets, while there is time."""
    _defaults(composed)


def _defaults(composed: Composed) -> list[str | dict[str, str | None]]:
    return list(_defaults_of(tuple(composed.choices.items()), _places(composed)))


def _places(composed: Composed) -> tuple[str, ...]:
    """Return the overrides that say where choices and classes of the user's are."""
    return tuple(o for o in composed.overrides if o.startswith(("hydra.searchpath=", "trusted_targets=")))


@functools.lru_cache(maxsize=64)
def _defaults_of(
    choices: tuple[tuple[str, str | None], ...], places: tuple[str, ...]
) -> tuple[str | dict[str, str | None], ...]:
    """Compose the preset twice to see what was chosen beside it: 0.4 s, once for the same choices."""
    made = dict(choices)
    blocks = _blocks(made)
    preset = _blocks(_choices(made["encoder"], places))
    pool = {key: name for key, name in blocks.items() if key not in preset and key.count(".") == 2}
    # what stands inside the blocks that were added
    inside = _blocks(_choices(made["encoder"], places, pool)) if pool else preset
    added = [{f"/{key}": name} for key, name in blocks.items() if key in pool or key not in inside]
    chosen = {group: made[group] for group in GROUPS if made.get(group)}
    chosen |= {key: name for key, name in blocks.items() if key not in pool and inside.get(key, name) != name}
    # Hydra wants what is overridden after what is added.
    return (*added, *({f"override /{key}": name} for key, name in chosen.items()), "_self_")


def _blocks(choices: dict[str, str | None]) -> dict[str, str | None]:
    """Return the blocks of the pool and those inside them, such as ``block@encoder.blocks.ffn``."""
    return {key: name for key, name in choices.items() if key.startswith("block@")}


def _choices(
    encoder: str | None, places: tuple[str, ...], added: dict[str, str | None] | None = None
) -> dict[str, str | None]:
    """Return the choices that the encoder's own file makes, with blocks added to its pool."""
    more = [f"+{key}={name}" for key, name in (added or {}).items()]
    try:
        return compose("train", [f"encoder={encoder}", *more, *places]).choices
    except InputError:  # it leaves keys to be filled in, as encoder=base does, whose pool is empty
        return added or {}
