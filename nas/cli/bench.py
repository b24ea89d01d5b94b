"""``nas-bench``: speed, measured against plain forms and public packages in one run."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.cli.app import DONE, import_torch, run_process
from nas.config.compose import Composed
from nas.progress import output, say


def main() -> None:
    """Run the command and exit; ``--json`` prints the results for other programs."""
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    action = bench_json if len(arguments) < len(sys.argv) - 1 else bench
    run_process("bench", action, with_name(arguments))


def with_name(arguments: Sequence[str]) -> list[str]:
    """Read a bare word in the first place as the bench: ``blocks`` is ``bench=blocks``."""
    given = list(arguments)
    place = 1 if given[:1] in (["-m"], ["--multirun"]) else 0
    first = given[place : place + 1]
    if first and first[0].isidentifier():
        given[place] = f"bench={first[0]}"
    return given


def bench(composed: Composed) -> int:
    """Measure, print tables and the path of the results."""
    made, results, path = _measure(composed)
    console = output(140)
    for part in made.tables(results):
        console.print(part)
    print(path)
    return DONE


def bench_json(composed: Composed) -> int:
    """Measure, and print the results as JSON."""
    _, results, _ = _measure(composed)
    print(json.dumps(results, indent=2))
    return DONE


def _measure(composed: Composed) -> tuple[Any, dict[str, Any], Path]:
    import_torch()
    from nas.config.instantiate import instantiate_node
    from nas.files import write_json
    from nas.provenance import provenance

    config = composed.values()
    made = instantiate_node("bench", config["bench"])
    source = provenance(config["seed"])
    measured = made.measure(config["seed"], say)
    results = {"bench": made.name, "settings": made.config, "provenance": source, **measured}
    folder = Path(config["paths"]["outputs"]).expanduser() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{made.name}-{source['created'].replace(':', '')[:17]}.json"
    write_json(path, results)
    return made, results, path
