"""The table of blocks in the documentation is what the code generates."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.block_table import TABLE, block_table

CONF = Path(__file__).resolve().parents[2] / "conf" / "block"
YAMLS = sorted(str(p.relative_to(CONF).with_suffix("")) for p in CONF.rglob("*.yaml"))


@pytest.mark.slow  # measures every block
def test_the_file_is_what_the_code_generates() -> None:
    table = block_table()
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(row.strip("|` ") for row in rows) == YAMLS
    assert TABLE.read_text(encoding="utf-8") == table, "run `python -m nas.cli.block_table`"


def test_a_line_tells_role_knobs_source_and_sizes() -> None:
    section = TABLE.read_text(encoding="utf-8").split("## feedforward")[1].split("##")[0]
    [line] = [line for line in section.splitlines() if line.startswith("| `feedforward/mlp` |")]
    for part in ("`ratio`", "`activation`", "[Vaswani et al. 2017](https://arxiv.org/abs/1706.03762)"):
        assert part in line
    assert line.endswith(f"| {2 * 64 * 256 + 2 * 64:,} | {2 * 2 * 64 * 256:,} |")
