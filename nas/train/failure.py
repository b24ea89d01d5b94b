"""What an exception that ends a run leaves: whose it is and where it arose, and the traceback in a file."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch
from torch import nn

from nas.blocks.base import Block
from nas.factories import name_of
from nas.scaffold import EncoderScaffold

ERROR = "error.txt"
"""The file of a run folder that holds the traceback."""
_TORCH = str(Path(torch.__file__).parent)


def keep_trace(folder: Path, error: BaseException) -> None:
    """Write an exception's traceback into a run folder, if the disk lets us."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(traceback.format_exception(error))
        (folder / ERROR).write_text(text, encoding="utf-8", errors="backslashreplace")


def forget_trace(folder: Path) -> None:
    """Remove what an earlier failure left in a run folder."""
    with contextlib.suppress(OSError):
        (folder / ERROR).unlink(missing_ok=True)


def origin(error: BaseException) -> tuple[str, str]:
    """Return the slot and class of the block that raised an exception (or ""), and the file and line.

    The line is the last one of the block's own package, or else the last one that is not PyTorch's.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    modules = [self for frame, _ in frames if isinstance(self := frame.f_locals.get("self"), nn.Module)]
    encoder = next((module for module in modules if isinstance(module, EncoderScaffold)), None)
    layers = [] if encoder is None else encoder.hidden_layers
    block = next((m for m in modules if any(m is layer for layer in layers)), None)
    if block is None:  # as where a layer is run again in the backward pass
        block = next((module for module in modules if isinstance(module, Block)), None)
    index = next((i for i, layer in enumerate(layers) if layer is block), None)
    named = "" if block is None else name_of(block)
    who = named if index is None else f"hidden_cls[{index}]={named}"
    package = _package(type(block).__module__) if block is not None else None
    return who, _line(frames, package)


def _line(frames: list[tuple[FrameType, int]], package: str | None) -> str:
    def own(frame: FrameType) -> bool:
        return package is not None and _package(str(frame.f_globals.get("__name__"))) == package

    def readable(frame: FrameType) -> bool:
        return not frame.f_code.co_filename.startswith((_TORCH, "<"))

    def last(places: Iterator[tuple[FrameType, int]]) -> str:
        found = [f"{frame.f_code.co_filename}, line {line}" for frame, line in places]
        return found[-1] if found else ""

    return last(f for f in frames if own(f[0])) or last(f for f in frames if readable(f[0]))


def _package(module: str) -> str:
    return module.partition(".")[0]
