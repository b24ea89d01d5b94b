"""What a run leaves: what somebody has edited is told in one line, and never trained upon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import InputError
from nas.train.result import FILE, RunResult, read_result

RESULT = RunResult("diverged", "mlm", {"val/loss": float("nan")}, "mha", "0a", 10, 2.0, 5.5, 3, 0.5, 0, "NaN")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    RESULT.write(tmp_path)
    found = read_result(tmp_path)
    assert found is not None
    assert found.metrics == {"val/loss": None}
    assert (found.status, found.parameters, found.reason) == ("diverged", 10, "NaN")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "finished"),
        ("metrics", 5),
        ("metrics", {"val/loss": "low"}),
        ("metrics", {"val/loss": True}),
        ("seconds", [1]),
        ("steps", "3"),
        ("architecture", None),
        ("reason", 7),
        ("nonsense", 1),
    ],
)
def test_a_file_that_was_edited_is_told(tmp_path: Path, field: str, value: Any) -> None:
    RESULT.write(tmp_path)
    path = tmp_path / FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(InputError) as caught:
        read_result(tmp_path)
    [mistake] = caught.value.mistakes
    assert mistake.startswith(f"{path} is damaged (")
    assert field in mistake
    assert "remove it to train again" in mistake
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="damaged"):
        read_result(tmp_path)
