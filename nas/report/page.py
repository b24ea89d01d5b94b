"""Templates filled in with automatic escaping; a page needs no network and no other file."""

from __future__ import annotations

import functools
import importlib.resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from nas.progress import duration
from nas.report import words
from nas.strip import ROLE_COLOURS


def render(template: str, **values: Any) -> str:
    """Fill in a template of this package; every value is escaped unless it is marked as markup."""
    return _environment().get_template(template).render(**values)


def shown_path(path: Path) -> str:
    """Write a path as the user would type it: relative where it lies below the working folder."""
    full, here = path.resolve(), Path.cwd().resolve()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        value=words.value_text,
        size=words.size_text,
        signed=words.signed_text,
        part=words.part_text,
        ratio=words.ratio_text,
        state=words.state_word,
        duration=lambda seconds: words.NONE if seconds is None else duration(seconds),
        picture=Markup,
    )
    environment.globals.update(role_colours=ROLE_COLOURS)
    return environment


def _source(name: str) -> str:
    return importlib.resources.files("nas.report").joinpath(name).read_text(encoding="utf-8")
