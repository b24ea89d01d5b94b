"""Which device and which number format a run uses, chosen from the machine unless told."""

from __future__ import annotations

import contextlib
import math
from typing import Literal

import torch

from nas.errors import InputError, not_allowed

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
_DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

LEAST_FEATURES = 2**15
"""Below so many numbers in a hidden state, converting them costs a CPU more than bfloat16 saves.

Time of a step in float32 over that in bfloat16 (AVX-512 BF16, one thread; post-norm layers, pre-norm slots,
ModernBERT's slots, two of each): 0.71, 0.70, 0.69 at 2^13 numbers; 0.79, 0.80, 0.77 at 2^14; 0.94 to 1.11,
0.95 to 1.11, 0.92 to 1.06 at 2^15; 1.13, 1.17, 1.08 at 2^16; 1.52, 1.53, 1.38 at 2^18.
"""


def choose_device(device: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.

    Raises:
        InputError: the device is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not index.isdecimal()):
        raise InputError(not_allowed("trainer.device", device, ["auto", "cpu", "cuda", "cuda:<n>"]))
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"trainer.device={device!r}: this machine has {torch.cuda.device_count()} CUDA devices"
        )
    return torch.device(device)


def choose_dtype(precision: Precision, device: torch.device, features: float = math.inf) -> torch.dtype:
    """Return the format of matrix products; ``auto`` takes bfloat16 only where it was measured to pay.

    That is a GPU with bfloat16 units, or a CPU that multiplies in it: with matrix tiles (AMX, 1.5-2x
    per step) or with AVX-512 BF16 (1.6x: a hybrid of six slots, hidden 64, T 64, batch 64, the
    validation loss after 300 steps equal to 0.0004 over two seeds), from `LEAST_FEATURES` on. Other CPUs
    would convert back and forth. ``tf32`` is float32 whose products a GPU's tensor cores round; see
    `set_products`.

    Args:
        precision: what is asked for.
        device: of the run.
        features: numbers in one hidden state of a micro-batch, B * T * D.

    Raises:
        InputError: ``tf32`` on a device without it.
    """
    if precision == "tf32" and device.type != "cuda":
        raise InputError(
            f"trainer.precision='tf32' needs a CUDA device, this is {device.type}: use fp32 or auto"
        )
    if precision != "auto":
        return _DTYPES.get(precision, torch.float32)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    multiplies = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if multiplies and features >= LEAST_FEATURES else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[None]:
    """Return the autocast context for ``dtype``; nothing for float32."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


def set_products(precision: Precision) -> None:
    """Let float32 products use the tensor cores' TF32, or not: a setting of the whole process."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")


def make_scaler(device: torch.device, dtype: torch.dtype) -> torch.amp.GradScaler:
    """Return what keeps float16 gradients from becoming 0 (Micikevicius et al. 2017, arXiv 1710.03740).

    For other formats it does nothing.
    """
    return torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
