"""Arrays are made once, by whoever asks first, and a damaged folder is made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.tasks.kept import Arrays, kept_arrays


def test_made_once_and_found_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> Arrays:
        made.append(1)
        return {"a": np.arange(5), "b": np.ones((2, 3), np.uint8)}

    for _ in range(2):
        found = kept_arrays(tmp_path, "rows", ["key", 1], make)
        assert np.array_equal(found["a"], np.arange(5))
        assert found["b"].dtype == np.uint8
    assert len(made) == 1
    kept_arrays(tmp_path, "rows", ["key", 2], make)
    assert len(made) == 2


def test_a_truncated_file_is_made_again(tmp_path: Path) -> None:
    make = lambda: {"a": np.arange(500)}  # noqa: E731
    kept_arrays(tmp_path, "rows", 0, make)
    (file,) = tmp_path.rglob("a.npy")
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(kept_arrays(tmp_path, "rows", 0, make)["a"], np.arange(500))


def test_a_failure_leaves_nothing_half_written(tmp_path: Path) -> None:
    def fail() -> Arrays:
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"task=rows cannot be prepared in .*No space left"):
        kept_arrays(tmp_path, "rows", 0, fail)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
