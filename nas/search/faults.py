"""What an exception of a trial says: of the trial, or of the machine that it ran on."""

from __future__ import annotations

import gc

_NO_MEMORY = (
    "DefaultCPUAllocator",
    "can't allocate memory",
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def reason(error: BaseException) -> str:
    """Return an error in one line; every form of too little memory begins with ``out of memory``."""
    line = (str(error).strip() or "no message").splitlines()[0]
    return f"out of memory: {line}" if is_out_of_memory(error) else f"{type(error).__name__}: {line}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory did not suffice, on the CPU or on a GPU."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def device_is_lost() -> bool:
    """Return whether the GPU refuses all work of this process.

    After an illegal access or a failed assertion on the GPU, CUDA answers every later call of the
    process with the same error: only another process can go on.
    """
    import torch

    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    try:
        torch.cuda.synchronize()
        torch.zeros(1, device="cuda").item()
    except torch.OutOfMemoryError:
        return False
    except RuntimeError:
        return True
    return False


def free_memory() -> None:
    """Give back what a trial that failed still holds, so that the next one has it."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
