"""The bench ``throughput``: whole training steps of our trainer and of public encoders, in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import nn

from nas.bench.bare import RATE, bare_loop, take_step
from nas.bench.base import Bench
from nas.bench.limits import matmul_limit, peak_memory, training_flops
from nas.bench.markov import MarkovText
from nas.bench.measure import Timing, check_device, choose_clock, interleave, ratio
from nas.bench.peers.models import RIVALS, ModelShape, Rival
from nas.bench.throughput_tables import throughput_tables
from nas.config.compose import compose
from nas.config.parts import build_encoder
from nas.errors import InputError, check_choice, check_positive
from nas.progress import Say
from nas.seeding import seed_torch
from nas.train.compile import Compile, choose_compile, compile_model
from nas.train.memory import keep_memory
from nas.train.threads import thread_count
from nas.train.trainer import Trainer

if TYPE_CHECKING:
    from rich.table import Table

SHAPES = {
    "micro": ModelShape(32, 2, 2, 128, 16, 32, 64),
    "tiny": ModelShape(64, 2, 2, 256, 64, 64, 256),
    "small": ModelShape(256, 4, 4, 1024, 128, 32, 8192),
    "base": ModelShape(768, 12, 12, 3072, 512, 32, 30528),
}
"""D, L, H, F, T, B, V; ``base`` is BERT's, for a GPU."""
LOSS_STEPS, LAST = 200, 20


class ThroughputBench(Bench):
    """Times one whole step: data, forward, backward, clipping, optimizer; dropout 0 unless said.

    Each rival runs in all of its forms and in both precisions; the fastest of them is its best. Ours
    chooses for itself, and is built to match: post-norm layers for BERT, the ModernBERT preset, pre-norm
    slots for x_transformers. All use fused AdamW, and the same allocator.

    Args:
        shapes: names of `SHAPES`; null: ``tiny`` and ``small``, on a CUDA device ``base`` too.
        rivals: parts of names; null: all.
        seconds: for each shape.
        precision: of our side: ``auto``, ``fp32`` or ``bf16``.
        compile: of our side, see `nas.train.compile`; where it is asked for, rivals are compiled as a whole.
        keep_memory: of both sides; see `nas.train.memory`.
        check_loss: also train each for 200 steps on the same data, and show the mean of the last 20
            losses.
        device: ``cpu`` or ``cuda``.
        threads: of PyTorch on a CPU.

    Raises:
        InputError: a name or device that is not there.
    """

    name: ClassVar[str] = "throughput"

    def __init__(
        self,
        shapes: list[str] | None = None,
        rivals: list[str] | None = None,
        seconds: float = 120.0,
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        compile: Compile = "none",
        keep_memory: bool = True,
        check_loss: bool = False,
        device: Literal["cpu", "cuda"] = "cpu",
        threads: int = 1,
    ) -> None:
        check_positive(seconds=seconds, threads=threads)
        default = ["tiny", "small", *(["base"] if device == "cuda" else [])]
        for shape in shapes or default:
            check_choice("bench.shapes", shape, list(SHAPES))
        check_device(device)
        self.rivals = [r for r in RIVALS if not rivals or any(part in r.name for part in rivals)]
        if not self.rivals:
            raise InputError(f"bench.rivals={rivals}: none of {[r.name for r in RIVALS]} has such a name")
        self.shapes, self.seconds, self.check_loss = shapes or default, seconds, check_loss
        self.trainer = Trainer(
            steps=10**9, precision=precision, device=device, compile=compile, threads=threads, log_every=10**9
        )
        self.keep_memory, self.threads, self.device = keep_memory, threads, torch.device(device)

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Measure every shape; see `Bench`."""
        keep_memory(self.keep_memory)
        with thread_count(self.threads):
            limits = {name: matmul_limit(self.device, dtype) for name, dtype in PRECISIONS.items()}
            rows = []
            for name in self.shapes:
                report(f"{name}: {SHAPES[name]._asdict()}")
                rows += _Field(self, SHAPES[name], name, seed, report).rows(limits)
        return {"rows": rows, "limits": limits}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a table for each shape."""
        return throughput_tables(results)


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class _Runner:
    """One model in training: a step returns its loss, left on the device."""

    name: str
    model: nn.Module
    step: Callable[[], Any]
    precision: str
    ours: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    taken: int = 0


class _Field:
    """All that runs at one shape."""

    def __init__(self, bench: ThroughputBench, shape: ModelShape, name: str, seed: int, report: Say) -> None:
        self.bench, self.shape, self.name, self.seed, self.report = bench, shape, name, seed, report
        self.task = MarkovText(shape.vocab, shape.tokens, shape.batch)
        self.absent: list[dict[str, Any]] = []

    def rows(self, limits: dict[str, float]) -> list[dict[str, Any]]:
        """Time all in turns; return one row for each."""
        runners = self._runners()
        if self.bench.check_loss:
            for runner in runners:
                runner.details["loss"] = _loss(runner)
        clock = choose_clock(self.bench.device, self.bench.threads)
        steps: dict[str, Callable[[], object]] = {runner.name: runner.step for runner in runners}
        timings = interleave(steps, self.bench.seconds, self.seed, clock)
        return [self._row(runner, timings, limits) for runner in runners] + self.absent

    def _runners(self) -> list[_Runner]:
        ours: dict[tuple[str, ...], _Runner] = {}
        rivals: list[_Runner] = []
        for rival in self.bench.rivals:
            overrides = rival.ours(self.shape)
            if overrides not in ours:
                ours[overrides] = self._ours(overrides)
            rivals += self._forms(rival, ours[overrides].name)
        return [*ours.values(), *rivals]

    def _ours(self, overrides: tuple[str, ...]) -> _Runner:
        sizes = f"encoder.hidden_size={self.shape.hidden_size}", f"encoder.num_heads={self.shape.heads}"
        config = compose("train", [*overrides, *sizes, "tracker=none", f"seed={self.seed}"]).values()
        encoder = build_encoder(config, self.task)
        seed_torch(self.seed, "head")
        trainer = Trainer(**{**self.bench.trainer.config, "batch_size": self.shape.batch})
        loop = bare_loop(trainer, self.task.model(encoder), self.task, self.seed)
        compile_model(
            loop.model, choose_compile(trainer.compile, loop.device), _cache(config), self.report,
            graphs=loop.device.type == "cuda",
        )  # fmt: skip
        precision = "bf16" if loop.dtype is torch.bfloat16 else "fp32"
        name = f"ours ({overrides[0].partition('=')[2]})"
        return _Runner(name, loop.model, lambda: take_step(loop), precision)

    def _forms(self, rival: Rival, ours: str) -> list[_Runner]:
        """Build a rival in each of its forms; others' code may be absent or changed: that is told."""
        runners = []
        for form in rival.forms:
            for precision in PRECISIONS:
                name = f"{rival.name} ({precision}, {form})"
                seed_torch(self.seed, rival.name)
                try:
                    model = rival.build(self.shape, form).to(self.bench.device)
                    if self.bench.trainer.compile in ("blocks", "model"):
                        model.compile(dynamic=False)
                    runner = _Runner(name, model, self._step(model, precision), precision, ours)
                    runner.step()
                except Exception as error:
                    absent = f"{type(error).__name__}: {error}"[:200]
                    self.absent.append({"shape": self.name, "name": name, "absent": absent})
                    continue
                runner.details, runner.taken = {"rival": rival.name}, 1
                runners.append(runner)
        return runners

    def _step(self, model: nn.Module, precision: str) -> Callable[[], Any]:
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), fused=True)
        kind, number = self.bench.device.type, iter(range(10**9))

        def step() -> Any:
            batch = self.task.train_batch(next(number), self.shape.batch, self.seed).to(self.bench.device)
            with torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"):
                loss = model(batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return loss.detach()

        model.train()
        return step

    def _row(self, runner: _Runner, timings: dict[str, Timing], limits: dict[str, float]) -> dict[str, Any]:
        timing = timings[runner.name]
        times = timing.milliseconds()
        asked = self.task.masked_per_row * self.shape.batch
        rate = training_flops(self.shape, asked) / (times["median"] / 1e3)
        row = {
            "shape": self.name, "name": runner.name, "precision": runner.precision, "milliseconds": times,
            "tokens_per_second": self.shape.batch * self.shape.tokens / (times["median"] / 1e3),
            "utilisation": rate / limits[runner.precision], "rounds": len(timing.seconds),
            "parameters": sum(p.numel() for p in runner.model.parameters()),
            "peak_mib": peak_memory(runner.step, self.bench.device), **runner.details,
        }  # fmt: skip
        if runner.ours:
            found = ratio(timing, timings[runner.ours], self.seed)
            row |= {"ours": runner.ours, "ratio": found.value, "interval": [found.low, found.high]}
        return row


def _loss(runner: _Runner) -> float:
    """Return the mean of the last losses of a training that begins; all see the same batches."""
    losses = [runner.step() for _ in range(LOSS_STEPS - runner.taken)]
    return fmean(float(loss) for loss in losses[-LAST:])


def _cache(config: dict[str, Any]) -> Path:
    return Path(config["paths"]["cache"]).expanduser()
