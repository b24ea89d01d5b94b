"""``nas-show``: an encoder's slots, sharing, sizes and costs, without data and without training."""

from __future__ import annotations

import json
import sys
from typing import Any

from nas.cli.app import DONE, run_process
from nas.config.compose import Composed
from nas.progress import quantity


def main() -> None:
    """Run the command and exit; ``--json`` prints the description for other programs."""
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    action = show_json if len(arguments) < len(sys.argv) - 1 else show
    run_process("train", action, arguments)


def show(composed: Composed) -> int:
    """Print the encoder as a table."""
    from rich.console import Console
    from rich.table import Table

    description = describe(composed)
    table = Table(title=f"{description['string']}   {description['hash']}", title_justify="left")
    for heading in ("slot", "block", "role", "parameters", "share", "FLOPs/token", "notes"):
        table.add_column(heading, justify="right" if heading in ("slot", "parameters", "share") else "left")
    total = max(description["parameters"], 1)
    table.add_row("", description["embedding"]["label"], "embedding", *_size(description["embedding"], total))
    for index, slot in enumerate(description["slots"]):
        cost = (*_size(slot, total), quantity(slot["flops_per_token"]), _notes(slot))
        table.add_row(str(index), slot["label"], slot["role"], *cost)
    table.add_row("", "pooler", "pooler", *_size(description["pooler"], total))
    table.add_section()
    flops = quantity(description["flops_per_token"])
    table.add_row("", "", "total", quantity(description["parameters"]), "100 %", flops)
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    return DONE


def show_json(composed: Composed) -> int:
    """Print the encoder's description as JSON."""
    print(json.dumps(describe(composed), indent=2))
    return DONE


def describe(composed: Composed) -> dict[str, Any]:
    """Return the description of the configured encoder, built without memory for its weights."""
    import torch

    from nas.config.build import Run

    with torch.device("meta"):
        run = Run(composed)
    return run.description


def _size(part: dict[str, Any], total: int) -> tuple[str, str]:
    return quantity(part["parameters"]), f"{part['parameters'] / total:.0%}"


def _notes(slot: dict[str, Any]) -> str:
    notes = ["recursive"] if slot["recursive"] else []
    if slot["shared_with"] is not None:
        notes.append(f"shares slot {slot['shared_with']}")
    return ", ".join(notes)
