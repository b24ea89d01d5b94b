"""A study as an earlier start left it: whether it asks the same question, and how wide its space was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna

from nas.errors import InputError
from nas.files import read_json
from nas.progress import say
from nas.search.question import Question
from nas.search.versions import move_on, name_of, newest

TOLD = "told"
"""The user attribute of Optuna's study that holds what it asks."""
SHOWN = 3
"""Differences from an earlier start that are told one by one."""


def told_before(question: Question, folder: Path, storage: optuna.storages.BaseStorage) -> dict[str, Any]:
    """Return what ``study.json`` or else the storage says, or nothing if its trials are gone.

    Raises:
        InputError: it tells of another question.
    """
    version = newest(storage, question.name)
    left = _left_in(folder / "study.json")
    if not version:
        _refuse_renamed(question.name, left, folder, storage)
        return {}
    study = storage.get_study_id_from_name(name_of(question.name, version))
    before = left or dict(storage.get_study_user_attrs(study).get(TOLD, {}))
    differences = question.differences(before) if before else []
    if differences:
        more = [f"and {len(differences) - SHOWN} more"] if len(differences) > SHOWN else []
        raise InputError(
            f"study={question.name!r} was made with {'; '.join([*differences[:SHOWN], *more])}: "
            "continue it as it was, or give another name with study=..."
        )
    return before


def _left_in(path: Path) -> dict[str, Any]:
    """Return what a file tells; nothing where there is none, or where it is broken: the storage knows too."""
    try:
        return dict(read_json(path)) if path.is_file() else {}
    except ValueError:
        return {}


def _refuse_renamed(
    name: str, left: dict[str, Any], folder: Path, storage: optuna.storages.BaseStorage
) -> None:
    """Keep the trials of a study whose folder got another name: a study that begins would overwrite them."""
    other = str(left.get("study", name))
    if other != name and newest(storage, other):
        raise InputError(
            f"study={name!r}: {folder} holds the study {other!r}: call the folder {other!r} again to "
            "continue it, or give another name with study=..."
        )


def space_version(
    question: Question, before: dict[str, Any], storage: optuna.storages.BaseStorage, others: int
) -> int:
    """Return the version of the space to go on with; if it has grown, the trials move on into a wider one.

    Raises:
        InputError: it has grown, while other supervisors search the one that it was.
    """
    name = question.name
    version = int(before.get("space_version") or max(newest(storage, name), 1))
    if not before or not question.regrown(before):
        return version
    if others:
        raise InputError(
            f"study={name!r} is searched by {others} other supervisor(s): its space can grow only while "
            "nobody else searches it"
        )
    move_on(storage, name, version, {p.name: p.distribution() for p in question.space.parameters()})
    for sentence in question.gained(before):
        say(f"{name}: {sentence}; its trials stay")
    return version + 1
