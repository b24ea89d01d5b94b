"""Objects from nodes, and errors that name the place."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from torch import nn

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


@pytest.mark.parametrize("more", [{"out_features": "x"}, {"_target_": "nas_no_such_module.Thing"}], ids=str)
def test_any_other_error_is_told_in_one_line_with_its_place(more: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        instantiate_node("encoder", {"mask": {**LINEAR, **more}})
    [mistake] = caught.value.mistakes
    assert mistake.startswith("encoder.mask: Error ")
    assert ({**LINEAR, **more})["_target_"].rpartition(".")[2] in mistake
    assert "\n" not in mistake
