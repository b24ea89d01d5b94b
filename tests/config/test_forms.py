"""The forms in which overrides change an encoder, as README and the notes on Hydra's lists show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.config.build import build
from nas.config.compose import compose
from nas.config.overrides import split_grid
from nas.errors import InputError

BASE = ["encoder=hybrid", "encoder.hidden_cls=[attn,ffn,attn,ffn]", "task=mqar", "tracker=none"]
SMALL = ["encoder.hidden_size=16"]


def layers(*overrides: str) -> list[Any]:
    return list(build([*BASE, *SMALL, *overrides]).encoder.hidden_layers)


def names(*overrides: str) -> list[str]:
    return [type(layer).__name__ for layer in layers(*overrides)]


def test_the_list_names_blocks_of_the_pool() -> None:
    assert names() == ["MultiHeadAttention", "GLU", "MultiHeadAttention", "GLU"]


def test_a_partial_is_fresh_in_every_slot() -> None:
    built = layers()
    assert built[0] is not built[2]
    assert built[1] is not built[3]


def test_partial_false_shares_one_module() -> None:
    built = layers("encoder.blocks.attn._partial_=false")
    assert built[0] is built[2]
    assert built[1] is not built[3]


def test_a_slot_by_its_index() -> None:
    assert names("encoder.hidden_cls.2=ffn") == ["MultiHeadAttention", "GLU", "GLU", "GLU"]


def test_two_slots_at_once() -> None:
    changed = names("encoder.hidden_cls.0=conv", "encoder.hidden_cls.3=none")
    assert changed == ["DepthwiseConv", "GLU", "MultiHeadAttention", "NoBlock"]


def test_the_whole_list() -> None:
    assert names("encoder.hidden_cls=[attn,ffn,conv]") == ["MultiHeadAttention", "GLU", "DepthwiseConv"]


def test_a_field_of_a_pool_entry_reaches_every_slot_that_names_it() -> None:
    assert [layer.config["num_heads"] for layer in layers("encoder.blocks.attn.num_heads=2")[::2]] == [2, 2]
    assert [layer.config["num_heads"] for layer in layers("encoder.num_heads=8")[::2]] == [8, 8]


def test_a_new_pool_entry_with_its_own_size() -> None:
    wide = layers(
        "+block@encoder.blocks.wide=feedforward/mlp",
        "encoder.blocks.wide.ratio=8",
        "encoder.hidden_cls.0=wide",
    )
    assert isinstance(wide[0], MLP)
    assert wide[0].config["ratio"] == 8
    assert max(p.shape[0] for p in wide[0].parameters()) == 8 * 16


def test_another_block_under_an_old_name() -> None:
    assert names("block@encoder.blocks.ffn=mixing/conv")[1::2] == ["DepthwiseConv"] * 2


def test_nodes_in_the_list_itself() -> None:
    fresh = "{_target_: nas.blocks.none.NoBlock, _partial_: true}"
    assert names(f"encoder.hidden_cls.1={fresh}")[1] == "NoBlock"


def test_a_torch_module_may_be_a_target() -> None:
    target = "{_target_: torch.nn.Linear, in_features: 16, out_features: 16}"
    with pytest.raises(InputError, match="hidden_cls"):
        # A Linear does not take an attention mask: the scaffold says so, and not Hydra.
        layers(f"encoder.hidden_cls.1={target}")


def test_sizes_of_the_encoder_reach_the_embedding() -> None:
    run = build([*BASE, "encoder.hidden_size=8"])
    assert run.encoder.get_embedding_table().shape == (run.task.vocab_size, 8)


def test_a_grid_is_a_list_of_such_overrides() -> None:
    jobs = split_grid(["encoder.hidden_cls.2=attn,ffn,conv", "seed=1", "optimizer.lr=0.001,0.002"])
    assert len(jobs) == 6
    assert jobs[0] == ["encoder.hidden_cls.2=attn", "seed=1", "optimizer.lr=0.001"]
    third = [type(list(build([*BASE, *SMALL, *job]).encoder.hidden_layers)[2]) for job in jobs[::2]]
    assert len(set(third)) == 3
    assert third[0] is MultiHeadAttention


def test_masks_and_other_parts_are_choices_too() -> None:
    run = build([*BASE, *SMALL, "mask=padding", "embedding.type_vocab_size=0"])
    assert isinstance(run.encoder, nn.Module)
    assert run.config["encoder"]["mask"]["_target_"] == "nas.masks.PaddingMask"


def test_an_experiment_file_makes_the_same_run_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("encoder: {hidden_cls: [conv, none]}\nseed: 7\n")
    monkeypatch.chdir(tmp_path)
    run = build([*SMALL, "task=mqar", "experiment=mine.yaml"])
    monkeypatch.chdir("/")
    again = build(run.overrides)
    assert [type(x).__name__ for x in again.encoder.hidden_layers] == ["DepthwiseConv", "NoBlock"]
    assert again.config["seed"] == 7
    assert again.identity() == run.identity()


def test_a_path_in_the_home_folder_needs_no_quotes() -> None:
    composed = compose("train", ["corpus=text", "corpus.path=~/some text/*.txt"])
    assert composed.values()["corpus"]["path"] == "~/some text/*.txt"
    again = compose("train", composed.overrides)
    assert again.values() == composed.values()
