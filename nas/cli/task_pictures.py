"""Example rows of the tasks as pictures: real rows, their tokens written as a reader reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nas.drawing.cells import cells, grid

COLUMNS = 32
_MAZE = {"wall": "#39454f", "start": "#2fb08a", "goal": "#e5733c", "way": "#9fd0ee", "other": "#ffffff"}


def picture(task: Any) -> str | None:
    """Return the picture of a task's example row; None for a task that has none of its own."""
    if task.name == "mlm":
        return _text_row(task)
    if not hasattr(task, "draw"):
        return None
    shown, answers = _row(task)
    name = f"an example row of {task.name}"
    if hasattr(task, "side"):
        return _grid(task, shown, answers, name)
    write = _writer(task)
    texts = ["" if token is None else write(token) for token in shown]
    told = {place: _answer_writer(task)(answer) for place, answer in answers.items()}
    return cells(name, texts, told, columns=min(COLUMNS, len(texts)))


def _row(task: Any) -> tuple[list[int | None], dict[int, int]]:
    """Return the tokens of a row of a validation draw, padding as None, and place to answer."""
    from nas.seeding import generator
    from nas.tasks.scoring import IGNORED

    rows = task.draw(generator(0, task.name, "picture"), 16, "val")
    best = int((rows.labels != IGNORED).sum(axis=1).argmax())
    if rows.mask is not None:
        best = int(rows.mask.sum(axis=1).argmax())
    tokens = [int(token) for token in rows.tokens[best]]
    real = [True] * len(tokens) if rows.mask is None else [bool(m) for m in rows.mask[best]]
    shown = [token if there else None for token, there in zip(tokens, real, strict=True)]
    while shown and shown[-1] is None:
        shown.pop()
    asked = zip(rows.asked[best], rows.labels[best], strict=True)
    return shown, {int(place): int(label) for place, label in asked if label != IGNORED}


def _writer(task: Any) -> Callable[[int], str]:
    """Return how a task's tokens are written: blanks empty, the mask as a question mark."""
    special: dict[int, str] = {}
    if task.name == "listops":
        special = dict(enumerate([*"0123456789", "MIN", "MAX", "MED", "SM", "]", "?"]))
    elif task.name == "cycle_nav":
        special = {0: "←", 1: "•", 2: "→"}
    elif task.name == "modular_arithmetic":
        special = {task.modulus: "+", task.modulus + 1: "−", task.modulus + 2: "×"}
    elif task.name == "mqar":
        special = {0: ""}
    elif task.name == "dyck":
        special = {number: f"{letter}(" for number, letter in enumerate("abcdefghijklmnop"[: task.mask // 2])}
    for attribute, text in (("blank", ""), ("filler", ""), ("copy", "▶"), ("mask", "?")):
        if isinstance(token := getattr(task, attribute, None), int):
            special[token] = text
    return lambda token: special.get(token, str(token))


def _answer_writer(task: Any) -> Callable[[int], str]:
    if task.name == "dyck":
        return lambda answer: f"){'abcdefghijklmnop'[answer % (task.mask // 2)]}"
    return lambda answer: str(answer - getattr(task, "first_answer", 0))


def _grid(task: Any, shown: Iterable[int | None], answers: dict[int, int], name: str) -> str:
    if hasattr(task, "rooms"):
        words = ["wall", "other", "start", "goal", "way", "other"]
        texts = [words[token or 0] for token in shown]
        return grid(name, texts, {p: words[a] for p, a in answers.items()}, task.side, _MAZE)
    texts = [str(token) if token else "" for token in shown]
    return grid(name, texts, {place: str(answer) for place, answer in answers.items()}, task.side)


def _text_row(task: Any) -> str:
    pieces = [piece.decode("latin-1").replace(" ", "␣") for piece in task.tokenizer.pieces()]
    batch = next(iter(task.batches("val", 1)))
    answers = {int(p): pieces[int(a)] for p, a in zip(batch.positions, batch.labels, strict=True)}
    tokens = [int(token) for token in batch.inputs["input_word_ids"][0]]
    texts = ["?" if place in answers else pieces[token] for place, token in enumerate(tokens)]
    return cells(f"an example row of {task.name}", texts, answers, columns=COLUMNS)
