"""What is told of an exception in training: the block's slot and class, and a line of its own package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.blocks.base import ResidualBlock
from nas.embeddings.default import TransformerEmbedding
from nas.scaffold import EncoderScaffold
from nas.train.failure import ERROR, forget_trace, keep_trace, origin


class Torn(ResidualBlock):
    """Its product does not fit."""

    role = "feedforward"
    label = "torn"

    def __init__(self, hidden_size: int = 8) -> None:
        super().__init__(hidden_size)
        self.linear = nn.Linear(hidden_size + 1, hidden_size)

    def mix(self, data: Tensor, attention_mask: Tensor | None) -> Tensor:
        return self.linear(data)  # the line that is told


class Whole(Torn):
    """It fits."""

    def mix(self, data: Tensor, attention_mask: Tensor | None) -> Tensor:
        return data


def raised(hidden_cls: Any) -> BaseException:
    embedding = {"vocab_size": 9, "hidden_size": 8, "max_seq_length": 4}
    count = len(hidden_cls)
    encoder = EncoderScaffold(8, None, TransformerEmbedding, embedding, None, count, hidden_cls)
    with pytest.raises(RuntimeError) as caught:
        encoder(torch.zeros(1, 4, dtype=torch.long))
    return caught.value


LINE = Path(__file__).read_text().split("# the line that is told")[0].count("\n") + 1


def test_the_slot_the_class_and_a_line_outside_pytorch() -> None:
    assert origin(raised([Whole, Torn, Whole])) == ("hidden_cls[1]=Torn", f"{__file__}, line {LINE}")


def test_without_an_encoder_the_class_alone() -> None:
    with pytest.raises(RuntimeError) as caught:
        Torn()(torch.zeros(1, 2, 8), None)
    assert origin(caught.value) == ("Torn", f"{__file__}, line {LINE}")


def test_what_no_block_raised() -> None:
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(2, 2)(torch.zeros(3))
    who, where = origin(caught.value)
    assert (who, where.rpartition(",")[0]) == ("", __file__)


def test_the_traceback_is_kept_and_forgotten(tmp_path: Path) -> None:
    keep_trace(tmp_path / "run", raised([Torn]))
    assert "# the line that is told" in (tmp_path / "run" / ERROR).read_text()
    forget_trace(tmp_path / "run")
    forget_trace(tmp_path / "run")
    assert not (tmp_path / "run" / ERROR).exists()
    (tmp_path / "file").touch()
    keep_trace(tmp_path / "file", ValueError("no folder can be made"))
