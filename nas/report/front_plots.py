"""The plots of a front: one objective against another, and the hypervolume over the trials."""

from __future__ import annotations

from nas.progress import quantity
from nas.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Plot, scale, short
from nas.report.found import Objective, Study, Trial
from nas.report.front import Front, complete
from nas.report.marks import mark, told, without_outliers


def fronts(study: Study, front: Front) -> list[tuple[Objective, str]]:
    """Return the first objective against each other one, with the other one's name."""
    first, *others = study.objectives
    return [(other, _against(study, front, first, other)) for other in others]


def _against(study: Study, front: Front, first: Objective, other: Objective) -> str:
    trials = [trial for trial in study.measured if complete(study, trial)]
    across = [trial.values[other.name] for trial in trials]
    log = min(across) > 0 and max(across) / min(across) > 4
    x = scale(without_outliers(across, other.minimize), LEFT, WIDTH - RIGHT, log=log)
    up = [trial.values[first.name] for trial in trials]
    y = scale(without_outliers(up, first.minimize), HEIGHT - BOTTOM, TOP)
    title = f"{other.name} (log scale)" if log else other.name
    plot = Plot(f"{first.name} against {other.name}", "one mark for a trial", x, y, title, first.name)
    at = {t.number: (x(t.values[other.name]), y(t.values[first.name])) for t in trials}
    members = {trial.number for trial in front.members}
    marks = [f'<path class="front" d="{_stairs(front, plot, first, other)}"/>']
    for trial in trials:
        if trial.number not in members:
            outside = not (
                x.low <= trial.values[other.name] <= x.high and y.low <= trial.values[first.name] <= y.high
            )
            marks.append(mark("up" if outside else "dot", *at[trial.number], "done", told(trial, outside)))
    for trial in front.members:
        if trial.number != front.knee.number:
            marks.append(mark("large", *at[trial.number], "member", f"front: {told(trial)}"))
    marks.append(mark("star", *at[front.knee.number], "winner", f"knee: {told(front.knee)}"))
    return plot.svg(marks, x_text=quantity if max(across) >= 1000 else short)


def _stairs(front: Front, plot: Plot, first: Objective, other: Objective) -> str:
    """Return the edge of what the members dominate, as these two objectives show it."""
    members = sorted(
        front.members, key=lambda t: (other.sign * t.values[other.name], first.sign * _of(t, first))
    )
    path, best = "", 0.0
    for trial in members:
        x, y = plot.x(trial.values[other.name]), plot.y(_of(trial, first))
        if not path:
            path = f"M{x:.1f} {y:.1f}"
        elif first.sign * _of(trial, first) < best:
            path += f"H{x:.1f}V{y:.1f}"
        else:
            continue
        best = first.sign * _of(trial, first)
    return f"{path}H{plot.x.end if other.minimize else plot.x.start:.1f}"


def _of(trial: Trial, objective: Objective) -> float:
    return trial.values[objective.name]


def growth(front: Front) -> str:
    """Return the hypervolume over the trials; it says how much more a longer search might find."""
    if len(front.growth) < 2:
        return ""
    x = scale([number for number, _ in front.growth], LEFT, WIDTH - RIGHT)
    y = scale([0.0, *(share for _, share in front.growth)], HEIGHT - BOTTOM, TOP)
    plot = Plot("Hypervolume", "of the front after each trial", x, y, "trial", "share of the box")
    first, level = front.growth[0]
    path = f"M{x(first):.1f} {y(level):.1f}"
    marks = []
    for number, share in front.growth:
        if share != level:
            path += f"H{x(number):.1f}V{y(share):.1f}"
            marks.append(mark("dot", x(number), y(share), "done", f"trial {number:.0f} · {share:.1%}"))
        level = share
    return plot.svg([f'<path class="best" d="{path}H{x.end:.1f}"/>', *marks])
