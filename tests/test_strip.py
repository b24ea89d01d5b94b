from __future__ import annotations

from xml.etree import ElementTree

import pytest

from nas.strip import ROLE_COLOURS, label_width, shared_groups, strip

SVG = "{http://www.w3.org/2000/svg}"
SLOTS = [
    {
        "label": "mha",
        "role": "attention",
        "parameters": 16_640,
        "flops_per_token": 41_000.0,
        "shared_with": None,
    },
    {"label": "geglu", "role": "feedforward", "parameters": 24_700, "flops_per_token": 49_000.0},
    {"label": "none", "role": "none", "parameters": 0, "flops_per_token": 0.0},
    {"label": "mha", "role": "attention", "parameters": 0, "flops_per_token": 41_000.0, "shared_with": 0},
]


def test_a_slot_has_its_label_its_role_s_colour_and_its_sizes() -> None:
    root = ElementTree.fromstring(strip(SLOTS))
    slots = root.findall(f"{SVG}g")
    assert [slot.findtext(f"{SVG}text") for slot in slots] == ["mha", "geglu", "none", "mha"]
    assert slots[0].find(f"{SVG}rect").attrib["fill"] == ROLE_COLOURS["attention"]
    assert slots[2].find(f"{SVG}rect").attrib["fill"] == "none"
    assert slots[0].findtext(f"{SVG}title") == "mha · 16.6k parameters · 41k FLOPs per token"
    assert "same weights as slot 0" in slots[3].findtext(f"{SVG}title")
    assert root.attrib["aria-label"] == "mha, geglu, none, mha"


def test_shared_slots_are_joined_by_a_line_and_others_are_not() -> None:
    assert ElementTree.fromstring(strip(SLOTS)).findall(f"{SVG}path")
    assert not ElementTree.fromstring(strip(SLOTS[:3])).findall(f"{SVG}path")
    assert shared_groups(SLOTS) == [[0, 3]]


@pytest.mark.parametrize("wrong", [None, "0", 3, -1, True])
def test_a_link_that_leads_nowhere_is_left_out(wrong: object) -> None:
    slots = [*SLOTS[:3], {**SLOTS[3], "shared_with": wrong}]
    assert shared_groups(slots) in ([], [[1, 3]])


def test_groups_that_overlap_get_lines_at_different_heights() -> None:
    slots = [
        {"label": x, "role": "mixing", "shared_with": s}
        for x, s in zip("abab", (None, None, 0, 1), strict=True)
    ]
    lines = [path.attrib["d"] for path in ElementTree.fromstring(strip(slots)).findall(f"{SVG}path")]
    assert len({line.rsplit(" ", 1)[1].split("H")[0] for line in lines}) == 2


def test_strips_line_up_when_they_are_given_one_width() -> None:
    width = label_width(SLOTS)
    narrow, wide = (
        ElementTree.fromstring(strip(s, compact=True, slot_width=width)) for s in (SLOTS[:2], SLOTS)
    )
    places = [[rect.attrib["x"] for rect in root.iter(f"{SVG}rect")] for root in (narrow, wide)]
    assert places[1][:2] == places[0]
    assert float(wide.attrib["height"]) < float(ElementTree.fromstring(strip(SLOTS)).attrib["height"])


def test_text_is_escaped_and_long_labels_are_shortened() -> None:
    told = strip([{"label": "<script>alert(1)</script>&\"'", "role": '"><script>'}])
    root = ElementTree.fromstring(told)
    assert "<script" not in told
    assert root.findtext(f"{SVG}g/{SVG}title") == "<script>alert(1)</script>&\"'"
    assert root.findtext(f"{SVG}g/{SVG}text").endswith("…")


def test_labels_alone_are_enough_and_no_slots_make_an_empty_picture() -> None:
    ElementTree.fromstring(strip([{"label": "new", "role": "unheard-of"}, {}]))
    assert ElementTree.fromstring(strip([])).attrib["aria-label"] == "no slots"


def test_the_same_slots_give_the_same_text() -> None:
    assert strip(SLOTS, compact=True) == strip([dict(slot) for slot in SLOTS], compact=True)
