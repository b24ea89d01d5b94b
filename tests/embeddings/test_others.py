"""The other embeddings: factorized, packed, MobileBERT's, sinusoids; each YAML runs in an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.config.build import build
from nas.embeddings import (
    FactorizedEmbedding,
    MobileBertEmbedding,
    PackedSequenceEmbedding,
    TransformerEmbedding,
)
from nas.embeddings.sinusoid import RelativePositionEmbedding
from nas.embeddings.tables import TableEmbedding
from nas.errors import InputError

CONF = Path(__file__).resolve().parents[2] / "conf" / "embedding"
TINY = ["task=mqar", "task.seq_length=16", "task.num_pairs=2", "encoder.hidden_size=16", "tracker=none"]
SIZES: dict[str, Any] = {"vocab_size": 20, "hidden_size": 8, "max_seq_length": 12, "type_vocab_size": 3}
IDS = torch.tensor([[1, 5, 6, 1, 7, 8, 9], [1, 5, 1, 6, 1, 7, 8]])
TYPES = torch.tensor([[0, 0, 1, 1, 2, 2, 2]] * 2)


def filled(embedding: TableEmbedding) -> TableEmbedding:
    torch.manual_seed(0)
    for parameter in embedding.parameters():
        torch.nn.init.normal_(parameter)
    return embedding


@pytest.mark.parametrize("name", sorted(p.stem for p in CONF.glob("*.yaml")))
def test_every_yaml_makes_an_encoder(name: str) -> None:
    run = build([f"embedding={name}", *TINY])
    ids = torch.randint(0, run.task.vocab_size, (2, 16))
    assert run.encoder.sequence_output([ids, torch.ones(2, 16)]).shape == (2, 16, 16)
    assert run.description["embedding"]["label"] == run.encoder.embedding.label


def test_a_factorized_sum_is_normalised_narrow_and_projected() -> None:
    made = filled(FactorizedEmbedding(**SIZES, embedding_width=4))
    summed = made.word_embeddings(IDS) + made.position_embeddings.weight[:7] + made.type_embeddings(TYPES)
    wanted = made.after(F.layer_norm(summed, (4,), made.norm.weight, made.norm.bias, 1e-12))
    torch.testing.assert_close(made([IDS, None, TYPES]), wanted)
    assert made.label == "word4+position+type"
    assert made.flops_per_token(7) == 2 * 4 * 8


def test_factorized_words_are_projected_before_the_sum() -> None:
    made = filled(FactorizedEmbedding(**SIZES, embedding_width=4, projected="word", projection_bias=False))
    words = made.word_embeddings(IDS) @ made.before.weight.T
    summed = words + made.position_embeddings.weight[:7] + made.type_embeddings(TYPES)
    torch.testing.assert_close(made([IDS, None, TYPES]), made.norm(summed))
    assert made.position_embeddings.weight.shape == (12, 8)


def test_a_quarter_of_the_width_is_the_default() -> None:
    assert FactorizedEmbedding(**SIZES).word_embeddings.embedding_dim == 2
    assert MobileBertEmbedding(**SIZES).word_embeddings.embedding_dim == 2
    with pytest.raises(InputError, match="embedding_width=0 must be an integer greater than 0"):
        FactorizedEmbedding(**SIZES, embedding_width=0)
    with pytest.raises(InputError, match="projected='all' is not one of"):
        FactorizedEmbedding(**SIZES, projected="all")


def test_packed_texts_are_as_if_each_were_alone() -> None:
    made = filled(PackedSequenceEmbedding(**SIZES, pack_multiple_sequences=True))
    padding = torch.ones(2, 7)
    padding[0, 6] = 0
    data, mask = made([IDS, padding])
    alone = filled(PackedSequenceEmbedding(**SIZES))
    torch.testing.assert_close(data[0, 3:], alone(IDS[:1, 3:])[0])
    torch.testing.assert_close(data[1, 2:4], alone(IDS[1:, 2:4])[0])
    wanted = torch.block_diag(torch.ones(3, 3), torch.ones(4, 4))
    wanted[:, 6] = 0
    torch.testing.assert_close(mask[0], wanted)


def test_positions_may_be_an_input() -> None:
    made = filled(PackedSequenceEmbedding(**SIZES, use_position_id=True))
    places = torch.arange(7).flip(0).expand(2, -1)
    summed = made.word_embeddings(IDS) + made.position_embeddings(places) + made.type_embeddings(TYPES)
    named = {"input_word_ids": IDS, "input_type_ids": TYPES, "position_ids": places}
    for inputs in ([IDS, None, TYPES, places], named):
        torch.testing.assert_close(made(inputs), made.norm(summed))
    with pytest.raises(InputError, match="needs an input position_ids"):
        made([IDS, None, TYPES])
    with pytest.raises(InputError, match=r"position_ids has shape \[2, 3\]"):
        made([IDS, None, TYPES, places[:, :3]])
    with pytest.raises(InputError, match=r"^position_ids holds 12: expected 0 to 11 \(max_seq_length=12\)$"):
        made([IDS, None, TYPES, places + 6])


def test_mobilebert_reads_three_tokens_and_no_padding() -> None:
    made = filled(MobileBertEmbedding(**SIZES, embedding_width=4))
    words = made.word_embeddings(IDS)
    none = torch.zeros(2, 1, 4)
    three = torch.cat([torch.cat([words[:, 1:], none], 1), words, torch.cat([none, words[:, :-1]], 1)], -1)
    summed = made.before(three) + made.position_embeddings.weight[:7] + made.type_embeddings(TYPES)
    torch.testing.assert_close(made([IDS, None, TYPES]), made.norm(summed))
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0]] * 2)
    torch.testing.assert_close(made([IDS, mask])[:, :4], made(IDS[:, :4]))
    as_there = filled(MobileBertEmbedding(**SIZES, embedding_width=4, padding_as_neighbour=True))
    torch.testing.assert_close(as_there([IDS, mask]), as_there(IDS))


def test_sinusoids_have_the_first_and_the_last_wavelength() -> None:
    table = RelativePositionEmbedding(8, max_timescale=100.0)
    places = table(torch.zeros(2, 5, 3))
    assert places.shape == (5, 8)
    steps = torch.arange(5.0)
    torch.testing.assert_close(places[:, 0], steps.sin())
    torch.testing.assert_close(places[:, -1], (steps / 100).cos())
    with pytest.raises(InputError, match="hidden_size=7 of sinusoid positions must be even"):
        RelativePositionEmbedding(7)


def test_positions_may_be_sinusoids_and_words_scaled() -> None:
    made = filled(TransformerEmbedding(**SIZES, position="sinusoid", word_scale=3.0))
    summed = 3 * made.word_embeddings(IDS) + made.sinusoid(IDS) + made.type_embeddings(TYPES)
    torch.testing.assert_close(made([IDS, None, TYPES]), made.norm(summed))
    assert made.label == "word+sinusoid+type"
    with pytest.raises(InputError, match=r"word_scale=0\.0 must be greater than 0"):
        TransformerEmbedding(**SIZES, word_scale=0.0)


@pytest.mark.parametrize("cls", [FactorizedEmbedding, MobileBertEmbedding, PackedSequenceEmbedding])
def test_export_and_half_precision(cls: type[TableEmbedding]) -> None:
    made = cls(
        **SIZES, **({"pack_multiple_sequences": True} if cls is PackedSequenceEmbedding else {})
    ).eval()
    mask = torch.ones(2, 7)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", min=2, max=12)}
    exported = torch.export.export(
        made, ([IDS, mask],), dynamic_shapes=([sizes, sizes],), strict=False
    ).module()
    shorter = ([IDS[:, :5], mask[:, :5]],)
    torch.testing.assert_close(exported(*shorter), made(*shorter))
    out = made.to(torch.bfloat16)([IDS, mask])
    assert all(part.dtype is torch.bfloat16 for part in _tensors(out))


def _tensors(out: Any) -> list[Tensor]:
    return list(out) if isinstance(out, tuple) else [out]
