"""Which tokens of a row are hidden, and what stands in their place."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.tasks.tokenizers.base import Tokenizer

Ids = NDArray[np.int64]
Replace = Literal["mask", "80/10/10"]


def choose(tokens: Ids, count: int, rng: np.random.Generator) -> Ids:
    """Choose ``count`` positions in every row of ``tokens`` [B, T]; the result is [B, count], ascending.

    Special tokens come last: they are chosen only where a row has too few others.
    """
    keys = rng.random(tokens.shape)
    keys += tokens < Tokenizer.specials
    chosen: Ids = np.argpartition(keys, count - 1, axis=1)[:, :count]
    chosen.sort(axis=1)
    return chosen


def hide(tokens: Ids, chosen: Ids, replace: Replace, vocab_size: int, rng: np.random.Generator) -> Ids:
    """Return a copy of ``tokens`` [B, T] with something else at the chosen positions [B, M].

    ``mask`` puts the mask token everywhere. ``80/10/10`` (Devlin et al. 2019) puts it at 80 %, a
    random token at 10 %, and leaves 10 % as they are; each position is drawn for itself.
    """
    hidden = tokens.copy()
    if replace == "mask":
        np.put_along_axis(hidden, chosen, Tokenizer.mask, axis=1)
        return hidden
    dice = rng.random(chosen.shape)
    random = rng.integers(Tokenizer.specials, vocab_size, chosen.shape)
    kept = np.take_along_axis(tokens, chosen, axis=1)
    new = np.where(dice < 0.8, Tokenizer.mask, np.where(dice < 0.9, random, kept))
    np.put_along_axis(hidden, chosen, new, axis=1)
    return hidden
