"""The tables of the bench ``search``: each seed, the whole in medians, and how the best loss fell."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from nas.bench.search_outcome import CLOCKS, Clock, Found, best, numbers, per_hour, reached, sooner

MARKS = (10, 20, 30, 45, 60, 90, 120, 180, 300, 600)
"""Seconds after which the best loss is shown."""
_Row = dict[str, Any]


def search_tables(results: dict[str, Any]) -> list[Table | str]:
    """Return the table of seeds, that of the best loss by time, and the medians in words."""
    rows = results["rows"]
    [names] = {tuple(name for name in row if name != "seed") for row in rows}
    ours, rival = names
    pairs = [(row[ours], row[rival]) for row in rows]
    return [
        _seeds(rows, ours, rival),
        *(_curves(pairs, names, clock) for clock in CLOCKS),
        *_words(pairs, ours, rival),
    ]


def _seeds(rows: Sequence[_Row], ours: str, rival: str) -> Table:
    table = Table(title="final loss of each side, and when we reach the script's", title_justify="left")
    headings = ("seed", f"{rival}: loss", "after", f"{ours}: loss", "there after", "times sooner (CPU)")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        a, b = row[ours], row[rival]
        goal = best(b)
        ratio = f"{_number(sooner(a, b))} ({_number(sooner(a, b, 'cpu'))})"
        table.add_row(
            str(row["seed"]), _number(goal, 4), _seconds(reached(b, goal)),
            _number(best(a), 4), _seconds(reached(a, goal)), ratio,
        )  # fmt: skip
    return table


def _curves(pairs: Sequence[tuple[Found, Found]], names: tuple[str, str], clock: Clock) -> Table:
    last = max(found[clock] for pair in pairs for found in pair)
    marks = [mark for mark in MARKS if mark < last * 1.05]
    what = "on the wall" if clock == "wall" else "of processor time for each core"
    table = Table(
        title=f"best loss after so many seconds {what} (median; - : no trial)", title_justify="left"
    )
    for heading in ("side", *map(str, marks)):
        table.add_column(heading, justify="right")
    for i, name in enumerate(names):
        values = [numbers(best(pair[i], mark, clock) for pair in pairs) for mark in marks]
        # a seed without any trial yet is worse than all others
        table.add_row(name, *(_number(_median(v, len(pairs)), 3) for v in values))
    return table


def _words(pairs: Sequence[tuple[Found, Found]], ours: str, rival: str) -> list[str]:
    lines = []
    for clock, what in zip(CLOCKS, ("wall", "processor time"), strict=True):
        with_imports = _spread([sooner(a, b, clock) for a, b in pairs])
        without = _spread([sooner(a, b, clock, imports=False) for a, b in pairs])
        of_all = _spread([_times(b[clock], reached(a, best(b), clock)) for a, b in pairs])
        evaluated = _spread([sooner(a, b, clock, of="evaluated") for a, b in pairs])
        lines.append(
            f"{ours} reaches the {rival}'s final loss {with_imports} times sooner than it did ({what}); "
            f"without imports {without}; of its whole budget {of_all}"
        )
        lines.append(f"evaluations of trials that are not at their end count, on both sides: {evaluated}")
        pace = _spread([per_hour(a, clock) / max(per_hour(b, clock), 1e-9) for a, b in pairs])
        each = (_spread([per_hour(pair[i], clock) for pair in pairs], ".0f") for i in (0, 1))
        lines.append(f"candidates an hour ({what}): {ours} {next(each)}, {rival} {next(each)}; {pace} times")
    began = (_spread([pair[i]["began"]["wall"] for pair in pairs]) for i in (0, 1))
    lines.append(f"seconds to the first trial: {ours} {next(began)}, {rival} {next(began)}")
    never = sum(reached(a, best(b)) is None for a, b in pairs)
    return [*lines, *([f"{never} of {len(pairs)} seeds: not reached within the budget"] if never else [])]


def _spread(values: Sequence[float | None], form: str = ".1f") -> str:
    """Return the median, with the least and the most."""
    there = numbers(values)
    if not there:
        return "-"
    show: Callable[[float], str] = lambda value: format(value, form)  # noqa: E731
    middle = show(statistics.median(there))
    return f"{middle} ({show(min(there))} to {show(max(there))})" if len(there) > 1 else middle


def _times(whole: float, part: float | None) -> float | None:
    return None if part is None else whole / max(part, 1e-9)


def _median(values: Sequence[float], seeds: int) -> float | None:
    """Return the median over seeds; missing ones are the worst, and None if the median is one of them."""
    ranked = sorted(values)
    return ranked[seeds // 2] if len(ranked) > seeds // 2 else None


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"
