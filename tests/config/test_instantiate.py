"""Objects from nodes, and errors that name the place."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from torch import nn

from nas.config.compose import compose
from nas.config.instantiate import instantiate_node
from nas.errors import InputError

LINEAR = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}


def test_nodes_lists_and_partials() -> None:
    built = instantiate_node("it", {"a": [LINEAR, 1], "b": {**LINEAR, "_partial_": True}, "c": None})
    assert isinstance(built["a"][0], nn.Linear)
    assert isinstance(built["b"], functools.partial)
    assert built["b"].keywords == {"in_features": 2, "out_features": 3}
    assert (built["a"][1], built["c"]) == (1, None)


def test_a_mistake_in_the_pool_names_its_block() -> None:
    wrong = {"_target_": "nas.blocks.feedforward.mlp.MLP", "hidden_size": 8, "ratio": -1}
    for place, named in (({"blocks": {"x": wrong}}, "encoder.blocks.x: "), ({"other": wrong}, "")):
        with pytest.raises(InputError) as caught:
            instantiate_node("encoder", place)
        assert all(m.startswith(named) and "ratio" in m for m in caught.value.mistakes)


def test_any_other_error_is_told_in_one_line_with_its_place() -> None:
    with pytest.raises(InputError) as caught:
        instantiate_node("encoder", {"mask": {**LINEAR, "out_features": "x"}})
    [mistake] = caught.value.mistakes
    assert mistake.startswith("encoder.mask: Error in call to target 'torch.nn.modules.linear.Linear': ")
    assert "\n" not in mistake


@pytest.mark.parametrize("part", ["hidden_cls[1]", "mask_cls"])
def test_a_fault_in_a_constructor_names_the_part_its_class_and_the_line(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"faulty_{part[:4]}.py"
    file.write_text(
        "class Faulty(__import__('torch').nn.Module):\n    def __init__(self): raise KeyError('x')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    faulty = {"_target_": f"{file.stem}.Faulty", "_partial_": True}
    node = compose("train", ["encoder.hidden_size=16", "encoder.hidden_cls=[none,none]"]).values()["encoder"]
    node["embedding"] |= {"vocab_size": 8, "max_seq_length": 8}
    node.update({"mask": faulty} if part == "mask_cls" else {"hidden_cls": ["none", faulty]})
    with pytest.raises(InputError) as caught:
        instantiate_node("encoder", node)
    assert caught.value.mistakes == (f"encoder: {part}=Faulty: KeyError: 'x' ({file}, line 2)",)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import nas_no_such_module", "No module named 'nas_no_such_module'"),
        ("from nas.errors import Nothing", "cannot import name 'Nothing' from 'nas.errors'"),
        ("0 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_what_it_lacks(
    source: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"lacking_{len(source)}.py"
    file.write_text(f'"""A block."""\n{source}\n\nclass Mine: ...\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError) as caught:
        instantiate_node("encoder", {"mask": {"_target_": f"{file.stem}.Mine"}})
    [mistake] = caught.value.mistakes
    assert mistake.startswith(f"encoder.mask._target_='{file.stem}.Mine' cannot be imported: {why}")
    assert mistake.endswith(f"({file}, line 2)")
    assert "\n" not in mistake


def test_a_module_that_is_absent_is_told() -> None:
    with pytest.raises(InputError) as caught:
        instantiate_node("encoder", {"mask": {"_target_": "nas_no_such_module.Thing"}})
    assert caught.value.mistakes == (
        "encoder.mask._target_='nas_no_such_module.Thing' cannot be imported: "
        "No module named 'nas_no_such_module'",
    )
