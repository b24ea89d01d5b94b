"""The forms in which YAML describes a space, read into parameters and lists of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

from nas.errors import InputError, nearest
from nas.search.spaces.conditions import Below, Condition, Repeats, both
from nas.search.spaces.literals import Scalar, carried, nested_in
from nas.search.spaces.parameters import Choice, Parameter, Range
from nas.search.spaces.slots import Slots

Entry = Slots | Parameter

_FORMS = (
    "a list of choices, {choices: [...], weights: [...]}, {slots: n, choices: [...]}, "
    "{pattern: n, repeat: m, choices: [...]} or {low: a, high: b, log: true, step: s}"
)
_CHOICE = ("choices", "weights", "when")
_LIST = ("slots", "pattern", "repeat", "tie", *_CHOICE)
_RANGE = ("low", "high", "log", "step", "when")
_MARKS = {"choices", "low", "high", "slots", "pattern"}
"""A mapping with one of these is a form; any other holds keys further down."""


def flatten(described: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested keys with dots, down to the forms: ``{optimizer: {lr: ...}}`` is ``optimizer.lr``."""
    flat: dict[str, Any] = {}
    for key, form in described.items():
        name = f"{prefix}{key}"
        if isinstance(form, dict) and form and not form.keys() & _MARKS:
            flat.update(flatten(form, f"{name}."))
        else:
            flat[name] = form
    return flat


def read_entry(key: str, form: Any) -> Entry:
    """Read one key's form, but for its ``when``.

    Raises:
        InputError: the form is wrong.
    """
    if isinstance(form, list):
        return _choice(key, key, form)
    if not isinstance(form, dict):
        raise InputError(f"space.{key}={form!r} must be {_FORMS}")
    is_list, is_choice = bool(form.keys() & {"slots", "pattern"}), "choices" in form
    allowed = _LIST if is_list else (*_CHOICE, "slots", "pattern") if is_choice else _RANGE
    unknown = [
        f"space.{key}.{k} is not a key of this form{nearest(k, allowed)}" for k in form if k not in allowed
    ]
    if unknown:
        raise InputError(*unknown)
    if is_list:
        return _slots(key, form)
    return _choice(key, key, form["choices"], form.get("weights")) if is_choice else _range(key, key, form)


def _slots(key: str, form: dict[str, Any]) -> Slots:
    """Read a list of blocks: its slots, or a pattern that is tiled."""
    pattern = "pattern" in form
    if pattern and ("repeat" in form) == ("slots" in form):
        raise InputError(
            f"space.{key}: pattern={form['pattern']!r} needs repeat (how often it is tiled) "
            "or slots (to how many), one of them"
        )
    if not pattern and "repeat" in form:
        raise InputError(
            f"space.{key}: repeat={form['repeat']!r} needs pattern, the number of slots it tiles"
        )
    counted = "pattern" if pattern else "slots"
    length = _count(key, counted, f"{key}.length", form[counted])
    first = _choice(key, key, form.get("choices"), form.get("weights"), in_list=True)
    most = length if isinstance(length, int) else int(max(length.probes()))  # type: ignore[type-var,arg-type]
    least = length if isinstance(length, int) else int(min(length.probes()))  # type: ignore[type-var,arg-type]
    items = []
    for i in range(most):
        condition: Condition | None = None
        if i >= least:
            assert not isinstance(length, int)
            condition = Below(length, i)
        items.append(replace(first, name=f"{key}.{i}", condition=condition))
    slots = Slots(
        key=key,
        items=tuple(items),
        length=None if isinstance(length, int) else length,
        repeat=_count(key, "repeat", f"{key}.repeat", form.get("repeat", 1)),
        total=_count(key, "slots", f"{key}.slots", form["slots"]) if pattern and "slots" in form else None,
        tie=_tie(key, form),
    )
    if isinstance(slots.tie, Choice):
        return replace(slots, tie=replace(slots.tie, condition=Repeats(slots)))
    return slots


def _count(key: str, what: str, name: str, given: Any) -> int | Parameter:
    """Read a number of slots or repetitions: fixed, a list of choices, or a range."""
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return given
    rule = (
        f"space.{key}.{what}={given!r} must be a whole number of at least 1, a list of such, or {{low, high}}"
    )
    if isinstance(given, list) and given and all(type(n) is int and n >= 1 for n in given):
        return _choice(f"{key}.{what}", name, given)
    if not isinstance(given, dict) or not given.keys() <= {"low", "high", "step"}:
        raise InputError(rule)
    found = _range(f"{key}.{what}", name, given)
    if not found.integer or found.low < 1:
        raise InputError(rule)
    return found


def _tie(key: str, form: dict[str, Any]) -> Choice | bool | None:
    given = form.get("tie")
    if isinstance(given, bool | None):
        return given
    if given in ([False, True], [True, False]):
        return Choice(f"{key}.tie", tuple(given))
    raise InputError(f"space.{key}.tie={given!r} must be true, false or [false, true]")


def with_condition(entry: Entry, condition: Condition | None) -> Entry:
    """Return an entry whose parameters are asked for only where a condition is met as well."""
    if condition is None:
        return entry
    if not isinstance(entry, Slots):
        return replace(entry, condition=both(condition, entry.condition))

    def also(part: Any) -> Any:
        is_parameter = isinstance(part, Choice | Range)
        return replace(part, condition=both(condition, part.condition)) if is_parameter else part

    return replace(
        entry,
        items=tuple(also(item) for item in entry.items),
        length=also(entry.length),
        repeat=also(entry.repeat),
        total=also(entry.total),
        tie=also(entry.tie),
    )


def _choice(key: str, name: str, choices: Any, weights: Any = None, in_list: bool = False) -> Choice:
    if not isinstance(choices, list) or not choices:
        raise InputError(f"space.{key}: choices={choices!r} must be a list with at least one value")
    wrong = [c for c in choices if not (_is_choice(c) or (in_list and _is_span(c)))]
    if wrong:
        or_span = ", or {span: [blocks], repeat: n}" if in_list else ""
        raise InputError(
            f"space.{key}: {wrong[0]!r} cannot be a choice: use a name, number, text, null or list{or_span}"
        )
    values = tuple(carried(c) for c in choices)
    if len(set(values)) < len(values):  # 1 and true are one: Optuna could not tell them apart
        raise InputError(f"space.{key}: choices={choices!r} names a value twice")
    return Choice(name, values, _weights(key, weights, len(values)))


def _is_choice(choice: Any) -> bool:
    if isinstance(choice, str):
        return nested_in(choice) is None
    return isinstance(choice, Scalar | list) and choice != []


def _is_span(choice: Any) -> bool:
    if not isinstance(choice, dict) or not choice.keys() <= {"span", "repeat"}:
        return False
    span, repeat = choice.get("span"), choice.get("repeat", 2)
    named = isinstance(span, list) and bool(span) and all(isinstance(name, str) for name in span)
    return named and type(repeat) is int and repeat >= 1


def _weights(key: str, weights: Any, count: int) -> tuple[float, ...] | None:
    if weights is None:
        return None
    fitting = isinstance(weights, list) and len(weights) == count and all(map(_is_number, weights))
    if not fitting or min(weights) <= 0:
        raise InputError(
            f"space.{key}: weights={weights!r} must be {count} positive numbers, one for each choice"
        )
    return tuple(weight / sum(weights) for weight in weights)


def _range(key: str, name: str, form: dict[str, Any]) -> Range:
    low, high, step = form.get("low"), form.get("high"), form.get("step")
    log = form.get("log", False)
    numbers = [n for n in (low, high, *([] if step is None else [step])) if _is_number(n)]
    if len(numbers) < (2 if step is None else 3) or not isinstance(log, bool):
        told = {k: v for k, v in form.items() if k != "when"}
        raise InputError(
            f"space.{key}={told!r} must be {{low: number, high: number, log: true or false, step: number}}"
        )
    assert low is not None
    assert high is not None
    if low >= high:
        raise InputError(f"space.{key}: low={low!r} must be less than high={high!r}")
    if log and (low <= 0 or step is not None):
        raise InputError(f"space.{key}: log needs low > 0 and no step (low={low!r}, step={step!r})")
    if step is not None and step <= 0:
        raise InputError(f"space.{key}: step={step!r} must be greater than 0")
    integer = all(isinstance(n, int) for n in numbers)
    if step is not None:
        high = _last_step(low, high, step)
    return Range(name, low, int(high) if integer else high, log, step, integer)


def _last_step(low: float, high: float, step: float) -> float:
    """Return the largest value of the range that whole steps reach; decimals, because 0.3 is not 3 * 0.1."""
    start, end, stride = (Decimal(str(n)) for n in (low, high, step))
    return float(start + (end - start) // stride * stride)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def form_of(entry: Entry, when: str | None) -> dict[str, Any]:
    """Return an entry as data that tells two spaces apart; weights are left out, as they forbid nothing."""
    form: dict[str, Any] = {}
    if isinstance(entry, Slots):
        form = {"choices": list(entry.items[0].choices), "slots": len(entry.items)}
        parts = {"length": entry.length, "repeat": entry.repeat, "total": entry.total, "tie": entry.tie}
        for name, part in parts.items():
            form[name] = form_of(part, None) if isinstance(part, Choice | Range) else part
    elif isinstance(entry, Choice):
        form = {"choices": list(entry.choices)}
    else:
        form = {key: getattr(entry, key) for key in ("low", "high", "log", "step")}
    if when is not None:
        form["when"] = when
    loaded: dict[str, Any] = json.loads(json.dumps(form))
    return loaded
