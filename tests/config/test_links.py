"""Links are followed as OmegaConf follows them."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.config.links import resolved, set_plain

PLAIN: dict[str, Any] = {
    "a": {"b": 3, "list": [1, {"x": "${a.b}"}, "${c}"], "none": None},
    "c": "${a.b}",
    "node": "${a}",
    "through": "${node.list.1.x}",
    "text": "b is ${a.b}",
    "home": "${oc.env:NAS_TEST_LINK,'~/x'}",
    "plain $": "$a and {b}",
}


@pytest.mark.parametrize("without", [(), ("text",), ("text", "home")], ids=str)
def test_as_omegaconf(without: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {key: value for key, value in PLAIN.items() if key not in without}
    assert resolved(plain) == OmegaConf.to_container(OmegaConf.create(plain), resolve=True)
    monkeypatch.setenv("NAS_TEST_LINK", "/y")
    assert resolved(plain) == OmegaConf.to_container(OmegaConf.create(plain), resolve=True)


def test_what_is_linked_is_copied() -> None:
    values = resolved({"a": {"b": [1]}, "c": "${a}"})
    values["c"]["b"].append(2)
    assert values["a"] == {"b": [1]}


@pytest.mark.parametrize(
    "wrong", [{"a": "${b}"}, {"a": "${a}"}, {"a": "${b}", "b": "${a}"}, {"a": "${b.c}", "b": 1}], ids=str
)
def test_a_link_to_nowhere_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(OmegaConfBaseException):
        resolved(wrong)


@pytest.mark.parametrize(
    ("key", "done"),
    [("a.b", True), ("a.list.0", True), ("c", True), ("a.none", True), ("a", False), ("a.new", False),
     ("node", False), ("node.b", False), ("a.list.7", False), ("a.list.-1", False), ("a.b.c", False)],
)  # fmt: skip
def test_only_values_are_set(key: str, done: bool) -> None:
    plain = {"a": {"b": 3, "list": [1, 2], "none": None}, "c": "${a.b}", "node": "${a}"}
    before = repr(plain)
    assert set_plain(plain, key, 9) is done
    assert (repr(plain) == before) is not done
    if done:
        assert OmegaConf.select(OmegaConf.create(plain), key) == 9
