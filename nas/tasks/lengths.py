"""Rows of different lengths: the range of each split, padding, and the slot where an answer is asked."""

from __future__ import annotations

import numpy as np

from nas.tasks.generated import Ids, Rows

LONGER = "longer"


def length_mistakes(train_length: int, test_length: int, least: int, step: int = 1) -> list[str]:
    """Say what is wrong with the longest rows of training and of ``longer``.

    Args:
        train_length: tokens of the longest in training.
        test_length: tokens of the longest in ``longer``.
        least: tokens of the shortest that there is.
        step: from one possible length to the next.
    """
    mistakes = []
    if train_length < least:
        mistakes.append(f"task.train_length={train_length} must be at least {least}")
    train_length = max(train_length, least)
    above = train_length - (train_length - least) % step + step
    if test_length < above:
        mistakes.append(
            f"task.test_length={test_length} must be at least {above}: "
            f"all rows of {LONGER} are longer than those of training"
        )
    return mistakes


def asked_after(tokens: Ids, lengths: Ids, answers: Ids, mask: int, width: int) -> Rows:
    """Return rows that ask at a mask token behind the input; padding shows it too, but is masked.

    Args:
        tokens: [B, N]; what is behind a row's length means nothing.
        lengths: [B], tokens of each input.
        answers: [B].
        mask: the token.
        width: T, more than the longest input.
    """
    places = np.arange(width)
    written = np.full((len(tokens), width), mask, np.int64)
    written[:, : tokens.shape[1]] = tokens
    written = np.where(places < lengths[:, None], written, mask)
    return Rows(written, lengths[:, None], answers[:, None], places <= lengths[:, None])
