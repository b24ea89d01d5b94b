"""``nas-show``: an encoder's slots, sharing, sizes and costs, without data and without training."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cli.app import DONE, WRONG_INPUT, Action, run_process
from nas.config.compose import Composed
from nas.errors import InputError
from nas.progress import output, quantity, say

if TYPE_CHECKING:
    from rich.table import Table

_NUMBERS = ("slot", "parameters", "share", "FLOPs/token", "of all")


def main() -> None:
    """Run the command and exit.

    ``--json`` prints the description for other programs; ``--svg FILE`` writes the drawing.
    """
    try:
        action, arguments = read_flags(sys.argv[1:])
    except InputError as error:
        say(f"error: {error}")
        sys.exit(WRONG_INPUT)
    run_process("train", action, arguments)


def read_flags(given: Sequence[str]) -> tuple[Action, list[str]]:
    """Return what the flags ask for, and the other arguments.

    Raises:
        InputError: ``--svg`` names no file.
    """
    rest, as_json, svg = [], False, None
    words = iter(given)
    for word in words:
        if word == "--json":
            as_json = True
        elif word == "--svg" or word.startswith("--svg="):
            svg = word.partition("=")[2] or (next(words, "") if word == "--svg" else "")
            if not svg or svg.startswith("-") or Path(svg).suffix != ".svg":
                raise InputError(f"--svg {svg} must name a file such as encoder.svg".replace("  ", " "))
        else:
            rest.append(word)

    def action(composed: Composed) -> int:
        if svg is not None and not (folder := Path(svg).expanduser().parent).is_dir():
            raise InputError(f"--svg {svg}: there is no folder {folder}")
        description = describe(composed)
        if as_json:
            print(json.dumps(description, indent=2))
        else:
            show_tree(description)
        if svg is not None:
            write_drawing(description, Path(svg))
        return DONE

    return action, rest


def show(composed: Composed) -> int:
    """Print the encoder as a tree with sizes."""
    return read_flags([])[0](composed)


def show_json(composed: Composed) -> int:
    """Print the encoder's description as JSON."""
    return read_flags(["--json"])[0](composed)


def describe(composed: Composed) -> dict[str, Any]:
    """Return the description of the configured encoder, built without memory for its weights."""
    import torch

    from nas.config.build import run_of

    with torch.device("meta"):
        run = run_of(composed)
    return run.description


def write_drawing(description: Mapping[str, Any], path: Path) -> None:
    """Write the drawing, and say where it is."""
    from nas.drawing.picture import drawing
    from nas.files import write_text

    path = path.expanduser().resolve()
    write_text(path, drawing(description))
    say(f"drawing: {path}")


def show_tree(description: Mapping[str, Any]) -> None:
    """Print every part in a line: those inside a block below it, with their sizes in one pass."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"{description['string']}   {description['hash']}"), title_justify="left")
    for heading in ("slot", "block", "role", "parameters", "share", "FLOPs/token", "of all", "notes"):
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    embedding = {**description["embedding"], "role": "embedding"}
    _add(table, description, "", embedding["label"], embedding)
    for index, slot in enumerate(description["slots"]):
        _add(table, description, str(index), slot["label"].partition("(")[0], slot)
        for guide, block in _inside(slot):
            _add(table, {}, "", guide + block["label"].partition("(")[0], block)
    _add(table, description, "", "pooler", description["pooler"])
    table.add_section()
    _add(table, description, "", "total", description)
    training, kept = description["training_flops_per_token"], description["activation_bytes"]
    caption = f"training: {quantity(training)} FLOPs per token, {quantity(kept)}B of activations a sequence"
    table.caption = Text(caption)
    output(120).print(table)


def _inside(slot: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the blocks inside a block from top to bottom, each with the branches of the tree before it."""
    inner = slot.get("inner") or []
    for index, block in enumerate(inner):
        last = index == len(inner) - 1
        yield before + ("└─ " if last else "├─ "), block
        yield from _inside(block, before + ("   " if last else "│  "))


def _add(table: Table, whole: Mapping[str, Any], place: str, name: str, part: Mapping[str, Any]) -> None:
    """Add one line; ``whole`` is what its shares are of."""
    from rich.text import Text

    cells = [place, name, str(part.get("role", ""))]
    for key in ("parameters", "flops_per_token"):
        value, total = part.get(key), whole.get(key)
        cells.append("" if value is None else quantity(value))
        cells.append("" if value is None or not total else f"{100 * value / total:.0f} %")
    table.add_row(*map(Text, [*cells, _notes(part)]))


def _notes(part: Mapping[str, Any]) -> str:
    notes = []
    if part.get("num_loops", 1) > 1:
        notes.append(f"runs {part['num_loops']} times")
    if part.get("layout") == "parallel":
        notes.append("side by side")
    if part.get("recursive"):
        notes.append(f"state: {', '.join(part['state_kinds'])}")
    if part.get("shared_with") is not None:
        notes.append(f"shares slot {part['shared_with']}" if "recursive" in part else "shared")
    return ", ".join(notes)
