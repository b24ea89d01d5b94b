"""What the recall tasks share: keys whose value was seen once, and is hidden wherever the key repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.heads import TokenHead
from nas.tasks.generated import GeneratedTask, Ids, Rows
from nas.tasks.scoring import IGNORED

NOT_COMPARABLE = (
    "a masked form for bidirectional encoders: scores are not comparable with the published causal table"
)


class MaskedRecall(GeneratedTask):
    """In-context recall (Poli et al. 2024, arXiv 2403.17844) as a masked task.

    A row is a series of pairs of a key and a value. In every row each key has one value, another
    one in the next row. Where a key comes for the first time its value is shown; wherever it comes
    again its value is replaced by mask tokens, and asked for. The last pair's key has been there
    before.

    Differences: in the paper, a causal model predicts each token from those before it, and is scored
    on the values of repeated keys; an encoder that sees both sides would read them off the input.
    So they are hidden, in training as in validation, and the loss is on them alone (there, in training,
    on every token). **Scores are not comparable with the published causal table.**

    Args:
        vocab_size: V without the mask token; the task's own ``vocab_size`` has it.
        seq_length: T, tokens in a row.
        most: at most so many tokens of a row are asked for; fewer are padded by ignored ones.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: rows in each split.
        mistakes: what a subclass found wrong with its own settings.
    """

    note = NOT_COMPARABLE

    def __init__(
        self,
        vocab_size: int,
        seq_length: int,
        most: int,
        train_examples: int | None,
        validation_examples: int,
        mistakes: Sequence[str],
    ) -> None:
        super().__init__(train_examples, validation_examples, mistakes)
        self.mask = vocab_size
        self.vocab_size = vocab_size + 1
        self.seq_length = seq_length
        self.most = most

    def hidden(self, tokens: Ids, asked: Ids) -> Rows:
        """Return the rows in which ``asked`` [B, T] tells what is hidden and asked for."""
        places = np.sort(np.argsort(~asked, axis=1, kind="stable")[:, : self.most], axis=1)
        answers = np.where(asked, tokens, IGNORED)
        shown = np.where(asked, self.mask, tokens)
        return Rows(shown, places, np.take_along_axis(answers, places, axis=1))

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the asked tokens, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) * self.most / self.seq_length


def first_places(codes: Ids) -> Ids:
    """Return for each number of ``codes`` [B, P] the first place in its row that holds the same."""
    order = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    new = np.ones(codes.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    begin = np.maximum.accumulate(np.where(new, np.arange(codes.shape[1]), 0), axis=1)
    first = np.empty_like(order)
    np.put_along_axis(first, order, np.take_along_axis(order, begin, axis=1), axis=1)
    return first
