"""The plots of a study: its history, value against size, and learning curves (inline SVG)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nas.progress import quantity
from nas.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Plot, scale
from nas.report.compare import SIMILAR, Comparison
from nas.report.found import Curve, Study, Trial
from nas.report.marks import mark, told, without_outliers

_LANES = (
    ("repeated", "repeated"),
    ("PRUNED", "pruned"),
    ("PAUSED", "paused"),
    ("RUNNING", "running"),
    ("FAIL", "failed"),
)
_LANE = 15.0
_MOST_POINTS = 200


def history(study: Study) -> str:
    """Return value against trial number with the best so far; trials without a value of their own below."""
    trials = sorted(study.measured, key=lambda trial: trial.number)
    if not trials:
        return ""
    lanes = [(name, found) for state, name in _LANES if (found := _in_lane(study, state))]
    numbers = [float(trial.number) for trial in study.trials]
    x = scale(numbers, LEFT, WIDTH - RIGHT)
    shown = without_outliers([trial.value or 0.0 for trial in trials], study.minimize)
    y = scale(shown, HEIGHT - BOTTOM, TOP)
    height = HEIGHT + _LANE * len(lanes) + (12 if lanes else 0)
    plot = Plot(
        "History", "value of every finished trial in order, with the best so far", x, y,
        "trial", study.objective, height,
    )  # fmt: skip
    marks = []
    for trial in trials:
        px, py, value = x(trial.number), y(trial.value or 0.0), trial.value or 0.0
        outside = not y.low <= value <= y.high
        marks.append(mark("up" if outside else "dot", px, py, "done", told(trial, outside)))
    marks.append(f'<path class="best" d="{_best_path(trials, plot, study.minimize)}"/>')
    for lane, (name, found) in enumerate(lanes):
        level = HEIGHT + 10 + _LANE * lane
        marks.append(f'<text class="tick" x="{LEFT - 8}" y="{level + 4}" text-anchor="end">{name}</text>')
        marks.extend(mark("cross", x(trial.number), level, name, told(trial)) for trial in found)
    return plot.svg(marks)


def size_scatter(study: Study, comparison: Comparison) -> str:
    """Return value against parameters: the winner, those it is compared with, and the best at each size."""
    trials = [trial for trial in study.measured if trial.parameters is not None]
    if len(trials) < 2:
        return ""
    sizes = [trial.parameters or 0.0 for trial in trials]
    log = min(sizes) > 0 and max(sizes) / min(sizes) > 4
    x = scale(sizes, LEFT, WIDTH - RIGHT, log=log)
    y = scale(
        without_outliers([trial.value or 0.0 for trial in trials], study.minimize), HEIGHT - BOTTOM, TOP
    )
    title = "parameters (log scale)" if log else "parameters"
    plot = Plot("Value against parameters", "one mark for a trial", x, y, title, study.objective)
    marks = []
    winner = comparison.winner
    if winner.parameters is not None:
        low, high = x(winner.parameters * (1 - SIMILAR)), x(winner.parameters * (1 + SIMILAR))
        marks.append(
            f'<rect class="band" x="{low:.1f}" y="{TOP}" width="{high - low:.1f}" '
            f'height="{y.start - TOP:.1f}"/>'
        )
    marks.append(f'<path class="front" d="{_front_path(trials, plot, study.minimize)}"/>')
    for trial in trials:
        px, py = x(trial.parameters or 0.0), y(trial.value or 0.0)
        marks.append(mark("dot", px, py, "done", told(trial)))
    for name, shape in (("largest", "square"), ("median trial", "diamond"), ("best of similar size", "ring")):
        row = comparison.find(name)
        if row is not None and row.trial.parameters is not None:
            marks.append(
                mark(shape, x(row.trial.parameters), y(row.value), "named", f"{name}: {told(row.trial)}")
            )
    if winner.parameters is not None:
        marks.append(
            mark("star", x(winner.parameters), y(winner.value or 0.0), "winner", f"winner: {told(winner)}")
        )
    return plot.svg(marks, x_text=quantity)


def learning_curves(curves: Mapping[str, Curve], y_title: str) -> str:
    """Return one line for each trial over steps; the first one given is drawn in front."""
    shown = {name: _thinned(curve) for name, curve in curves.items() if curve}
    if not shown:
        return ""
    points = [point for curve in shown.values() for point in curve]
    x = scale([step for step, _ in points], LEFT, WIDTH - RIGHT)
    values = [value for _, value in points]
    y = scale(values, HEIGHT - BOTTOM, TOP)
    plot = Plot("Learning curves", f"{y_title} over steps, {len(shown)} trials", x, y, "step", y_title)
    marks = []
    for rank, (name, curve) in reversed(list(enumerate(shown.items()))):
        kind = "curve first" if rank == 0 else "curve"
        path = "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in curve)
        dots = "".join(
            f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="{3 if rank == 0 else 2}"/>'
            for step, value in curve
        )
        marks.append(
            f'<g class="{kind}"><title>{escape(name)}</title><path d="M{path}"/>'
            f"{dots if len(curve) <= 40 else ''}</g>"
        )
    return plot.svg(marks)


def _in_lane(study: Study, state: str) -> list[Trial]:
    if state == "repeated":
        return [trial for trial in study.trials if trial.state == "COMPLETE" and not trial.measured]
    return [trial for trial in study.trials if trial.state == state]


def _best_path(trials: Sequence[Trial], plot: Plot, minimize: bool) -> str:
    better = min if minimize else max
    best = trials[0].value or 0.0
    path = f"M{plot.x(trials[0].number):.1f} {plot.y(best):.1f}"
    for trial in trials[1:]:
        now = better(best, trial.value or 0.0)
        if now != best:
            best = now
            path += f"H{plot.x(trial.number):.1f}V{plot.y(best):.1f}"
    return f"{path}H{plot.x.end:.1f}"


def _front_path(trials: Sequence[Trial], plot: Plot, minimize: bool) -> str:
    """Return the best value at each size or below, from the smallest trial on."""
    sign = 1 if minimize else -1
    path, best = "", 0.0
    for trial in sorted(trials, key=lambda t: (t.parameters or 0.0, sign * (t.value or 0.0))):
        value = trial.value or 0.0
        if not path:
            path = f"M{plot.x(trial.parameters or 0.0):.1f} {plot.y(value):.1f}"
        elif sign * value < sign * best:
            path += f"H{plot.x(trial.parameters or 0.0):.1f}V{plot.y(value):.1f}"
        else:
            continue
        best = value
    return f"{path}H{plot.x.end:.1f}"


def _thinned(curve: Curve) -> Curve:
    """Return at most about two hundred points of a curve, its last one always."""
    every = -(-len(curve) // _MOST_POINTS)
    kept = curve[::every]
    return kept if kept[-1] == curve[-1] else [*kept, curve[-1]]
