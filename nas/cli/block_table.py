"""The table of all blocks in ``nas/blocks/README.md``: ``python -m nas.cli.block_table`` writes it anew."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_args

WIDTH, TOKENS = 64, 64
TABLE = Path(__file__).resolve().parents[1] / "blocks" / "README.md"
_COMMAND = "python -m nas.cli.block_table"
_NO_KNOBS = ("defaults", "_target_", "_partial_", "hidden_size", "num_heads", "num_attention_heads", "span")
_PAPER = re.compile(r"((?:[A-Z][\w-]+)(?: et al\.| and [A-Z][\w-]+)? \d{4})[ ,(]*arXiv (\d{4}\.\d{4,5})")
_MOST_PAPERS = 2

_HEAD = f"""# Blocks

<!-- Made by `{_COMMAND}` from conf/block and the classes: do not edit. -->

Every YAML file in `conf/block` names one block with its settings; `nas.blocks` holds the classes.
Parameters and forward FLOPs per token are those of the file as it is, with hidden size {WIDTH}, 4 heads and
T = {TOKENS} (2 FLOPs for a multiply-add; norms and additions are not counted). Knobs are its settings
besides the sizes of the encoder. Blocks made of one mixer also have the knobs of the composition:
{{composition}}.
"""


def block_table() -> str:
    """Return the table as Markdown, a section for each role."""
    from nas.blocks.base import Role

    encoder = _encoder_with_everything()
    composition = ", ".join(f"`{key}`" for key in encoder["composition"])
    parts = [_HEAD.format(composition=composition)]
    for role in get_args(Role):
        names = [name for name in encoder["blocks"] if name.split("/")[0] == role]
        parts.append(f"## {role}\n\n{_section(names, encoder)}")
    return "\n".join(parts)


def main() -> None:
    """Write the table."""
    TABLE.write_text(block_table(), encoding="utf-8")
    print(TABLE)


def _section(names: list[str], encoder: Mapping[str, Any]) -> str:
    from nas.costs.encoder import cost

    lines = ["| block | what it is | knobs | source | parameters | FLOPs |", "|---|---|---|---|--:|--:|"]
    for name in names:
        node = encoder["blocks"][name]
        alone = {**encoder, "blocks": {name: node}, "hidden_cls": [name]}
        [slot] = cost(alone, 1, TOKENS, vocab_size=2).per_slot
        sizes = f"{slot.parameters:,} | {slot.flops_per_token:,.0f}"
        what, knobs = _told_by_file(name, node, encoder["composition"])
        lines.append(f"| `{name}` | {what} | {knobs} | {papers(node['_target_'])} | {sizes} |")
    return "\n".join([*lines, ""])


def _told_by_file(name: str, node: Mapping[str, Any], composition: Mapping[str, Any]) -> tuple[str, str]:
    """Return a file's first comment, and the settings that are not those of every block."""
    import yaml

    text = (resources.files("nas.conf") / "block" / f"{name}.yaml").read_text(encoding="utf-8")
    what = text.splitlines()[0].removeprefix("# ").rstrip(".").replace("|", "\\\\|")
    own = yaml.safe_load(text)
    common = set(composition) - ({"position"} if name.startswith("attention/") else set())
    knobs = [f"`{k}`" for k in node if k not in _NO_KNOBS and (k in own or k not in common)]
    return what, " ".join(knobs) or "–"


def papers(target: str) -> str:
    """Return the papers that a class's docstring names first."""
    from nas.scaffold_config import resolve

    text = " ".join((inspect.getdoc(resolve(target)) or "").partition("Args:")[0].split())
    found = _PAPER.findall(text)[:_MOST_PAPERS]
    links = [f"[{who}](https://arxiv.org/abs/{number})" for who, number in found]
    return ", ".join(links) or ("Model Garden" if "Model Garden" in text else "–")


def _encoder_with_everything() -> dict[str, Any]:
    """Return an encoder's configuration whose pool holds every block under the name of its file."""
    from hydra import compose
    from omegaconf import OmegaConf

    from nas.config.groups import hydra_loaded

    names = sorted(_names())
    added = [f"+block@encoder.blocks.block{i}={name}" for i, name in enumerate(names)]
    with hydra_loaded():
        composed = compose("train", ["encoder=hybrid", f"encoder.hidden_size={WIDTH}", *added])
    encoder: dict[str, Any] = OmegaConf.to_container(composed.encoder, resolve=True)  # type: ignore[assignment]
    return {**encoder, "blocks": {name: encoder["blocks"][f"block{i}"] for i, name in enumerate(names)}}


def _names() -> Iterator[str]:
    folder = resources.files("nas.conf") / "block"
    for entry in folder.iterdir():
        if entry.name.endswith(".yaml"):
            yield entry.name.removesuffix(".yaml")
        elif entry.is_dir():
            files = (f.name for f in entry.iterdir() if f.name.endswith(".yaml"))
            yield from (f"{entry.name}/{name.removesuffix('.yaml')}" for name in files)


if __name__ == "__main__":
    main()
