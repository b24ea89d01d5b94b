"""Runs that start from another run's weights: the same encoder, or a larger one of the same function."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.errors import InputError
from nas.seeding import seed_torch

SMALL = ("encoder.hidden_cls=[attn,ffn,conv]", "encoder.blocks.ffn.inner_dim=24")
DEEPER = "encoder.hidden_cls=[attn,ffn,conv,attn,ffn]"
WIDER = "encoder.blocks.ffn.inner_dim=40"


def slow(*more: str) -> Any:
    """Further cases for the slow suite: every one composes a configuration."""
    return pytest.param(more, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def trained(arguments: Any, tmp_path_factory: pytest.TempPathFactory) -> nas.Run:
    """A finished run, its model in memory; all in float32."""
    folder = tmp_path_factory.mktemp("trained")
    run = nas.build(
        arguments(folder / "outputs", *SMALL, "trainer.steps=10", "encoder.blocks.attn.dropout=0")
    )
    run.train(report=lambda line: None)
    return run


def started(run: nas.Run) -> tuple[torch.nn.Module, str]:
    """Return the task's model with the weights that the run starts from."""
    seed_torch(1, "head")
    model = run.task.model(run.encoder)
    assert run.start is not None
    from nas.config.starting import form_of

    plan = run.start.plan(run.description, form_of(run.encoder), run.encoder)
    return model.eval(), plan.load(model, run.task.name)


def outputs(run: nas.Run, batch: Any) -> torch.Tensor:
    with torch.no_grad():
        return run.encoder.eval().sequence_output(batch.inputs)


@pytest.mark.parametrize(
    "more",
    [(), slow(WIDER), slow(DEEPER), (DEEPER, WIDER), ("encoder.hidden_cls=[none,ffn,attn,ffn,none,conv]",)],
    ids=["same", "wider", "deeper", "both", "before and between"],
)
def test_the_function_is_that_of_the_checkpoint(make: Any, trained: nas.Run, more: tuple[str, ...]) -> None:
    transfer = f"transfer={'grow' if more else 'same'}"
    run = make(*SMALL, *more, f"checkpoint={trained.folder}", transfer, "seed=5")
    _, told = started(run)
    assert "(encoder and head" in told
    batch = trained.task.train_batch(0, 8, 0)
    torch.testing.assert_close(outputs(run, batch), outputs(trained, batch), atol=1e-5, rtol=1e-5)


def test_training_goes_on_from_there(make: Any, trained: nas.Run) -> None:
    run = make(*SMALL, DEEPER, f"checkpoint={trained.folder}", "transfer=grow", "trainer.steps=20")
    said: list[str] = []
    result = run.train(report=said.append)
    assert any(
        line.startswith(f"starting from {trained.folder}") and "new slots: 3, 4" in line for line in said
    )
    assert result.metrics["val/loss"] < 2.7
    source = json.loads((run.folder / "provenance.json").read_text())["checkpoint"]
    assert (source["step"], source["transfer"]) == (10, "grow")
    assert source["sha256"] == run.start.sha256


def test_another_task_gets_the_encoder_alone(make: Any, trained: nas.Run) -> None:
    run = make(*SMALL, f"checkpoint={trained.folder}")
    run.start.about["task"] = "another"
    model, told = started(run)
    assert "(encoder alone, its task was another)" in told
    assert model.get_parameter("head.bias").abs().sum() == 0


def test_another_vocabulary_is_told(make: Any, trained: nas.Run) -> None:
    run = make(*SMALL, "task.vocab_size=20", f"checkpoint={trained.folder}")
    with pytest.raises(InputError, match=r"word_embeddings.weight is \[17, 16\] there, \[21, 16\] here"):
        started(run)


def test_shorter_rows_are_told_how_to_keep_all_places(make: Any, trained: nas.Run) -> None:
    shorter = (*SMALL, "task.seq_length=8", "task.num_pairs=1", f"checkpoint={trained.folder}")
    with pytest.raises(InputError, match=r"\[8, 16\] here \(embedding.max_seq_length=16 keeps all places\)$"):
        started(make(*shorter))
    started(make(*shorter, "embedding.max_seq_length=16"))


def test_longer_rows_get_places_of_their_own(make: Any, trained: nas.Run) -> None:
    longer = (*SMALL, "embedding.max_seq_length=24", f"checkpoint={trained.folder}")
    told = r"position_embeddings.weight is \[16, 16\] there, \[24, 16\] here \(transfer=grow enlarges it\)$"
    with pytest.raises(InputError, match=told):
        started(make(*longer))
    run = make(*longer, "transfer=grow")
    started(run)
    batch = trained.task.train_batch(0, 4, 0)
    torch.testing.assert_close(outputs(run, batch), outputs(trained, batch))


def test_a_runs_identity_knows_what_the_checkpoint_holds_and_not_where_it_lies(
    make: Any, trained: nas.Run, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(trained.folder, moved)
    alone = make(*SMALL).identity()
    here, there = (make(*SMALL, f"checkpoint={f}").identity() for f in (trained.folder, moved / "checkpoint"))
    assert here == there
    assert len({here, alone, make(*SMALL, f"checkpoint={moved}", "transfer=grow").identity()}) == 3


WRONG = {
    "inner_dim=24 there, 40 here; transfer=grow widens": (WIDER,),
    "3 slots there, 5 here; transfer=grow": (DEEPER,),
    r"activation=gelu there, silu here$": ("encoder.blocks.ffn.activation=silu", "transfer=grow"),
    r"inner_dim=24 there, 16 here$": ("encoder.blocks.ffn.inner_dim=16", "transfer=grow"),
    r"hidden_size=16 there, 32 here \(norms": ("encoder.hidden_size=32", "transfer=grow"),
    "slot 3 is new: fourier .* can not start as": (
        "encoder.hidden_cls=[attn,ffn,conv,fourier]",
        "transfer=grow",
    ),
    r"slot 2 \(conv\): class": ("encoder.hidden_cls=[attn,ffn,mlp]",),
    "its output_layer_norm differs": ("encoder.layer_norm_before_pooling=false",),
}


@pytest.mark.slow  # composes eight configurations
@pytest.mark.parametrize(("told", "more"), WRONG.items(), ids=WRONG)
def test_another_architecture_is_told_in_one_line(
    make: Any, trained: nas.Run, told: str, more: tuple[str, ...]
) -> None:
    run = make(*SMALL, *more, f"checkpoint={trained.folder}")
    with pytest.raises(InputError, match=told) as caught:
        run.train(report=lambda line: None)
    assert "\n" not in str(caught.value)
    assert not run.folder.exists()


def test_no_checkpoint_is_told(make: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^checkpoint='.*': there is none; give a run folder"):
        make(f"checkpoint={tmp_path}")
    with pytest.raises(InputError, match=r"^transfer=grow has no effect without checkpoint="):
        make("transfer=grow")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.safetensors", "about.json", "manifest.json"]
)
def test_damage_is_told(make: Any, trained: nas.Run, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained.folder, copy)
    file = copy / "checkpoint" / name
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"^checkpoint .* is damaged \(.*\)$"):
        make(*SMALL, f"checkpoint={copy}").train(report=lambda line: None)
