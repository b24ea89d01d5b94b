"""The text of a masked-language task as plain arrays, for a script that knows nothing of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.errors import InputError
from nas.progress import Say
from nas.tasks.base import VALIDATION
from nas.tasks.mlm import MaskedLanguageModelling
from nas.tasks.prepared import prepare_text
from nas.tasks.scoring import IGNORED
from nas.tasks.tokenizers.base import Tokenizer


def write_arrays(task: object, cache: Path, path: Path, say: Say) -> None:
    """Write the training text and the validation rows, with what is hidden in them, as an ``.npz`` file.

    It holds ``train`` [N], ``validation_ids`` and ``validation_labels`` [R, T] (-100 where nothing is
    asked), ``vocab_size``, ``mask_id`` and ``masked_per_row``.

    Raises:
        InputError: the task is not masked-language modelling.
    """
    if not isinstance(task, MaskedLanguageModelling):
        raise InputError(f"task={getattr(task, 'name', task)!r} must be mlm: that is what the script trains")
    task.prepare(cache, say)
    text = prepare_text(task.corpus, task.tokenizer, task.validation_fraction, cache, say)
    ids, labels = [], []
    for batch in task.batches(VALIDATION, 256):
        rows = batch.inputs["input_word_ids"].numpy()
        asked = np.full(rows.size, IGNORED, np.int64)
        asked[batch.positions.numpy()] = batch.labels.numpy()
        ids.append(rows)
        labels.append(asked.reshape(rows.shape))
    np.savez(
        path,
        train=text.train,
        validation_ids=np.concatenate(ids),
        validation_labels=np.concatenate(labels),
        vocab_size=task.vocab_size,
        mask_id=Tokenizer.mask,
        masked_per_row=task.masked_per_row,
    )
