from __future__ import annotations

import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import pytest

from nas.drawing.picture import drawing

SVG = "{http://www.w3.org/2000/svg}"


def slot(label: str, role: str, parameters: int, **told: Any) -> dict[str, Any]:
    return {
        "label": label,
        "role": role,
        "class": label.title(),
        "parameters": parameters,
        "flops_per_token": 2.0 * parameters,
        "shared_with": None,
        "recursive": role == "recursive",
        "settings": {"hidden_size": 64, "num_heads": 4, "bias": False, "norm": "pre"},
        **told,
    }


def description(*slots: dict[str, Any], **told: Any) -> dict[str, Any]:
    return {
        "string": "-".join(s["label"] for s in slots),
        "hash": "0123456789ab",
        "hidden_size": 64,
        "seq_length": 48,
        "parameters": 123_000,
        "flops_per_token": 456_000.0,
        "embedding": {"label": "word+position", "parameters": 50_000},
        "pooler": {"parameters": 4_160},
        "slots": list(slots),
        **told,
    }


WHOLE = description(
    slot("mha", "attention", 16_640),
    slot("reuse", "recursive", 8_400),
    slot("conv", "mixing", 640, settings={"kernel_size": 7, "ratio": 0.25, "gated": True}),
    slot("reuse", "recursive", 8_400),
    slot("mha", "attention", 0, shared_with=0),
    slot("none", "none", 0),
)


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_every_part_stands_in_order_with_its_size() -> None:
    told = texts(drawing(WHOLE))
    order = [told.index(name) for name in ("embedding", "mha", "reuse", "conv", "none", "pooler")]
    assert order == sorted(order)
    for text in ("16.6k", "50k", "4.16k", "123k", "456k", "word+position", "hash 0123456789ab"):
        assert any(text in line for line in told), text
    assert told.count("shared") == 1


def test_key_settings_are_told_and_what_is_common_or_empty_is_not() -> None:
    told = texts(drawing(WHOLE))
    assert "kernel_size 7 · ratio 0.25 · gated yes" in told
    assert "num_heads 4 · norm pre" in told
    assert not any("hidden_size" in line or "bias" in line for line in told)


def test_many_settings_are_cut_at_a_whole_one() -> None:
    settings = {f"setting_number_{i}": i for i in range(1, 20)}
    (line,) = [
        t for t in texts(drawing(description(slot("mha", "attention", 1, settings=settings)))) if "…" in t
    ]
    assert re.fullmatch(r"(setting_number_\d+ \d+ · )+…", line)


def test_sharing_and_state_are_drawn_and_named_only_where_they_are() -> None:
    plain = drawing(description(slot("mha", "attention", 1), slot("conv", "mixing", 1)))
    whole = drawing(WHOLE)
    for kind, name in (("nas-link", "same weights"), ("nas-state", "recursive state")):
        assert f'class="{kind}"' in whole
        assert name in texts(whole)
        assert f'class="{kind}"' not in plain
        assert name not in texts(plain)


def test_states_of_different_kinds_run_on_rails_of_their_own() -> None:
    kinds = ["scores", "memory", "scores", "memory"]
    picture = drawing(description(*(slot(k, "recursive", 1, state_kind=k) for k in kinds)))
    rails = re.findall(r'M([\d.]+) [\d.]+V[\d.]+" class="nas-state"', picture)
    assert len(set(rails)) == 2


def test_text_is_escaped() -> None:
    bad = "<script>alert(1)</script>&\"'"
    evil = slot(bad, bad, 1, settings={bad: bad}, **{"class": bad})
    picture = drawing(description(evil, string=bad, embedding={"label": bad}, hash=bad))
    ElementTree.fromstring(picture)
    assert "<script" not in picture


def test_the_picture_is_self_contained_and_deterministic() -> None:
    picture = drawing(WHOLE)
    assert picture == drawing(WHOLE)
    assert picture.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert picture.count("http") == 1
    assert "prefers-color-scheme:dark" in picture


def test_what_is_unknown_is_left_open() -> None:
    ElementTree.fromstring(drawing({}))
    ElementTree.fromstring(drawing({"slots": [{}], "parameters": None}))


def test_a_drawing_needs_no_torch() -> None:
    program = "import sys, nas.drawing.picture; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


LOOP = slot(
    "loop3(mha,parallel(conv,<mlp>))", "recursive", 20_000, num_loops=3, layout="sequence",
    inner=[
        slot("mha", "attention", 16_000),
        slot(
            "parallel(conv,<mlp>)", "recursive", 4_000, layout="parallel", num_loops=1,
            inner=[slot("conv", "mixing", 3_000), slot("<mlp>", "feedforward", 1_000)],
        ),
    ],
)  # fmt: skip


def boxes(picture: str) -> list[tuple[float, float, float, float]]:
    """Return the labelled boxes: left, top, right, bottom."""
    found = []
    for group in ElementTree.fromstring(picture).iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        x, y, w, h = (float(rect.attrib[k]) for k in ("x", "y", "width", "height"))
        found.append((x, y, x + w, y + h))
    return found


def inside(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return b[0] < a[0] and b[1] < a[1] and a[2] < b[2] and a[3] < b[3]


def apart(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[3] < b[1] or b[3] < a[1]


def test_blocks_of_blocks_are_boxes_around_them_and_nothing_else_touches() -> None:
    picture = drawing(description(slot("mha", "attention", 1), LOOP, LOOP, slot("mlp", "feedforward", 1)))
    every = boxes(picture)
    assert len(every) == 1 + 1 + 2 * 5 + 1 + 1
    loop, mha, parallel, conv, mlp = every[2:7]
    assert all(inside(box, loop) for box in (mha, parallel, conv, mlp))
    assert inside(conv, parallel) and inside(mlp, parallel)  # noqa: PT018
    for i, one in enumerate(every):
        for other in every[i + 1 :]:
            assert apart(one, other) or inside(other, one)
    told = texts(picture)
    assert told.count("×3") == 2
    assert "loop3" in told and "runs again" in told  # noqa: PT018
    assert "side by side" in " ".join(told)
    assert "runs again" not in texts(drawing(WHOLE))


def test_loops_inside_loops_run_apart() -> None:
    outer = {**LOOP, "label": "repeat2(loop3)", "num_loops": 2, "inner": [LOOP, LOOP["inner"][0]]}
    picture = drawing(description(outer))
    lanes = re.findall(r'd="M[\d.]+ [\d.]+H([\d.]+)V[\d.]+H[\d.]+" class="nas-loop"', picture)
    assert len(lanes) == len(set(lanes)) == 2


@pytest.mark.parametrize("number", [0, 1, 2, 7, 48])
def test_any_number_of_slots_fits_the_paper(number: int) -> None:
    kinds = [slot("a_block_with_a_long_name", "attention", 10_000), LOOP, slot("reuse", "recursive", 9)]
    slots = [dict(kinds[i % 3]) for i in range(number)]
    for i in range(3, number, 5):
        slots[i] = {**slots[i - 3], "shared_with": i - 3, "parameters": 0}
    picture = drawing(description(*slots))
    root = ElementTree.fromstring(picture)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(left > 0 and right < width and bottom < height for left, _, right, bottom in boxes(picture))
    for element in root.iter(f"{SVG}text"):
        size, words = float(element.attrib["font-size"]), element.text or ""
        room = 0.5 * size * len(words)
        start = float(element.attrib["x"]) - (room / 2 if "text-anchor" in element.attrib else 0)
        assert start >= 0 and start + room <= width, words  # noqa: PT018
        assert 0 < float(element.attrib["y"]) < height


def test_shares_are_written() -> None:
    told = texts(drawing(WHOLE))
    assert f"{16_640 / 123_000:.0%}" in told
    assert f"{2 * 16_640 / 456_000:.0%}" in told
