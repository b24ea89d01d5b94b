"""Which device and which number format a run uses, chosen from the machine unless told."""

from __future__ import annotations

import contextlib
from typing import Literal

import torch

from nas.errors import InputError, not_allowed

Precision = Literal["auto", "fp32", "bf16"]


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


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format of matrix products; ``auto`` takes bfloat16 only where it was measured to pay.

    That is a GPU with bfloat16 units, or a CPU that multiplies in it: with matrix tiles (AMX, 1.5-2x
    per step) or with AVX-512 BF16 (1.6x: a hybrid of six slots, hidden 64, T 64, batch 64, the
    validation loss after 300 steps equal to 0.0004 over two seeds). Other CPUs would convert
    back and forth.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bf16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    multiplies = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if multiplies else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[None]:
    """Return the autocast context for ``dtype``; nothing for float32."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)
