"""Inputs in any form, what may be left out, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.blocks.transformer.encoder_block import Transformer
from nas.errors import InputError
from nas.inputs import mask_of, read_inputs
from nas.scaffold import EncoderScaffold


def scaffold() -> EncoderScaffold:
    torch.manual_seed(0)
    return EncoderScaffold(
        pooled_output_dim=8,
        embedding_cfg={"vocab_size": 50, "type_vocab_size": 3, "hidden_size": 16, "max_seq_length": 12},
        num_hidden_instances=2,
        hidden_cls=Transformer,
        hidden_cfg={"num_attention_heads": 2},
    ).eval()


def inputs(batch: int = 2, tokens: int = 7) -> dict[str, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    mask = torch.ones(batch, tokens, dtype=torch.int64)
    mask[0, tokens - 2 :] = 0
    return {
        "input_word_ids": torch.randint(0, 50, (batch, tokens), generator=drawn),
        "input_mask": mask,
        "input_type_ids": torch.randint(0, 3, (batch, tokens), generator=drawn),
    }


@pytest.mark.parametrize("form", [dict, list, tuple])
def test_inputs_may_come_in_any_form(form: type) -> None:
    given = inputs()
    expected = scaffold()(given)[0]
    ours = scaffold()(given if form is dict else form(given.values()))[0]
    torch.testing.assert_close(ours, expected, rtol=0, atol=0)


def test_mask_and_types_may_be_left_out() -> None:
    ids = inputs()["input_word_ids"]
    full = {
        "input_word_ids": ids,
        "input_mask": torch.ones_like(ids),
        "input_type_ids": torch.zeros_like(ids),
    }
    expected = scaffold()(full)[0]
    for given in ({"input_word_ids": ids}, [ids], (ids, None, None), ids):
        torch.testing.assert_close(scaffold()(given)[0], expected)


def test_padding_keys_never_reach_real_tokens() -> None:
    given = inputs()
    other = {**given, "input_word_ids": given["input_word_ids"].clone()}
    other["input_word_ids"][0, 5:] = 3
    torch.testing.assert_close(scaffold()(given)[0][0, :5], scaffold()(other)[0][0, :5])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ids": torch.ones(2, 3)}, "input 'ids' is not one of"),
        ({"input_word_id": torch.ones(2, 3)}, "did you mean 'input_word_ids'"),
        ({"input_mask": torch.ones(2, 3)}, "input_word_ids is NoneType"),
        ([torch.ones(2, 3)], "input_word_ids is torch.float32: expected integers"),
        ([torch.ones(2, dtype=torch.int64)], r"input_word_ids has shape \[2\]"),
        ([torch.ones(2, 13, dtype=torch.int64)], "T=13 tokens: at most max_seq_length=12"),
        ([torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 4)], r"input_mask has shape \[2, 4\]"),
        ([torch.ones(2, 3, dtype=torch.int64)] * 4, "4 inputs were given"),
        (
            [torch.ones(2, 3, dtype=torch.int64), None, torch.ones(2, 3)],
            "input_type_ids is torch.float32",
        ),
    ],
)
def test_wrong_inputs_are_named(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scaffold()(given)


IDS = torch.arange(10).reshape(2, 5)


def test_the_mask_is_found_in_any_form() -> None:
    mask = torch.ones(2, 5)
    assert mask_of({"input_mask": mask}) is mask
    assert mask_of([IDS, mask]) is mask
    assert mask_of((IDS,)) is None
    assert mask_of(IDS) is None
    assert read_inputs([IDS, mask]).mask is mask


def test_wrong_forms_are_named() -> None:
    with pytest.raises(InputError, match="inputs are of type int"):
        read_inputs(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="input_mask is list"):
        read_inputs([IDS, [1, 1]])
    with pytest.raises(InputError, match=r"input_mask is torch\.complex64"):
        read_inputs([IDS, torch.ones(2, 5, dtype=torch.complex64)])
    with pytest.raises(InputError, match=r"has shape \[2, 0\]: expected \[B, T\] with T > 0"):
        read_inputs([IDS[:, :0]])
