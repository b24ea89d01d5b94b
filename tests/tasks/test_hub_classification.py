"""Classification of a Hugging Face dataset that lies in a folder, and the GLUE presets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nas.config.compose import compose
from nas.errors import InputError
from nas.progress import silent
from nas.tasks.text_classification import HubClassification
from nas.tasks.tokenizers.bytes import BytesTokenizer

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the library is imported: no test asks a network
CONF = Path(__file__).resolve().parents[2] / "conf/task"
GLUE = sorted(path.stem for path in CONF.glob("glue_*.yaml"))
PUBLISHED = {
    "cola": ("mcc", "accuracy"),
    "mnli": ("accuracy",),
    "mrpc": ("f1", "accuracy"),
    "qnli": ("accuracy",),
    "qqp": ("f1", "accuracy"),
    "rte": ("accuracy",),
    "sst2": ("accuracy",),
    "stsb": ("pearson", "spearman"),
}


@pytest.mark.slow  # seconds
def test_glue_is_complete_and_has_its_published_measures() -> None:
    from nas.config.build import instantiate_node

    assert [name.removeprefix("glue_") for name in GLUE] == sorted(PUBLISHED)
    for name, measures in PUBLISHED.items():
        task = instantiate_node("task", compose("train", [f"task=glue_{name}"]).values()["task"])
        assert task.measures == ("loss", *measures)
        assert task.regression is (name == "stsb")
        assert task.num_answers == {"stsb": 1, "mnli": 3}.get(name, 2)
        assert task.splits == (("val", "mismatched") if name == "mnli" else ("val",))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    datasets: Any = pytest.importorskip(
        "datasets", reason="the extra `hub` is not installed", exc_type=ImportError
    )
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    datasets.disable_progress_bars()
    names = datasets.ClassLabel(names=["positive", "negative"])  # not in the order of the alphabet
    features = datasets.Features({"a": datasets.Value("string"), "b": datasets.Value("string"), "y": names})

    def rows(count: int, labels: list[int]) -> Any:
        columns = {"a": [f"a {i}" for i in range(count)], "b": ["b"] * count, "y": labels}
        return datasets.Dataset.from_dict(columns, features=features)

    parts = {"train": rows(30, [0, 1] * 15), "other": rows(6, [1] * 6), "test": rows(4, [-1] * 4)}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "data"))
    return tmp_path / "data"


def task_of(folder: Path, **settings: Any) -> HubClassification:
    columns = {"text": "a", "text_b": "b", "label": "y", "evaluated": {"val": "other"}}
    task = HubClassification(BytesTokenizer(), str(folder), **{**columns, **settings})
    task.prepare(folder.parent / "cache", silent)
    return task


@pytest.mark.hub
def test_splits_and_names_of_labels(folder: Path) -> None:
    task = task_of(folder, evaluated={"val": "other", "seen": "train"}, labels=["positive", "negative"])
    assert task.splits == ("val", "seen")
    (other,), (seen,) = (list(task.batches(split, 100)) for split in task.splits)
    assert other.labels.tolist() == [1] * 6
    assert seen.labels.tolist() == [0, 1] * 15
    assert "input_type_ids" in other.inputs
    assert task.metrics[:2] == ("val/loss", "val/accuracy")
    assert task.fingerprint()["seen_texts"] == 30


@pytest.mark.hub
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"evaluated": {"val": "test"}}, r"split test row 0 has no label; is it a test set"),
        ({"text": "c"}, r"task\.text='c' is no column of task\.name=.*\['a', 'b', 'y'\]"),
        ({"text_b": "y"}, r"row 0: 'a' holds no text"),
        ({"train": "none"}, r"task\.name=.*split=none.* could not be loaded"),
        ({"evaluated": {"test": "test"}}, r"task\.evaluated=.* must have 'val'"),
    ],
)
def test_what_is_not_there(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        task_of(folder, **settings)
