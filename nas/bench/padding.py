"""The bench ``padding``: rows of different lengths, in batches of one length and of a few."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from nas.bench.bare import bare_loop, take_step
from nas.bench.base import Bench
from nas.bench.measure import check_device, choose_clock, interleave, ratio
from nas.bench.peers.models import like_bert
from nas.bench.throughput import SHAPES
from nas.config.compose import compose
from nas.config.parts import build_encoder
from nas.errors import check_choice, check_positive
from nas.progress import Say, silent
from nas.seeding import seed_torch
from nas.tasks.base import VALIDATION
from nas.tasks.buckets import WINDOW
from nas.tasks.classification import Classification
from nas.tasks.corpora.base import hash_of
from nas.tasks.corpora.stdlib import StdlibCorpus
from nas.tasks.generated import TRAINING
from nas.tasks.labelled import Labelled
from nas.tasks.tokenizers.bpe import BPETokenizer
from nas.train.memory import keep_memory
from nas.train.threads import thread_count
from nas.train.trainer import Trainer

if TYPE_CHECKING:
    from rich.table import Table

WINDOWS = 4
"""Windows of sorted rows that there are: steps go through them again and again."""


class PaddingBench(Bench):
    """Times training on paragraphs of the standard library, whose lengths differ as those of texts do.

    All sides train the same model on the same rows, a window of `nas.tasks.buckets.WINDOW` batches at
    a time: with every row as long as the longest, in batches of three lengths, and of eight (the
    default of `Classification`).

    Args:
        cache: folder of prepared data.
        shapes: names of `nas.bench.throughput.SHAPES`; null: ``tiny`` and ``small``.
        seconds: for each shape.
        device: ``cpu`` or ``cuda``.
        threads: of PyTorch on a CPU.

    Raises:
        InputError: a name or device that is not there.
    """

    name: ClassVar[str] = "padding"

    def __init__(
        self,
        cache: str,
        shapes: list[str] | None = None,
        seconds: float = 60.0,
        device: Literal["cpu", "cuda"] = "cpu",
        threads: int = 1,
    ) -> None:
        check_positive(seconds=seconds, threads=threads)
        self.shapes = shapes or ["tiny", "small"]
        for shape in self.shapes:
            check_choice("bench.shapes", shape, list(SHAPES))
        check_device(device)
        self.cache, self.seconds, self.device, self.threads = cache, seconds, device, threads

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Measure every shape; see `Bench`."""
        keep_memory()
        rows: list[dict[str, Any]] = []
        with thread_count(self.threads):
            for shape in self.shapes:
                report(shape)
                rows += self._rows(shape, seed, report)
        return {"rows": rows}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return one table."""
        from rich.table import Table

        table = Table(title="training on rows of different lengths", title_justify="left")
        for heading in (
            "shape",
            "lengths of batches",
            "padding",
            "tokens of text per second",
            "times one length",
        ):
            table.add_column(heading, justify="right")
        for row in results["rows"]:
            low, high = row["interval"]
            table.add_row(
                row["shape"], ", ".join(map(str, row["lengths"])), f"{row['padding']:.0%}",
                f"{row['tokens_per_second']:,.0f}", f"{row['ratio']:.2f} ({low:.2f}-{high:.2f})",
            )  # fmt: skip
        return [table]

    def _rows(self, name: str, seed: int, report: Say) -> list[dict[str, Any]]:
        batch, tokens = SHAPES[name].batch, SHAPES[name].tokens
        choices = [[tokens], [tokens // 4, tokens // 2, tokens], [tokens * i // 8 for i in range(1, 9)]]
        tasks = [Paragraphs(SHAPES[name].vocab, tokens, batch, lengths) for lengths in choices]
        for task in tasks:
            task.prepare(Path(self.cache).expanduser(), report)
        calls = {str(task.lengths): self._window(name, task, seed) for task in tasks}
        clock = choose_clock(torch.device(self.device), self.threads)
        timings = interleave(calls, self.seconds, seed, clock)
        rows = []
        for task in tasks:
            timing, (real, padded) = timings[str(task.lengths)], task.tokens(batch, seed)
            times, found = timing.milliseconds(), ratio(timings[str([tokens])], timing, seed)
            rows.append({
                "shape": name, "lengths": task.lengths, "padding": 1 - real / padded, "milliseconds": times,
                "tokens_per_second": real / WINDOWS / (times["median"] / 1e3), "ratio": found.value,
                "interval": [found.low, found.high],
            })  # fmt: skip
        return rows

    def _window(self, name: str, task: Paragraphs, seed: int) -> Callable[[], object]:
        """Return what trains on the next window of rows."""
        shape = SHAPES[name]
        sizes = f"encoder.hidden_size={shape.hidden_size}", f"encoder.num_heads={shape.heads}"
        overrides = [*like_bert(shape), *sizes, "tracker=none", f"seed={seed}"]
        config = compose("train", overrides).values()
        encoder = build_encoder(config, task)
        seed_torch(seed, "head")
        trainer = Trainer(steps=10**9, log_every=10**9, device=self.device, batch_size=shape.batch)
        loop = bare_loop(trainer, task.model(encoder), task, seed)

        def train() -> None:
            for _ in range(WINDOW):
                take_step(loop)

        return train


class Paragraphs(Classification):
    """Paragraphs of the standard library's files; the label tells whether one holds an assignment.

    Args:
        vocab_size: V, of a tokenizer that is fitted to them.
        seq_length: T; ends of longer paragraphs are left out.
        batch_size: rows of a step; there are `WINDOWS` windows of batches.
        lengths: of batches.
    """

    name: ClassVar[str] = "paragraphs"

    def __init__(self, vocab_size: int, seq_length: int, batch_size: int, lengths: list[int]) -> None:
        tokenizer = BPETokenizer(max(vocab_size, 512))
        super().__init__(tokenizer, seq_length, lengths, ["False", "True"], False, ["accuracy"], 0.0)
        self.rows = WINDOWS * WINDOW * batch_size

    def read(self) -> dict[str, list[Labelled]]:
        """Return the first paragraphs of the files."""
        texts = (t for document in StdlibCorpus().documents(silent) for t in document.text.split(b"\n\n"))
        kept = itertools.islice((text for text in texts if text.strip()), self.rows)
        rows = [Labelled(text, None, str(b" = " in text), f"paragraph {i}") for i, text in enumerate(kept)]
        return {TRAINING: rows, VALIDATION: rows[:1]}

    def source_key(self) -> str:
        """Return a hash of the corpus and of how many there are."""
        return hash_of(StdlibCorpus().key(), self.rows)

    def tokens(self, batch_size: int, seed: int) -> tuple[int, int]:
        """Return how many tokens an epoch has, of text and in all."""
        batches = [self.train_batch(step, batch_size, seed) for step in range(WINDOWS * WINDOW)]
        masks = [batch.inputs["input_mask"] for batch in batches]
        return int(sum(mask.sum() for mask in masks)), sum(mask.numel() for mask in masks)
