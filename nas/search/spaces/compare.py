"""Two versions of a space: a study may gain choices, and nothing else may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Form = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What differs between an earlier space and a later one.

    Attributes:
        changed: a sentence for each key that no study can go on with.
        gained: a sentence for each key that has more choices now; the others have another order at most.
        regrown: whether some choices are not what they were, in whatever way.
    """

    changed: list[str]
    gained: list[str]
    regrown: bool


def compare(old: Mapping[str, Form], new: Mapping[str, Form]) -> Comparison:
    """Compare the forms of two spaces, as `Space.forms` returns them."""
    changed, gained, regrown = [], [], False
    for key in dict.fromkeys([*old, *new]):
        if key not in old or key not in new:
            changed.append(f"no space.{key}" if key not in old else f"space.{key}, which is gone")
            continue
        before, after = _choices(old[key]), _choices(new[key])
        others = dict.fromkeys([*old[key], *new[key]])
        others.pop("choices", None)
        differs = [
            f"space.{key}.{name}={old[key].get(name)!r}, now {new[key].get(name)!r}"
            for name in others
            if old[key].get(name) != new[key].get(name)
        ]
        lost = [choice for choice in before if choice not in after]
        if lost:
            differs.append(f"the choices {lost} of space.{key}, which are gone")
        elif bool(before) != bool(after):
            differs.append(f"space.{key} in another form")
        changed += differs
        if not differs and before != after:
            regrown = True
            more = [choice for choice in after if choice not in before]
            gained += [f"space.{key} has gained {more}"] if more else []
    return Comparison(changed, gained, regrown)


def _choices(form: Form) -> list[Any]:
    choices: list[Any] = form.get("choices", [])
    return choices
