from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.errors import InputError
from nas.train.precision import autocast, choose_device, choose_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("tiles", "avx512", "dtype"),
    [
        (True, True, torch.bfloat16),
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
        (False, False, torch.float32),
    ],
)
def test_auto_takes_bf16_on_a_cpu_that_multiplies_in_it(
    tiles: bool, avx512: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert choose_dtype("auto", CPU) == dtype


@pytest.mark.parametrize(
    ("batch", "accumulate", "dtype"), [(64, 1, "bfloat16"), (64, 2, "float32"), (16, 1, "float32")]
)
def test_a_micro_batch_that_is_too_small_for_bf16_stays_in_fp32(
    batch: int, accumulate: int, dtype: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    sizes = "encoder.hidden_size=16", "task.seq_length=32"  # 2^15 numbers of 64 rows
    run = make("trainer.device=cpu", "trainer.precision=auto", "trainer.steps=1", *sizes,
               f"trainer.batch_size={batch}", f"trainer.accumulate={accumulate}")  # fmt: skip
    run.train(report=lambda line: None)
    assert f'"precision": "{dtype}"' in (run.folder / "provenance.json").read_text()


def test_pytorch_still_answers_the_questions() -> None:
    assert isinstance(torch.cpu._is_amx_tile_supported(), bool)
    assert isinstance(torch.cpu._is_avx512_bf16_supported(), bool)


def test_what_is_asked_for_is_taken() -> None:
    assert choose_dtype("fp32", CPU) == torch.float32
    assert choose_dtype("bf16", CPU) == torch.bfloat16
    with autocast(CPU, torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with autocast(CPU, torch.float32):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:", "cpu:", "", "mps"])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(InputError, match=r"^trainer.device='.*' is not one of \['auto', 'cpu', 'cuda'"):
        choose_device(device)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    count = torch.cuda.device_count()
    with pytest.raises(InputError, match=f"this machine has {count} CUDA devices"):
        choose_device(f"cuda:{count}")


def test_cpu_and_auto() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_bf16_trains_to_nearly_the_same_loss(make: Any) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        run = make("trainer.device=cpu", f"trainer.precision={precision}", "trainer.steps=20")
        losses.append(run.train(report=lambda line: None).metrics["val/loss"])
        assert (
            f'"precision": "{ {"fp32": "float32", "bf16": "bfloat16"}[precision] }"'
            in (run.folder / "provenance.json").read_text()
        )
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_takes_bf16_on_a_gpu_that_has_it() -> None:
    device = choose_device("auto")
    supported = torch.cuda.is_bf16_supported(including_emulation=False)
    assert choose_dtype("auto", device) == (torch.bfloat16 if supported else torch.float32)
