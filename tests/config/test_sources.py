"""Files and studies named on the command line, whatever their names look like."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import pytest

from nas.config.compose import Kind, compose
from nas.config.overrides import as_item, split_grid
from nas.errors import InputError

SMALL = "encoder=bert"
"""A pool of one block composes in half the time."""
NUMBERS = ["2024", "2024_11", "1e5", "-3", ".5", "nan", "true"]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_study_may_be_called_like_a_number(name: str) -> None:
    assert compose("train", [f"study={name}"]).plain["study"] == name


@pytest.mark.parametrize("name", NUMBERS)
def test_a_study_like_a_number_stands_for_its_winner(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "best.yaml").write_text("seed: 97\n")
    given = [f"experiment={name}", f"paths.outputs={tmp_path}", SMALL]
    assert compose("train", given).plain["seed"] == 97


@pytest.mark.parametrize("key", ["paths.outputs", "checkpoint", "tracker.project"])
def test_a_folder_may_be_called_like_a_number(key: str) -> None:
    plain = compose("train", [f"{key}=2024"]).values()
    assert functools.reduce(lambda node, part: node[part], key.split("."), plain) == "2024"


@pytest.mark.parametrize(
    "name", ["2024", "Märchen/日本.txt", "R&D #1!.txt", "copy (2).txt", "copy(2)", "a=b;c", "~/x y.txt"]
)
def test_a_file_may_have_any_name_without_quotes(name: str) -> None:
    assert compose("train", ["corpus=text", f"corpus.path={name}"]).plain["corpus"]["path"] == name


def test_columns_and_classes_may_be_called_like_numbers() -> None:
    given = ["task.path=2024.csv", "task.text=0", "task.label=1", "task.columns=[0,1]", "task.labels=[1,0]"]
    task = compose("train", ["task=classification", *given]).plain["task"]
    assert (task["text"], task["label"], task["labels"]) == ("0", "1", [1, 0])


@pytest.mark.parametrize("name", ["Müller", "lr=0.1", "old (2)", "it's", "a#b;c", "~/runs", "x [1]", "50%"])
def test_a_folder_may_be_called_anything(name: str) -> None:
    values = compose("search", [f"paths.outputs={name}", f"study={name}"]).plain
    assert (values["paths"]["outputs"], values["study"]) == (name, name)


def test_links_and_functions_are_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "there")
    assert compose("train", ["paths.outputs=${oc.env:PLACE}/x"]).values()["paths"]["outputs"] == "there/x"
    assert split_grid(["experiment=choice(a, b)"]) == [["experiment=a"], ["experiment=b"]]


@pytest.mark.parametrize("name", ["Frage ü.yaml", "lr=0.1, old (2).yaml", "it's.yml"])
def test_a_file_is_recorded_such_that_it_is_found_again(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("space: {optimizer.weight_decay: [0.1]}\nn_trials: 97\n")
    alone = compose("search", [f"sweep={as_item(str(tmp_path / name))}"])
    among = compose("search", [f"sweep=[{as_item(str(tmp_path / name))}, recall]"])
    for composed in (alone, among):
        assert composed.plain["n_trials"] == 97
        assert compose("search", composed.overrides).plain == composed.plain


def test_what_is_wrong_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("seed: 1\nseed: 2\n")
    with pytest.raises(InputError, match=r"twice\.yaml' is not YAML: found duplicate key seed in line 2"):
        compose("train", [f"experiment={tmp_path / 'twice.yaml'}"])


def test_null_is_no_name() -> None:
    assert compose("train", ["study=null"]).plain["study"] is None


def test_a_file_whose_registered_name_has_digits_alone(tmp_path: Path) -> None:
    text = "seed: 97\n"

    def digest(file: Path) -> str:
        return hashlib.sha256(f"{file.resolve()} {text}".encode()).hexdigest()[:8]

    files = (tmp_path / str(folder) / "8.yaml" for folder in range(10_000))
    file = next(file for file in files if digest(file).isdecimal())
    file.parent.mkdir()
    file.write_text(text)
    assert compose("train", [f"experiment={file}"]).plain["seed"] == 97


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for seed in (3, 4, 3):
        file.write_text(f"seed: {seed}\n")
        assert compose("train", [f"experiment={file}", SMALL]).plain["seed"] == seed


@pytest.mark.parametrize("kind", ["train", "search"])
def test_hydra_composes_a_file_once_for_all_values(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("defaults: [override /task: mqar]\nseed: 3\noptimizer: {lr: 0.5}\n")
    given = [f"experiment={file}", "encoder=bert"]
    compose(kind, given)
    monkeypatch.setattr("nas.config.compose.hydra_compose", None)
    composed = compose(kind, [*given, "seed=4", "task.num_pairs=2"])
    monkeypatch.undo()
    monkeypatch.setattr("nas.config.compose._comes_from_elsewhere", lambda text: True)
    assert compose(kind, [*given, "seed=4", "task.num_pairs=2"]) == composed


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("+block@encoder.blocks.x=gated_min", "gated_mine"),
        ("+block@encoder.blocks.x=mine/gatd", "mine/gated"),
        ("task=recal_mine", "recall_mine"),
        ("+own=fine_choic", "fine_choice"),
    ],
)
def test_choices_of_further_folders_are_offered(override: str, nearest: str, tmp_path: Path) -> None:
    for name in ("block/gated_mine", "block/mine/gated", "task/recall_mine", "own/fine_choice"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text("a: 1\n")
    with pytest.raises(InputError) as caught:
        compose("train", [override, f"hydra.searchpath=['file://{tmp_path}']"])
    [told] = caught.value.mistakes
    assert told.endswith(f"did you mean '{nearest}'?")


def test_search_paths_that_cannot_be_read_hide_no_other_mistake() -> None:
    with pytest.raises(InputError) as caught:
        compose("train", ["task=mqr", "hydra.searchpath=[ftp://there]"])
    first, second = caught.value.mistakes
    assert "ftp" in first
    assert second.endswith("did you mean 'mqar'?")
