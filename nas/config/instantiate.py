"""Objects from configuration nodes whose targets were checked before, by Hydra's ``instantiate``."""

from __future__ import annotations

import importlib
import re
import traceback
from pathlib import Path
from typing import Any

from nas.errors import InputError


def instantiate_node(key: str, node: Any) -> Any:
    """Return what a node of plain values builds.

    Args:
        key: of the node, for errors.
        node: with ``_target_``; ``_partial_: true`` gives a `functools.partial`.

    Raises:
        InputError: a constructor refuses its arguments; the error comes out as it was raised.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise _placed(cause, key, str(error)) from None
        raise InputError(_told(key, error)) from error


def _told(key: str, error: Exception) -> str:
    """Return Hydra's words in one line: where, which class, and what it said."""
    words, _, place = str(error).partition("\nfull_key: ")
    where = ".".join(part for part in (key, place) if part)
    if located := re.match(r"Error locating target '([^']+)'", words):
        return f"{where}._target_={located[1]!r} cannot be imported: {_import_failure(error)}"
    first, *more = (line.rstrip(":") for line in words.splitlines())
    cause = error.__cause__
    if cause is None:
        return f"{where}: {': '.join([first, *more[:1]])}"
    noted = getattr(cause, "__notes__", ())  # which part of it was built
    return f"{where}: {noted[-1] if noted else first}: {_failure(cause)}"


def _import_failure(error: Exception) -> str:
    """Say what an import raised: Hydra wraps it twice."""
    wrapper = error.__cause__ or error
    return _failure(wrapper.__cause__ or wrapper)


def _failure(error: BaseException) -> str:
    """Return an error in one line, with its place."""
    words = next(iter(str(error).splitlines()), "")
    tells = isinstance(error, ImportError | SyntaxError)  # by its words alone
    return (words if tells else f"{type(error).__name__}: {words}") + _raised_at(error)


def _raised_at(error: BaseException) -> str:
    """Return the file and line that raised an error, those of the machinery between left out."""
    import hydra

    machinery = (str(Path(hydra.__file__).parent), str(Path(importlib.__file__).parent), "<")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(machinery)]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _placed(mistake: InputError, key: str, told: str) -> InputError:
    """Name the block that a config builds itself (a shared one); other parts name themselves."""
    _, _, place = told.partition("\nfull_key: blocks.")
    return InputError(*(f"{key}.blocks.{place}: {m}" for m in mistake.mistakes)) if place else mistake
