"""Compilation by TorchInductor: block by block, or the whole model, with what was compiled kept on disk."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from nas.progress import Say
from nas.scaffold import EncoderScaffold

Compile = Literal["auto", "none", "blocks", "model"]
Compiled = Literal["none", "blocks", "model"]

LIMIT = 1024
"""Graphs of one function. All blocks count as one (`nn.Module.__call__`); PyTorch's own limit is 8."""
_CACHE = "TORCHINDUCTOR_CACHE_DIR"
_LOGGERS = ("torch._dynamo", "torch._dynamo.convert_frame")


def choose_compile(asked: Compile, device: torch.device) -> Compiled:
    """Return what to compile; ``auto`` takes blocks on a CUDA device with Triton, and nothing on a CPU.

    Measured on a CPU with AVX-512 BF16 (hidden 64, 2 layers, T 64, batch 64; time as a share of eager,
    95 % intervals): post-norm layers 0.94 (0.93-0.95) by blocks and 0.86 (0.86-0.87) as a whole, pre-norm
    slots 1.02 and 0.92, after 30 to 60 seconds of compiling: thousands of steps. On CUDA it was not
    measured yet.
    """
    if asked != "auto":
        return asked
    pays = device.type == "cuda" and importlib.util.find_spec("triton") is not None
    return "blocks" if pays else "none"


def compile_model(model: nn.Module, what: Compiled, cache: Path, say: Say, *, graphs: bool = False) -> None:
    """Compile in place, at the first call; state, parameters and their names stay as they are.

    By blocks, a graph serves every block of equal settings and shapes, in this model and in later ones
    of the process: a new list of known blocks compiles nothing.

    Args:
        model: of a task; its encoders' blocks are found.
        what: see `choose_compile`.
        cache: what later processes find again is kept in its folder ``compiled``.
        say: told once if so many graphs were made that further ones run uncompiled.
        graphs: replay the whole model as CUDA graphs (PyTorch's ``reduce-overhead``), which takes one
            batch in a step.
    """
    if what == "none":
        return
    _prepare(cache, say)
    if what == "model":
        model.compile(dynamic=False, mode="reduce-overhead" if graphs else None)
        return
    encoders = [module for module in model.modules() if isinstance(module, EncoderScaffold)]
    for block in (block for encoder in encoders for block in encoder.blocks):
        block.compile(dynamic=False)
        if hasattr(block, "at"):  # the way of the last block, at the tokens that are read
            block.__dict__["at"] = torch.compile(cast(Callable[..., Tensor], block.at), dynamic=False)


def _prepare(cache: Path, say: Say) -> None:
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    if os.environ.get(_CACHE) in (None, default_cache_dir()):  # PyTorch sets it when it is first asked
        os.environ[_CACHE] = str(cache / "compiled")
    settings: Any = dynamo
    settings.recompile_limit = settings.accumulated_recompile_limit = LIMIT
    settings.automatic_dynamic_shapes = False  # a block of many steps takes minutes with symbolic sizes
    inductor.fx_graph_cache = True
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _LimitTold) for handler in logger.handlers):
            logger.addHandler(_LimitTold(say))


class _LimitTold(logging.Handler):
    """Tells once that PyTorch compiles no more: otherwise only a log says so, and all runs slower."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self.say = say
        self.told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Look for the limit in what PyTorch logs."""
        if not self.told and "recompile_limit" in record.getMessage():
            self.told = True
            self.say(f"warning: {LIMIT} graphs were compiled in this process; further blocks run uncompiled")
