"""The bench ``stacked``: candidates trained together in one process, against one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import nn

from nas.bench.bare import RATE, bare_loop, take_step
from nas.bench.base import Bench
from nas.bench.markov import MarkovText
from nas.bench.measure import check_device, choose_clock, interleave, ratio
from nas.bench.throughput import SHAPES
from nas.config.compose import compose
from nas.config.parts import build_encoder
from nas.errors import check_choice, check_positive
from nas.progress import Say
from nas.seeding import seed_torch
from nas.train.memory import keep_memory
from nas.train.optimizers import AdamW
from nas.train.schedules import Constant
from nas.train.stacked import Stack
from nas.train.threads import thread_count
from nas.train.trainer import Trainer

if TYPE_CHECKING:
    from rich.table import Table

    from nas.bench.peers.models import ModelShape


class StackedBench(Bench):
    """Times a step of `nas.train.stacked.Stack` with K candidates against K steps of single runs.

    Pre-norm attention and feed-forward slots, equal in both; whole steps, data included.

    Args:
        shapes: names of `nas.bench.throughput.SHAPES`; null: ``micro`` and ``tiny``.
        candidates: K, one measurement for each; null: 4 and 16.
        seconds: for each shape and precision.
        device: ``cpu`` or ``cuda``.
        threads: of PyTorch on a CPU.

    Raises:
        InputError: a name or device that is not there.
    """

    name: ClassVar[str] = "stacked"

    def __init__(
        self,
        shapes: list[str] | None = None,
        candidates: list[int] | None = None,
        seconds: float = 15.0,
        device: Literal["cpu", "cuda"] = "cpu",
        threads: int = 1,
    ) -> None:
        self.shapes, self.candidates = shapes or ["micro", "tiny"], candidates or [4, 16]
        check_positive(seconds=seconds, threads=threads, candidates=min(self.candidates))
        for shape in self.shapes:
            check_choice("bench.shapes", shape, list(SHAPES))
        check_device(device)
        self.seconds, self.device, self.threads = seconds, device, threads

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Measure every shape in both precisions; see `Bench`."""
        keep_memory()
        rows: list[dict[str, Any]] = []
        with thread_count(self.threads):
            for name in self.shapes:
                for precision in ("fp32", "bf16"):
                    report(f"{name}, {precision}")
                    rows += self._rows(name, precision, seed)
        return {"rows": rows}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return one table."""
        from rich.table import Table

        table = Table(title="steps of K single runs / one step of a stack of K", title_justify="left")
        for heading in ("shape", "precision", "K", "single step", "times faster"):
            table.add_column(heading, justify="right")
        for row in results["rows"]:
            low, high = row["interval"]
            told = f"{row['ratio']:.2f} ({low:.2f}-{high:.2f})"
            single = f"{row['milliseconds']['median']:.1f} ms"
            table.add_row(row["shape"], row["precision"], str(row["candidates"]), single, told)
        return [table]

    def _rows(self, name: str, precision: str, seed: int) -> list[dict[str, Any]]:
        shape = SHAPES[name]
        task = MarkovText(shape.vocab, shape.tokens, shape.batch)
        settings = {"precision": precision, "device": self.device, "batch_size": shape.batch}
        trainer = Trainer(steps=10**9, log_every=10**9, **settings)  # type: ignore[arg-type]
        loop = bare_loop(trainer, _model(shape, task, seed), task, seed)
        calls: dict[str, Callable[[], object]] = {"single": lambda: take_step(loop)}
        for count in self.candidates:
            models = [_model(shape, task, seed + index) for index in range(count)]
            stack = Stack(
                models, task, range(count), [RATE] * count, AdamW(), Constant(warmup=0.0), steps=10**9,
                batch_size=shape.batch, device=loop.device, dtype=loop.dtype,
            )  # fmt: skip
            calls[f"stack of {count}"] = stack.step
        timings = interleave(calls, self.seconds, seed, choose_clock(loop.device, self.threads))
        rows = []
        for count in self.candidates:
            found = ratio(timings["single"], timings[f"stack of {count}"], seed)
            rows.append({
                "shape": name, "precision": precision, "candidates": count,
                "milliseconds": timings["single"].milliseconds(), "ratio": count * found.value,
                "interval": [count * found.low, count * found.high],
            })  # fmt: skip
        return rows


def _model(shape: ModelShape, task: MarkovText, seed: int) -> nn.Module:
    slots = ",".join(["attn,mlp"] * shape.layers)
    overrides = ["encoder=hybrid", f"encoder.hidden_cls=[{slots}]", "tracker=none", f"seed={seed}"]
    sizes = [f"encoder.hidden_size={shape.hidden_size}", f"encoder.num_heads={shape.heads}"]
    widths = [f"encoder.blocks.mlp.inner_dim={shape.inner}", "encoder.blocks.attn.position=none"]
    encoder = build_encoder(compose("train", [*overrides, *sizes, *widths]).values(), task)
    seed_torch(seed, "head")
    return task.model(encoder).train()
