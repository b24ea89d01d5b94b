"""The default embedding: what it sums, what it refuses, and its YAML."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nas.embeddings import TransformerEmbedding
from nas.errors import InputError


def embedding(**changes: Any) -> TransformerEmbedding:
    settings = {"vocab_size": 20, "hidden_size": 8, "max_seq_length": 6, "type_vocab_size": 3}
    return TransformerEmbedding(**{**settings, **changes})


def ids(tokens: int = 5) -> torch.Tensor:
    return torch.arange(2 * tokens).reshape(2, tokens)


def test_it_is_the_normalised_sum() -> None:
    module, types = embedding(), torch.tensor([[0, 1, 2, 0, 1]] * 2)
    summed = (
        module.word_embeddings.weight[ids()]
        + module.position_embeddings.weight[:5]
        + module.type_embeddings.weight[types]
    )
    expected = (summed - summed.mean(-1, keepdim=True)) / summed.std(-1, keepdim=True, unbiased=False)
    torch.testing.assert_close(module([ids(), None, types]), expected, rtol=1e-4, atol=1e-4)


def test_missing_types_are_type_zero() -> None:
    module = embedding()
    torch.testing.assert_close(module(ids()), module([ids(), None, torch.zeros(2, 5, dtype=torch.int64)]))


def test_position_and_types_may_be_left_out() -> None:
    module = embedding(position="none", max_seq_length=None, type_vocab_size=0)
    assert module.label == "word"
    assert module.max_seq_length is None
    assert module(ids(9)).shape == (2, 9, 8)
    assert {name for name, _ in module.named_parameters()} == {
        "word_embeddings.weight",
        "norm.weight",
        "norm.bias",
    }
    with pytest.raises(InputError, match="type_vocab_size=0 leaves types out"):
        module([ids(), None, ids()])
    assert embedding().label == "word+position+type"


def test_weights_start_as_the_original_ones() -> None:
    weight = embedding(vocab_size=2000).word_embeddings.weight
    assert 0.016 < weight.std() < 0.02
    assert weight.abs().max() <= 0.04
    assert torch.all(embedding(initializer=nn.init.ones_).type_embeddings.weight == 1)


def test_dropout_is_applied_in_training_only() -> None:
    module = embedding(dropout_rate=0.5)
    assert (module(ids()) == 0).any()
    assert not (module.eval()(ids()) == 0).any()


def test_seq_length_fixes_the_length() -> None:
    module = embedding(seq_length=5)
    assert module(ids()).shape == (2, 5, 8)
    with pytest.raises(InputError, match="T=4 tokens: expected seq_length=5"):
        module(ids(4))
    assert embedding(max_seq_length=None, seq_length=5).max_seq_length == 5


def test_all_mistakes_come_together() -> None:
    with pytest.raises(InputError) as caught:
        TransformerEmbedding(hidden_size=0, position="rope", type_vocab_size=-1, dropout_rate=1.0)
    text = str(caught.value)
    for part in (
        "vocab_size=None must be an integer greater than 0",
        "hidden_size=0 must be",
        "position='rope' is not one of",
        "type_vocab_size=-1 must be",
        "dropout_rate=1.0 must be",
    ):
        assert part in text, part
    with pytest.raises(InputError, match="max_seq_length=None must be an integer"):
        embedding(max_seq_length=None)
    with pytest.raises(InputError, match="seq_length=9 is greater than max_seq_length=6"):
        embedding(seq_length=9)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_ids_may_be_any_integers(dtype: torch.dtype) -> None:
    module = embedding().eval()
    torch.testing.assert_close(module(ids().to(dtype)), module(ids()))


@pytest.mark.parametrize(
    ("word", "kind", "told"),
    [
        (20, 0, ["input_word_ids holds 20: expected 0 to 19 (vocab_size=20)"]),
        (-1, 0, ["input_word_ids holds -1: expected 0 to 19 (vocab_size=20)"]),
        (0, 3, ["input_type_ids holds 3: expected 0 to 2 (type_vocab_size=3)"]),
        (25, -2, ["input_word_ids holds 25: expected 0 to 19 (vocab_size=20)",
                  "input_type_ids holds -2: expected 0 to 2 (type_vocab_size=3)"]),
    ],
)  # fmt: skip
def test_an_id_without_a_row_is_told_with_what_is_allowed(word: int, kind: int, told: list[str]) -> None:
    words, kinds = torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 5, dtype=torch.int32)
    words[1, 3], kinds[1, 3] = word, kind
    with pytest.raises(InputError) as caught:
        embedding()([words, None, kinds])
    assert list(caught.value.mistakes) == told


def test_an_index_error_of_another_kind_is_not_hidden() -> None:
    class Wrong(nn.Module):
        def forward(self, data: torch.Tensor) -> torch.Tensor:
            return data[9]

    module = embedding()
    module.before = Wrong()
    with pytest.raises(IndexError):
        module(ids())
