"""Numbers and lines as the user sees them."""

from __future__ import annotations

import sys

import pytest

from nas.progress import duration, output, quantity, say


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (950, "950"),
        (999.4, "999"),
        (999.9, "1k"),
        (1000, "1k"),
        (12_345, "12.3k"),
        (999_499, "999k"),
        (999_960, "1M"),
        (4_560_000, "4.56M"),
        (999_999_999, "1G"),
        (2.5e12, "2.5T"),
        (9.99e15, "9990T"),
        (-12_345, "-12.3k"),
        (0.125, "0.125"),
    ],
)
def test_quantity(value: float, text: str) -> None:
    assert quantity(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (45, "45 s"), (59.6, "1 min 0 s"), (190, "3 min 10 s"), (7500, "2 h 5 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_say_prints_a_line_to_stderr_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = "encoder.blocks ['attn'] [bold]x[/bold] " + "long " * 50
    say(line)
    printed = capsys.readouterr()
    assert printed.err == line + "\n"
    assert printed.out == ""


def test_a_closed_standard_output_is_written_to_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    output(120).print("a table")
