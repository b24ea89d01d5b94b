"""The supernet itself: an encoder that runs another list of its blocks in every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.inputs import Inputs
from nas.scaffold import EncoderScaffold

_SHOWN = 8
"""So many lists take turns in an evaluation of the whole."""

Path = tuple[int, ...]
"""The slots of the supernet that a list of blocks runs through, in order."""


class Supernet(EncoderScaffold):
    """An `EncoderScaffold` with a slot for each place and choice, of which each forward runs one path.

    Single path, uniform sampling (Guo et al. 2020, arXiv 1904.00420): in training every forward pass
    draws one of ``paths``; what is not on it gets no gradient, and no optimizer step. The draw is of
    PyTorch's random state, which a checkpoint restores. Evaluations run the path that was chosen with
    `choose`, or else the first few in turn.
    """

    paths: Sequence[Path] = ()
    _chosen: Path | None = None
    _turn: int = 0

    def choose(self, path: Path | None) -> None:
        """Run one path in evaluations; None: the first few of ``paths``, in turn."""
        self._chosen = path

    def train(self, mode: bool = True) -> Supernet:
        """Set the mode; an evaluation begins with the first path."""
        self._turn = 0
        super().train(mode)
        return self

    def _layer_outputs(self, inputs: Inputs, chosen: Tensor | None = None) -> list[Tensor]:
        every, path = self._slots, self._next_path()
        self._slots = tuple(every[i] for i in path)
        try:
            return super()._layer_outputs(inputs, chosen)
        finally:
            self._slots = every

    def _next_path(self) -> Path:
        if self.training:
            return self.paths[int(torch.randint(len(self.paths), ()))]
        if self._chosen is not None:
            return self._chosen
        self._turn += 1
        return self.paths[(self._turn - 1) % min(_SHOWN, len(self.paths))]
