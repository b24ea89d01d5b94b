from __future__ import annotations

import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

from nas.drawing import drawing

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
    program = "import sys, nas.drawing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
