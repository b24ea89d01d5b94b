"""The recorded answers to the questions of ``sweeps/``: read, drawn, and told in sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nas.drawing.intervals import Group, Line, intervals

FOLDER = "answers"


@dataclass(frozen=True)
class Answer:
    """One answer as a report shows it: the picture, and what became of each claim."""

    name: str
    text: str
    picture: str
    sentences: tuple[str, ...]


def recorded() -> list[dict[str, Any]]:
    """Return the packaged answers, by name; a file that is not whole is left out."""
    folder = resources.files("nas.sweeps") / FOLDER
    if not folder.is_dir():
        return []
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            try:
                found.append(json.loads(file.read_text(encoding="utf-8")))
            except ValueError:
                continue
    return found


def answers_for(name: str, overrides: Iterable[str]) -> list[Answer]:
    """Return the recorded answers to the question that a study asks, by its name or its sweep."""
    sweeps = {Path(o.partition("=")[2]).stem for o in overrides if o.startswith("sweep=")} | {name}
    return [shown(answer) for answer in recorded() if answer.get("question") in sweeps]


def shown(answer: Mapping[str, Any]) -> Answer:
    """Return an answer as a report shows it."""
    sentences = [f"{c['claim']}: {c['verdict']} ({c['told']})." for c in answer.get("claims", [])]
    return Answer(
        answer["question"],
        answer["text"],
        picture(answer),
        (*sentences, *winner_sentences(answer), _how(answer)),
    )


def picture(answer: Mapping[str, Any]) -> str:
    """Return the answer's dots and intervals as SVG."""
    if "winners" in answer:
        groups = [_on_task(answer, task) for task in answer["tasks"]]
    else:
        rows = [_line(f"{r['candidate']} (d {r['hidden_size']})", r) for r in answer["rows"]]
        groups = [Group(answer["metric"], rows, answer["chance"])]
    return intervals(f"{answer['question']}: {answer['text']}", groups)


def _on_task(answer: Mapping[str, Any], task: str) -> Group:
    cells = [(row, row["cells"][task]) for row in answer["winners"]]
    metric = cells[0][1]["metric"]
    lines = [_line(f"{row['task']}: {row['architecture']}", cell) for row, cell in cells]
    return Group(f"{task}: {metric} of the winner for ...", lines)


def _line(label: str, row: Mapping[str, Any]) -> Line:
    return Line(label, row["mean"], row["low"], row["high"], row["values"])


def winner_sentences(answer: Mapping[str, Any]) -> list[str]:
    """Say how many winners differ, and how many are the best on the task that they won."""
    if "winners" not in answer:
        return []
    rows = answer["winners"]
    best = {t: max(row["cells"][t]["mean"] for row in rows) for t in answer["tasks"]}
    at_home = [row["task"] for row in rows if row["cells"][row["task"]]["mean"] >= best[row["task"]]]
    return [
        f"{len({row['architecture'] for row in rows})} different winners for {len(rows)} tasks.",
        f"Trained anew with other seeds, {len(at_home)} of them are the best on the task that they won"
        + (f" ({', '.join(at_home)})." if at_home else "."),
    ]


def _how(answer: Mapping[str, Any]) -> str:
    rates = ", ".join(f"{rate:g}" for rate in answer["rates"])
    matched = ", hidden sizes such that all have the first one's parameters" if answer.get("matched") else ""
    searched = f"{answer['trials']} trials for each task; " if "trials" in answer else ""
    return (
        f"{searched}{answer['seeds']} seeds, 95 % intervals of Student's t; learning rates {rates}, "
        f"the best of each found on {answer['tuned_on']} of the seeds{matched}. "
        f"Recorded {answer['created'][:10]}."
    )
