"""The zero-cost scores, by name; the higher, the better the model is believed to become."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.blocks.losses import collect_losses
from nas.search.proxies.attention import AttentionWeights, confidence
from nas.tasks.base import Batch, Task

_JITTER = 1e-5


@dataclass(frozen=True)
class Probe:
    """What one batch told.

    Attributes:
        parameters: those of the model that have a gradient, with it: (name, value, gradient).
        weights: the attention weights [B, H, T, S] of every softmax attention.
        jacobian: the gradient of the summed outputs to each row's embeddings, [B, T * D].
    """

    parameters: list[tuple[str, Tensor, Tensor]]
    weights: list[Tensor]
    jacobian: Tensor


def zero_cost_scores(model: nn.Module, task: Task, batch: Batch) -> dict[str, float]:
    """Return every score of an untrained model; it is left as it was, without gradients.

    One forward and two backward passes: a fraction of a training step or two. Most of what such
    scores tell is size (Serianni & Kalita 2023, ACL): look at their correlation among models of
    equal size before trusting one.

    Args:
        model: of the task, on any device.
        task: gives the loss.
        batch: on the model's device.
    """
    probe = _probe(model, task, batch)
    return {name: score(probe) for name, score in SCORES.items()}


def parameters(probe: Probe) -> float:
    """Return the number of parameters: what every other score has to beat."""
    return float(sum(value.numel() for _, value, _ in probe.parameters))


def gradient_norm(probe: Probe) -> float:
    """Return the sum of the gradients' norms (Abdelfattah et al. 2021, arXiv 2101.08134)."""
    return sum(float(gradient.norm()) for _, _, gradient in probe.parameters)


def synaptic_saliency(probe: Probe) -> float:
    """Return the sum of |weight x gradient| (Lee et al. 2019, arXiv 1810.02340, as a sum over weights)."""
    return sum(float((value * gradient).abs().sum()) for _, value, gradient in probe.parameters)


def synaptic_diversity(probe: Probe) -> float:
    """Return the sum over matrices of the nuclear norms of weight and gradient, multiplied.

    TF-TAS (Zhou et al. 2022, arXiv 2203.12217). Difference: over the matrices of every block, there
    of attention alone, since a list here may hold none.
    """
    matrices = [(v, g) for _, v, g in probe.parameters if v.dim() == 2 and min(v.shape) > 1]
    return sum(float(_nuclear(value) * _nuclear(gradient)) for value, gradient in matrices)


def attention_confidence(probe: Probe) -> float:
    """Return the mean of the largest attention weight (Serianni & Kalita 2023); 0 without attention."""
    found = confidence(probe.weights)
    return sum(found) / len(found) if found else 0.0


def jacobian_covariance(probe: Probe) -> float:
    """Return how differently the rows of a batch act (Mellor et al. 2021, arXiv 2006.04647, first version).

    Minus the sum over the eigenvalues l of the rows' correlation of log(l) + 1 / l: highest where
    no two rows have the same effect.
    """
    rows = probe.jacobian - probe.jacobian.mean(dim=1, keepdim=True)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    eigenvalues = torch.linalg.eigvalsh((rows @ rows.T).double().cpu()).clamp(min=0) + _JITTER
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


SCORES: dict[str, Callable[[Probe], float]] = {
    score.__name__: score
    for score in (
        parameters,
        gradient_norm,
        synaptic_saliency,
        synaptic_diversity,
        attention_confidence,
        jacobian_covariance,
    )
}


def _probe(model: nn.Module, task: Task, batch: Batch) -> Probe:
    trained = model.training
    model.eval()  # dropout would make the scores random
    try:
        with _embeddings(model) as embedded, AttentionWeights() as seen, collect_losses() as auxiliary:
            answers = model(batch)
            loss = sum(auxiliary.values(), start=task.loss(answers))
        (jacobian,) = torch.autograd.grad(answers.logits.sum(), embedded, retain_graph=True)
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        gradients = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
    finally:
        model.train(trained)
    there = [(n, p.detach(), g) for (n, p), g in zip(named, gradients, strict=True) if g is not None]
    return Probe(there, seen.weights, jacobian.flatten(1).float())


class _embeddings:  # noqa: N801 (a context manager, used like a function)
    """Yield a list that the forward pass fills with the embeddings [B, T, D]."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.found: list[Tensor] = []

    def __enter__(self) -> list[Tensor]:
        def keep(module: nn.Module, inputs: object, output: object) -> None:
            self.found.append(next(_tensors(output)))

        self._hook = self.model.encoder.embedding.register_forward_hook(keep)  # type: ignore[union-attr]
        return self.found

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, tuple | list):
        yield from (part for part in output if isinstance(part, Tensor))


def _nuclear(matrix: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.matrix_norm(matrix.float(), ord="nuc")
    return norm if math.isfinite(norm) else norm.new_zeros(())
