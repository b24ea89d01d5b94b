"""Masked-language modelling: hidden tokens of real text are predicted from what is left visible."""

from __future__ import annotations

import torch
from torch import nn

from nas.heads import TokenHead
from nas.tasks.corpora.base import Corpus
from nas.tasks.masked_text import MaskedText
from nas.tasks.masking import Replace
from nas.tasks.tokenizers.base import Tokenizer


class MaskedLanguageModelling(MaskedText):
    """BERT's task (Devlin et al. 2019, arXiv 1810.04805) without the next-sentence part.

    Differences: 30 % are hidden instead of 15 % (Wettig et al. 2023, arXiv 2202.08005); every row
    hides the same number of tokens, so that shapes are static; documents follow each other without
    padding (see `nas.tasks.masked_text.MaskedText`, also for the arguments).

    Raises:
        InputError: an argument is out of its range.
    """

    name = "mlm"
    measures = ("loss", "accuracy", "bits_per_byte")

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        seq_length: int = 64,
        mask_rate: float = 0.3,
        replace: Replace = "mask",
        validation_fraction: float = 0.05,
        validation_tokens: int = 65536,
    ) -> None:
        super().__init__(
            corpus, tokenizer, seq_length, mask_rate, replace, validation_fraction, validation_tokens
        )

    def head(self, encoder: nn.Module) -> nn.Module:
        """Return a head that shares the encoder's embedding table.

        If the text is prepared, the head starts from how often each token occurs, so that a short
        run is not spent on learning that.
        """
        prior = None if self._text is None else torch.from_numpy(self._text.counts)
        return TokenHead(encoder, self.vocab_size, prior)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the hidden tokens, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) * self.masked_per_row / self.seq_length
