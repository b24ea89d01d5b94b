"""A search space: which configuration keys vary, compiled from YAML to typed parameters."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import optuna

from nas.errors import InputError, nearest

Scalar = None | bool | int | float | str
_FORMS = (
    "a list of choices, {choices: [...]}, {slots: n, choices: [...]} or {low: a, high: b, log: true, step: s}"
)


@dataclass(frozen=True)
class Choice:
    """One of several values; lists are carried as JSON text, because Optuna takes only scalars."""

    name: str
    choices: tuple[Scalar, ...]

    def suggest(self, trial: optuna.trial.BaseTrial) -> Scalar:
        """Return the trial's value."""
        value: Scalar = trial.suggest_categorical(self.name, self.choices)
        return value

    def size(self) -> float:
        """Return the number of values."""
        return len(self.choices)

    def __str__(self) -> str:
        return f"one of {list(self.choices)}"


@dataclass(frozen=True)
class Range:
    """A number between two others, both included."""

    name: str
    low: float
    high: float
    log: bool
    step: float | None
    integer: bool

    def suggest(self, trial: optuna.trial.BaseTrial) -> float:
        """Return the trial's value."""
        if self.integer:
            step = int(self.step or 1)
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log, step=step)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log, step=self.step)

    def size(self) -> float:
        """Return the number of values; infinite for a continuous one."""
        step = self.step or (1 if self.integer else 0)
        return math.floor((self.high - self.low) / step + 1e-9) + 1 if step else math.inf

    def __str__(self) -> str:
        kind = "whole number" if self.integer else "number"
        extra = ", log" if self.log else f", step {self.step:g}" if self.step else ""
        return f"{kind} from {self.low:g} to {self.high:g}{extra}"


Parameter = Choice | Range


@dataclass(frozen=True)
class Slots:
    """A list of which every item is a parameter."""

    key: str
    items: tuple[Choice, ...]


class Space:
    """The keys of a sweep's ``space`` as parameters with stable names.

    Args:
        described: key to its form, as in YAML.

    Raises:
        InputError: one sentence for each key whose form is wrong.
    """

    def __init__(self, described: dict[str, Any]) -> None:
        mistakes: list[str] = []
        self.entries: list[Slots | Parameter] = []
        if not described:
            mistakes.append(
                "space={} is empty: name at least one key, such as optimizer.lr: {low: 1e-4, high: 1e-2}"
            )
        for key, form in flatten(described).items():
            try:
                self.entries.append(_compile(key, form))
            except InputError as error:
                mistakes.extend(error.mistakes)
        if mistakes:
            raise InputError(*mistakes)

    def parameters(self) -> list[Parameter]:
        """Return every parameter, those of slots included."""
        return [p for e in self.entries for p in (e.items if isinstance(e, Slots) else (e,))]

    def overrides(self, trial: optuna.trial.BaseTrial) -> list[str]:
        """Return the trial's values as Hydra overrides: the trial's identity."""
        return self.render(lambda parameter: parameter.suggest(trial))

    def render(self, value_of: Callable[[Parameter], Scalar]) -> list[str]:
        """Return overrides for the values that ``value_of`` gives."""
        return [render_entry(entry, value_of) for entry in self.entries]

    def size(self) -> float:
        """Return the number of configurations; infinite if a parameter is continuous."""
        return math.prod(p.size() for p in self.parameters())

    def discrete_size(self) -> float:
        """Return the number of configurations without the continuous parameters."""
        return math.prod(p.size() for p in self.parameters() if p.size() < math.inf)

    def describe(self) -> dict[str, str]:
        """Return key to its values, in words."""
        words = {}
        for entry in self.entries:
            if isinstance(entry, Slots):
                words[entry.key] = f"{len(entry.items)} slots, each {entry.items[0]}"
            else:
                words[entry.name] = str(entry)
        return words


def render_entry(entry: Slots | Parameter, value_of: Callable[[Parameter], Scalar]) -> str:
    """Return the override that one entry of a space stands for; a list is one override."""
    if isinstance(entry, Slots):
        return f"{entry.key}=[{','.join(literal(value_of(item)) for item in entry.items)}]"
    return f"{entry.name}={literal(value_of(entry))}"


def flatten(described: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested keys with dots, down to the forms: ``{optimizer: {lr: ...}}`` is ``optimizer.lr``."""
    flat: dict[str, Any] = {}
    for key, form in described.items():
        name = f"{prefix}{key}"
        if isinstance(form, dict) and form and not form.keys() & {"choices", "low", "high", "slots"}:
            flat.update(flatten(form, f"{name}."))
        else:
            flat[name] = form
    return flat


def literal(value: Scalar) -> str:
    """Return a value as it is written in an override, such that Hydra reads the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        items = _list_in(value)
        return _quoted(value) if items is None else _list_literal(items)
    return repr(value)


def _quoted(text: str) -> str:
    keyword = text.lower() in ("null", "true", "false", "nan", "inf")
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) and not keyword:
        return text
    # Hydra reads a backslash as it is, except before a quote.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + m[2].replace("'", "\\'"), text) + "'"


def _list_literal(items: list[Any]) -> str:
    return f"[{','.join(_list_literal(i) if isinstance(i, list) else literal(i) for i in items)}]"


def _list_in(text: str) -> list[Any] | None:
    """Return the list that a choice carries as JSON text, or None if it is no list."""
    try:
        value = json.loads(text) if text.startswith("[") else None
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, list) else None


def _compile(key: str, form: Any) -> Slots | Parameter:
    if isinstance(form, list):
        return _choice(key, key, form)
    if not isinstance(form, dict):
        raise InputError(f"space.{key}={form!r} must be {_FORMS}")
    allowed = ("choices", "slots") if "choices" in form or "slots" in form else ("low", "high", "log", "step")
    unknown = [
        f"space.{key}.{k} is not a key of this form{nearest(k, allowed)}" for k in form if k not in allowed
    ]
    if unknown:
        raise InputError(*unknown)
    if "slots" in form:
        return _slots(key, form)
    return _choice(key, key, form["choices"]) if "choices" in form else _range(key, form)


def _slots(key: str, form: dict[str, Any]) -> Slots:
    count = form["slots"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InputError(f"space.{key}.slots={count!r} must be a whole number of at least 1")
    return Slots(key, tuple(_choice(key, f"{key}.{i}", form.get("choices")) for i in range(count)))


def _choice(key: str, name: str, choices: Any) -> Choice:
    if not isinstance(choices, list) or not choices:
        raise InputError(f"space.{key}: choices={choices!r} must be a list with at least one value")
    values = tuple(json.dumps(c) if isinstance(c, list) else c for c in choices)
    wrong = [c for c in choices if not isinstance(c, Scalar | list) or _passes_for_list(c)]
    if wrong:
        raise InputError(
            f"space.{key}: {wrong[0]!r} cannot be a choice: use a name, number, text, null or list"
        )
    if len(set(values)) < len(values):  # 1 and true are one: Optuna could not tell them apart
        raise InputError(f"space.{key}: choices={choices!r} names a value twice")
    return Choice(name, values)


def _passes_for_list(choice: Scalar | list[Any]) -> bool:
    return isinstance(choice, str) and _list_in(choice) is not None


def _range(key: str, form: dict[str, Any]) -> Range:
    low, high, step = form.get("low"), form.get("high"), form.get("step")
    log = form.get("log", False)
    numbers = [n for n in (low, high, *([] if step is None else [step])) if _is_number(n)]
    if len(numbers) < (2 if step is None else 3) or not isinstance(log, bool):
        raise InputError(
            f"space.{key}={form!r} must be {{low: number, high: number, log: true or false, step: number}}"
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
    return Range(key, low, int(high) if integer else high, log, step, integer)


def _last_step(low: float, high: float, step: float) -> float:
    """Return the largest value of the range that whole steps reach; decimals, because 0.3 is not 3 * 0.1."""
    start, end, stride = (Decimal(str(n)) for n in (low, high, step))
    return float(start + (end - start) // stride * stride)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
