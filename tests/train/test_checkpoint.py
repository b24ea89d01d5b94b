from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nas.errors import InputError
from nas.train import checkpoint, manifest
from nas.train.optimizers import AdamW

STATE = {"architecture_hash": "abc", "step": 3}


class Tied(nn.Module):
    """Two names for one block, as an encoder that shares it has."""

    def __init__(self, hidden_size: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(hidden_size, hidden_size)
        self.second = self.first
        self.norm = nn.LayerNorm(hidden_size)
        self.empty = nn.Parameter(torch.empty(0))
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.norm(self.second(self.first(x))), 0.5)


def parts(hidden_size: int = 4, steps: int = 0) -> tuple[Tied, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = Tied(hidden_size)
    optimizer = AdamW(lr=0.1).build(model.parameters())
    for _ in range(steps):
        step(model, optimizer)
    return model, optimizer


def step(model: Tied, optimizer: torch.optim.Optimizer) -> float:
    loss = model(torch.arange(8.0).view(2, -1)[:, : model.norm.weight.numel()]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model, optimizer = parts(steps=3)
    checkpoint.save(tmp_path, model, optimizer, STATE)
    return tmp_path


def test_without_a_checkpoint_nothing_is_loaded(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path, *parts(), "abc") is None
    checkpoint.load_encoder(tmp_path, parts()[0])


def test_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model, optimizer = parts(steps=3)
    checkpoint.save(tmp_path, model, optimizer, STATE)
    expected = [step(model, optimizer) for _ in range(3)]
    other, other_optimizer = parts()
    torch.manual_seed(77)
    assert checkpoint.load(tmp_path, other, other_optimizer, "abc") == STATE
    assert [step(other, other_optimizer) for _ in range(3)] == expected
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_shared_weights_are_stored_once_and_stay_shared(saved: Path) -> None:
    names = set(load_file(saved / "checkpoint" / "model.safetensors"))
    assert names == {"first.weight", "first.bias", "norm.weight", "norm.bias", "empty", "unused"}
    model, optimizer = parts()
    checkpoint.load(saved, model, optimizer, "abc")
    assert model.first is model.second
    assert torch.equal(model.first.weight, parts(steps=3)[0].first.weight)


def test_only_safetensors_and_json(saved: Path) -> None:
    assert {path.suffix for path in (saved / "checkpoint").iterdir()} == {".safetensors", ".json"}
    json.loads((saved / "checkpoint" / "state.json").read_text())
    assert load_file(saved / "checkpoint" / "optimizer.safetensors")


def test_the_encoder_alone(tmp_path: Path) -> None:
    trained, optimizer = parts(steps=3)
    checkpoint.save(tmp_path, nn.ModuleDict({"encoder": trained, "head": nn.Linear(2, 2)}), optimizer, STATE)
    encoder = parts()[0]
    checkpoint.load_encoder(tmp_path, encoder)
    assert torch.equal(encoder.first.weight, trained.first.weight)
    with pytest.raises(InputError, match="does not fit: ") as caught:
        checkpoint.load_encoder(tmp_path, parts(hidden_size=2)[0])
    assert "\n" not in str(caught.value)


def test_another_architecture_is_refused(saved: Path) -> None:
    with pytest.raises(InputError, match="holds architecture 'abc', this run is 'other'"):
        checkpoint.load(saved, *parts(), "other")


def truncate(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return damage


def tamper(name: str, **tensors: torch.Tensor) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        renamed = {key.replace("__", "."): value for key, value in tensors.items()}
        save_file({**load_file(folder / name), **renamed}, folder / name)

    return damage


def drop(name: str, tensor: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / name)
        del tensors[tensor]
        save_file(tensors, folder / name)

    return damage


def write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


MODEL, MOMENTS, STATE_FILE = "model.safetensors", "optimizer.safetensors", "state.json"
DAMAGES = {
    "model cut": truncate(MODEL),
    "optimizer cut": truncate(MOMENTS),
    "state cut": truncate(STATE_FILE),
    "model gone": lambda folder: (folder / MODEL).unlink(),
    "optimizer gone": lambda folder: (folder / MOMENTS).unlink(),
    "state gone": lambda folder: (folder / STATE_FILE).unlink(),
    "state no text": write(STATE_FILE, b"\xff\xfe\x00"),
    "state a list": write(STATE_FILE, b"[]"),
    "model empty": write(MODEL, b""),
    "wrong shape": tamper(MODEL, norm__bias=torch.zeros(5)),
    "further name": tamper(MODEL, other=torch.zeros(5)),
    "missing name": drop(MODEL, "norm.bias"),
    "moment of wrong shape": tamper(MOMENTS, **{"0__exp_avg": torch.zeros(3, 3)}),
    "moment of nobody": tamper(MOMENTS, **{"99__exp_avg": torch.zeros(3, 3)}),
    "nameless moment": tamper(MOMENTS, exp=torch.zeros(3)),
    "no random state": drop(MOMENTS, "random.0"),
    "wrong random state": tamper(MOMENTS, random__0=torch.zeros(4)),
}


@pytest.mark.parametrize("signed", [False, True], ids=["", "signed again"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_told_in_one_line(saved: Path, damage: Callable[[Path], None], signed: bool) -> None:
    damage(saved / "checkpoint")
    if signed:  # as by somebody who knows of the checksums
        manifest.write(saved / "checkpoint")
    with pytest.raises(
        InputError, match=r"checkpoint .* is damaged \(.*\); remove it to start again$"
    ) as caught:
        checkpoint.load(saved, *parts(), "abc")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda f: (f / "manifest.json").unlink(), write("manifest.json", b"[]")])
def test_a_manifest_is_needed(saved: Path, damage: Callable[[Path], None]) -> None:
    damage(saved / "checkpoint")
    with pytest.raises(InputError, match=r"is damaged \(.*manifest\.json"):
        checkpoint.load(saved, *parts(), "abc")


def test_a_kill_between_the_renames_leaves_the_old_one(saved: Path) -> None:
    (saved / "checkpoint").rename(saved / "checkpoint.old")
    (saved / ".checkpoint.12345").mkdir()
    model, optimizer = parts()
    assert checkpoint.load(saved, model, optimizer, "abc") == STATE
    checkpoint.save(saved, model, optimizer, {**STATE, "step": 4})
    assert checkpoint.load(saved, model, optimizer, "abc") == {**STATE, "step": 4}


def test_saving_removes_what_a_kill_left(saved: Path) -> None:
    shutil.copytree(saved / "checkpoint", saved / ".checkpoint.12345")
    checkpoint.save(saved, *parts(), STATE)
    assert [path.name for path in saved.iterdir()] == ["checkpoint"]


def test_a_failed_save_leaves_the_previous_one(saved: Path) -> None:
    with pytest.raises(TypeError):
        checkpoint.save(saved, *parts(), {"step": object()})
    assert checkpoint.load(saved, *parts(), "abc") == STATE
    assert [path.name for path in saved.iterdir()] == ["checkpoint"]
