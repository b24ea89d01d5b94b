"""The bench ``blocks``: forward and backward of each block, its plain form and its public rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.bench.base import Bench, Shape
from nas.bench.library import build_block, choose_blocks
from nas.bench.measure import Timing, check_device, choose_clock, interleave, ratio
from nas.bench.peers import Peer, peers_of
from nas.bench.plain import plain_form
from nas.bench.tables import SLOWER, block_tables
from nas.blocks.base import Block
from nas.errors import InputError, check_choice, check_positive
from nas.progress import Say
from nas.seeding import seed_torch
from nas.train.threads import thread_count

if TYPE_CHECKING:
    from rich.table import Table

OURS, PLAIN = "ours", "plain form"


class BlockBench(Bench):
    """Times blocks on random data without padding; every ratio is of equal functions and sizes.

    A rival computes what the block computes, norm and residual included: the block's settings are
    changed where the rival cannot (no rotary embedding in `torch.nn.MultiheadAttention`, say), and
    the ratio is to the block so changed.

    Args:
        blocks: names, last parts of names or folders of ``conf/block``; null: all.
        shapes: [B, T, D, H] each.
        seconds: for each block and shape, shared by all that are compared.
        precision: ``fp32``, or ``bf16`` under autocast.
        device: ``cpu`` or ``cuda``.
        threads: of PyTorch on a CPU.

    Raises:
        InputError: a name, shape or device that is not there.
    """

    name: ClassVar[str] = "blocks"

    def __init__(
        self,
        blocks: list[str] | None = None,
        shapes: list[list[int]] | None = None,
        seconds: float = 2.0,
        precision: Literal["fp32", "bf16"] = "fp32",
        device: Literal["cpu", "cuda"] = "cpu",
        threads: int = 1,
    ) -> None:
        check_positive(seconds=seconds, threads=threads)
        check_choice("precision", precision, ["fp32", "bf16"])
        check_choice("device", device, ["cpu", "cuda"])
        check_device(device)
        self.blocks = choose_blocks(blocks)
        self.shapes = [_shape(shape) for shape in shapes or [[64, 64, 64, 4]]]
        self.seconds = seconds
        self.half = precision == "bf16"
        self.device = torch.device(device)
        self.threads = threads

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Measure every block at every shape; see `Bench`."""
        rows: list[dict[str, Any]] = []
        with thread_count(self.threads):
            for number, block in enumerate(self.blocks, start=1):
                report(f"{block} ({number} of {len(self.blocks)})")
                rows += [self._row(block, shape, seed) for shape in self.shapes]
        slower = [_told(row) for row in rows if row["best"] and row["best"]["ratio"] < SLOWER]
        return {"rows": rows, "slower": slower}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return one table for all blocks, and which are slower than a public module."""
        return block_tables(results)

    def _row(self, name: str, shape: Shape, seed: int) -> dict[str, Any]:
        """Time one block at one shape, together with all that it is compared with."""
        row: dict[str, Any] = {"block": name, "shape": shape._asdict(), "best": None, "rivals": []}
        try:
            field = Field(name, shape, seed, self.device, self.half)
        except InputError as error:  # a size that this block does not take, such as a fixed length
            return {**row, "error": " ".join(error.mistakes)}
        timings = interleave(field.calls, self.seconds, seed, choose_clock(self.device, self.threads))
        rivals = [*field.absent, *(_against(timings, contest, seed) for contest in field.contests)]
        measured = [r for r in rivals if "ratio" in r and r["name"] != PLAIN]
        return {
            **row,
            "parameters": field.parameters,
            "milliseconds": timings[OURS].milliseconds(),
            "rounds": len(timings[OURS].seconds),
            "rivals": rivals,
            "best": min(measured, key=lambda r: r["ratio"], default=None),
        }


@dataclass(frozen=True)
class Contest:
    """Which two calls are compared: a rival's, and ours with the settings that make them equal."""

    rival: str
    ours: str
    parameters: int
    settings: dict[str, Any]


class Field:
    """All that takes part for one block and shape: timed calls by name, and who meets whom.

    Args:
        name: the block's, such as ``attention/mha``.
        shape: B, T, D and H.
        seed: of weights and data.
        device: where.
        half: under autocast to bfloat16.

    Raises:
        InputError: the block does not take this shape.
    """

    def __init__(self, name: str, shape: Shape, seed: int, device: torch.device, half: bool) -> None:
        self.calls: dict[str, Callable[[], object]] = {}
        self.contests: list[Contest] = []
        self.absent: list[dict[str, Any]] = []
        self._name, self._shape, self._seed, self._device, self._half = name, shape, seed, device, half
        seed_torch(seed, name)
        self.data = torch.randn(shape.batch, shape.tokens, shape.hidden_size, device=device)
        block = self._build({})
        self.parameters = _size(block)
        self._enter(OURS, block)
        plain = plain_form(block, self.data)
        if plain is not None:
            self._enter(PLAIN, plain)
            self.contests.append(Contest(PLAIN, OURS, self.parameters, {}))
        for peer in peers_of(name):
            self._invite(peer)

    def _build(self, settings: Mapping[str, Any]) -> Block:
        return build_block(self._name, self._shape, self._seed, settings).to(self._device)

    def _enter(self, name: str, module: nn.Module) -> None:
        self.calls[name] = step_of(module, self.data, self._half)

    def _invite(self, peer: Peer) -> None:
        """Build a public module and ours to match; others' code may be absent or changed: that is told."""
        settings = dict(peer.ours)
        ours = self._build(settings)
        try:
            rival = peer.build(ours, self._shape).to(self._device)
            step_of(rival, self.data, self._half)()
        except ImportError as error:
            self.absent.append({"name": peer.name, "absent": f"{error.name or error} is not installed"})
            return
        except Exception as error:
            self.absent.append({"name": peer.name, "absent": f"{type(error).__name__}: {error}"[:200]})
            return
        matched = OURS if not settings else f"{OURS} with {settings}"
        if matched not in self.calls:
            self._enter(matched, ours)
        self._enter(peer.name, rival)
        self.contests.append(Contest(peer.name, matched, _size(rival), settings))


def step_of(module: nn.Module, data: Tensor, half: bool) -> Callable[[], Sequence[Tensor | None]]:
    """Return a call that runs ``module`` forward and backward, to the data and every parameter."""
    data = data.detach().requires_grad_()
    inputs = [data, *(p for p in module.parameters() if p.requires_grad)]
    above = torch.randn_like(data)

    def step() -> Sequence[Tensor | None]:
        with torch.autocast(data.device.type, torch.bfloat16, enabled=half):
            out = module(data)
        out = out[0] if isinstance(out, tuple) else out
        return torch.autograd.grad(out, inputs, above.to(out.dtype), allow_unused=True)

    return step


def _against(timings: Mapping[str, Timing], contest: Contest, seed: int) -> dict[str, Any]:
    compared = ratio(timings[contest.rival], timings[contest.ours], seed)
    return {
        "name": contest.rival,
        "settings": contest.settings,
        "parameters": contest.parameters,
        "milliseconds": timings[contest.rival].milliseconds(),
        "ratio": compared.value,
        "interval": [compared.low, compared.high],
    }


def _told(row: dict[str, Any]) -> str:
    sizes = "x".join(map(str, row["shape"].values()))
    best, (low, high) = row["best"], row["best"]["interval"]
    return f"{row['block']} {sizes} {best['ratio']:.2f} [{low:.2f}-{high:.2f}] ({best['name']})"


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _shape(sizes: Sequence[int]) -> Shape:
    if len(sizes) != len(Shape._fields) or min(sizes) < 1:
        raise InputError(f"bench.shapes: {list(sizes)} must be four positive numbers: {list(Shape._fields)}")
    return Shape(*sizes)
