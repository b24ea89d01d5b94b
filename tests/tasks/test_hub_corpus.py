"""A Hugging Face dataset that lies in a folder on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nas.errors import InputError
from nas.progress import silent
from nas.tasks.corpora.hub import HubCorpus
from nas.tasks.mlm import MaskedLanguageModelling
from nas.tasks.tokenizers.bytes import BytesTokenizer

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the library is imported: no test asks a network
pytestmark = pytest.mark.hub

ROWS = [f"row {i}: some text that is long enough to be learned from" for i in range(300)]


@pytest.fixture(scope="module")
def datasets() -> Any:
    """The library, imported where it is used: it takes a second, which every worker would spend."""
    return pytest.importorskip("datasets", reason="the extra `hub` is not installed", exc_type=ImportError)


@pytest.fixture(scope="module", params=["save_to_disk", "dict", "jsonl", "parquet"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, datasets: Any) -> Path:
    path = tmp_path_factory.mktemp(request.param)
    data = datasets.Dataset.from_dict({"text": [*ROWS, "", " "], "label": [1] * 302})
    if request.param == "save_to_disk":
        data.save_to_disk(str(path))
    elif request.param == "dict":
        datasets.DatasetDict({"train": data}).save_to_disk(str(path))
    elif request.param == "jsonl":
        rows = [json.dumps({"text": text, "label": 1}) for text in [*ROWS, "", " "]]
        (path / "data.jsonl").write_text("\n".join(rows))
    else:
        data.to_parquet(str(path / "train.parquet"))
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datasets: Any) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    datasets.disable_progress_bars()


def test_rows_are_documents(folder: Path) -> None:
    corpus = HubCorpus(str(folder))
    assert [d.text.decode() for d in corpus.documents(silent)] == ROWS
    assert corpus.key() == HubCorpus(str(folder)).key()


def test_an_unknown_column_lists_the_columns(folder: Path) -> None:
    with pytest.raises(InputError, match=r"column='txt'.*\['text', 'label'\]; did you mean 'text'"):
        list(HubCorpus(str(folder), column="txt").documents(silent))


def test_a_column_of_numbers(folder: Path) -> None:
    with pytest.raises(InputError, match="holds int, not text"):
        list(HubCorpus(str(folder), column="label").documents(silent))


def test_a_folder_without_data(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match=r"corpus\.name=.*could not be loaded"):
        HubCorpus(str(tmp_path / "nothing")).key()


def test_a_changed_folder_has_another_key(tmp_path: Path) -> None:
    folder = tmp_path / "folder"  # the library reads the split from names such as test_x
    folder.mkdir()
    file = folder / "data.jsonl"
    file.write_text(json.dumps({"text": "before"}))
    before = HubCorpus(str(folder)).key()
    file.write_text(json.dumps({"text": "after, and longer"}))
    assert HubCorpus(str(folder)).key() != before


def test_a_task_on_a_dataset(folder: Path, tmp_path: Path) -> None:
    task = MaskedLanguageModelling(HubCorpus(str(folder)), BytesTokenizer(), seq_length=32)
    task.prepare(tmp_path / "cache", silent)
    assert task.fingerprint()["documents"] == 300
    assert task.train_batch(0, 8, 0).labels.numel() == 80
