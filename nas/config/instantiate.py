"""Objects from configuration nodes whose targets were checked before, by Hydra's ``instantiate``."""

from __future__ import annotations

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
    first, *more = (line.rstrip(":") for line in words.splitlines())
    return f"{'.'.join(part for part in (key, place) if part)}: {': '.join([first, *more[:1]])}"


def _placed(mistake: InputError, key: str, told: str) -> InputError:
    """Name the block that a config builds itself (a shared one); other parts name themselves."""
    _, _, place = told.partition("\nfull_key: blocks.")
    return InputError(*(f"{key}.blocks.{place}: {m}" for m in mistake.mistakes)) if place else mistake
