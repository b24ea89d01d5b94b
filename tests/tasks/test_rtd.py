"""Replaced-token detection: labels, sampling and gradients of the model that makes them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.blocks.losses import collect_losses
from nas.embeddings.default import TransformerEmbedding
from nas.errors import InputError
from nas.scaffold import EncoderScaffold
from nas.tasks.replaced import ReplacedBatch, sample
from nas.tasks.rtd import WEIGHT, ReplacedTokenDetection

KINDS = ("separate", "shared")


def encoder_for(task: Any, width: int = 16) -> EncoderScaffold:
    torch.manual_seed(0)
    embedding = TransformerEmbedding(task.vocab_size, width, task.longest)
    return EncoderScaffold(width, embedding_cls=embedding, hidden_cls=Mean, num_hidden_instances=1)


class Mean(nn.Module):
    """Adds what the mean of the row says to every token."""

    def __init__(self, hidden_size: int = 16) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, hidden_size)

    def forward(self, data: torch.Tensor, mask: Any = None) -> torch.Tensor:
        return data + self.linear(data.mean(1, keepdim=True))


@pytest.fixture(scope="module", params=KINDS)
def task(request: pytest.FixtureRequest, make_task: Any) -> ReplacedTokenDetection:
    made: ReplacedTokenDetection = make_task("rtd", generator=request.param, validation_tokens=4096)
    return made


def originals(batch: ReplacedBatch) -> torch.Tensor:
    hidden = batch.inputs["input_word_ids"].flatten().clone()
    hidden[batch.positions] = batch.labels
    return hidden


class Watched(nn.Module):
    """Remembers what the encoder was shown last."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.inner = encoder
        self.hidden_size = encoder.hidden_size
        self.embedding = encoder.embedding
        self.shown: list[torch.Tensor] = []

    def get_embedding_table(self) -> Any:
        return self.inner.get_embedding_table()

    def sequence_output(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        self.shown.append(inputs["input_word_ids"])
        return self.inner.sequence_output(inputs)


def test_labels_say_what_was_replaced(task: ReplacedTokenDetection) -> None:
    watched = Watched(encoder_for(task))
    model = task.model(watched)
    batch = task.train_batch(0, 16, 0)
    answers = model(batch)
    shown, original = watched.shown[-1].flatten(), originals(batch)
    assert torch.equal(answers.labels, (shown != original).long())
    assert torch.equal(answers.rows, torch.arange(16).repeat_interleave(task.seq_length))
    assert answers.logits.shape == (16 * task.seq_length, 2)
    untouched = torch.ones(len(shown), dtype=torch.bool)
    untouched[batch.positions] = False
    assert torch.equal(shown[untouched], original[untouched])
    assert 0 < answers.labels.sum() <= len(batch.positions)
    assert len(watched.shown) == (2 if task.generator == "shared" else 1)


def test_a_right_guess_counts_as_not_replaced(task: ReplacedTokenDetection) -> None:
    model = task.model(encoder_for(task))
    with torch.no_grad():
        model.token_head.norm.weight.zero_()
        model.token_head.norm.bias.zero_()
        model.token_head.bias.fill_(-1e9)
        batch = task.train_batch(0, 4, 0)
        model.token_head.bias[batch.labels[0]] = 1e9
    labels = model(batch).labels
    right = batch.positions[batch.labels == batch.labels[0]]
    assert labels[right].sum() == 0
    assert labels.sum() == len(batch.positions) - len(right)


def test_the_detector_learns_nothing_through_the_choice(task: ReplacedTokenDetection) -> None:
    """What only predicts tokens gets its gradient from the generator's loss alone, weighted."""
    model = task.model(encoder_for(task))
    batch = task.train_batch(0, 8, 0)
    with collect_losses() as losses:
        loss = task.loss(model(batch))
    assert losses.keys() == {"generator"}
    alone = [model.token_head.bias, *(model.generator.parameters() if model.generator else ())]
    assert all(g is None for g in torch.autograd.grad(loss, alone, allow_unused=True, retain_graph=True))
    found = torch.autograd.grad(losses["generator"], alone, retain_graph=True)
    plain = nn.functional.cross_entropy(model._generated(batch), batch.labels)
    for gradient, expected in zip(found, torch.autograd.grad(plain, alone), strict=True):
        torch.testing.assert_close(gradient, WEIGHT * expected)
    table = model.encoder.get_embedding_table()  # shared by both
    assert all(
        torch.autograd.grad(value, table, retain_graph=True)[0].abs().sum() > 0
        for value in (loss, losses["generator"])
    )


def test_batches_bring_their_chances(task: ReplacedTokenDetection) -> None:
    batch = task.train_batch(7, 8, 3)
    assert torch.equal(batch.chances, task.train_batch(7, 8, 3).chances)
    assert not torch.equal(batch.chances, task.train_batch(8, 8, 3).chances)
    assert not torch.equal(batch.chances, task.train_batch(7, 8, 4).chances)
    assert batch.chances.shape == batch.labels.shape
    part = batch.part(2, 5)
    assert torch.equal(part.chances, batch.chances.view(8, -1)[2:5].flatten())
    moved = batch.to("cpu")
    assert isinstance(moved, ReplacedBatch)
    assert torch.equal(moved.chances, batch.chances)


def test_evaluation_does_not_depend_on_the_batch_size(task: ReplacedTokenDetection) -> None:
    model = task.model(encoder_for(task)).eval()
    found = []
    with torch.inference_mode():
        for size in (5, 64, 64):
            torch.manual_seed(size)
            scores = task.scores()
            for batch in task.batches("val", size):
                scores.add(model(batch))
            found.append(scores.metrics("val"))
    assert found[1] == found[2]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert found[0].keys() == set(task.metrics)


def test_a_copied_model_uses_its_own_table(task: ReplacedTokenDetection) -> None:
    model = task.model(encoder_for(task))
    batch = task.train_batch(0, 2, 0)
    twin = copy.deepcopy(model)
    before = twin(batch).logits
    with torch.no_grad():
        model.encoder.get_embedding_table().normal_()
    assert torch.equal(twin(batch).logits, before)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_sampling_follows_the_distribution(seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 7, generator=stream) * 2
    drawn = sample(logits.expand(20_000, 7), torch.rand(20_000, generator=stream))
    shares = torch.bincount(drawn, minlength=7) / 20_000
    assert (shares - logits.softmax(-1)[0]).abs().max() < 0.02


def test_sampling_at_the_ends() -> None:
    logits = torch.tensor([[-200.0, 0.0, -200.0]]).expand(3, 3)
    almost = torch.tensor([0.0, 0.5, 1 - 2**-24])
    assert sample(logits, almost).tolist() == [1, 1, 1]


def test_the_generator_is_narrow_and_of_plain_layers(make_task: Any) -> None:
    task = make_task("rtd", generator_size=0.5, generator_layers=3)
    generator = task.model(encoder_for(task, width=16)).generator
    assert generator.hidden_size == 8
    assert [block.label for block in generator.span.inner_blocks] == ["mha", "mlp"] * 3
    assert generator.flops_per_token(64) > 2 * 16 * 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generator": "seperate"}, r"task\.generator='seperate' is not one of.*did you mean 'separate'"),
        ({"generator_size": 0.0}, r"task\.generator_size=0\.0 must be above 0 and at most 1"),
        ({"generator_layers": 0}, r"task\.generator_layers=0 must be greater than 0"),
        ({"mask_rate": 1.5}, r"mask_rate=1\.5 must be above 0 and below 1"),
    ],
)
def test_wrong_settings(make_task: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message) as error:
        make_task("rtd", **change)
    assert isinstance(error.value, InputError) or isinstance(error.value.__cause__, InputError)
