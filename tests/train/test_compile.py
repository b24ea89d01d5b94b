"""What is compiled, when, and what a new list of known blocks costs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.train import compile as compiling
from nas.train.choices import attention_form, optimizer_form, told
from nas.train.compile import LIMIT, choose_compile, compile_model
from nas.train.memory import keep_memory
from nas.train.muon import Muon

CPU = torch.device("cpu")


def test_auto_compiles_nothing_on_a_cpu() -> None:
    assert choose_compile("auto", CPU) == "none"
    assert choose_compile("blocks", CPU) == "blocks"


def test_reaching_the_limit_is_told_once() -> None:
    said: list[str] = []
    handler = compiling._LimitTold(said.append)
    for text in (
        "something else",
        "torch._dynamo hit config.recompile_limit (8)",
        "hit config.recompile_limit",
    ):
        handler.handle(logging.LogRecord("torch._dynamo", logging.WARNING, "", 0, text, (), None))
    assert said == [f"warning: {LIMIT} graphs were compiled in this process; further blocks run uncompiled"]


def test_what_was_chosen_is_told(make: Any) -> None:
    said: list[str] = []
    make("trainer.steps=1", "trainer.evaluate_at=[1.0]").train(report=said.append)
    assert any(
        line.startswith("device cpu, precision float32, attention sdpa, compile none") for line in said
    )


def test_forms(make: Any) -> None:
    encoder = make().encoder
    assert attention_form(encoder, CPU, torch.bfloat16, 16) == "plain"
    assert attention_form(encoder, CPU, torch.float32, 16) == "sdpa"
    assert attention_form(torch.nn.Linear(1, 1), CPU, torch.float32, 16) == "none"
    assert optimizer_form(Muon().build_for(encoder)) == "muon+adamw (fused)"
    assert told({"a_b": 1, "c": None, "d": True, "e": False}) == "a b 1, c None, d on, e off"


def test_memory_is_kept_and_given_back() -> None:
    known = keep_memory()
    assert keep_memory(False) == known
    keep_memory()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PyTorch warns of itself while it traces
def test_a_new_list_of_known_blocks_compiles_nothing(make: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    from torch._dynamo.utils import counters
    from torch._inductor import config as inductor

    # or else PyTorch tries every vector unit of the processor with a program of its own
    monkeypatch.setattr(inductor.cpp, "vec_isa_ok", False)

    def graphs(*slots: str) -> tuple[int, float]:
        run = make(f"encoder.hidden_cls=[{','.join(slots)}]")
        run.task.prepare(tmp_path / "cache", lambda line: None)
        model = run.task.model(run.encoder)
        batch = run.task.train_batch(0, 8, 0)
        plain = run.task.loss(model.eval()(batch))
        compile_model(model, "blocks", tmp_path, lambda line: None)
        loss = run.task.loss(model(batch))
        loss.backward()
        torch.testing.assert_close(loss, plain)
        return counters["stats"]["unique_graphs"], float(loss)

    first, _ = graphs("attn", "ffn", "attn", "ffn")
    assert first > 0
    assert graphs("attn", "attn", "ffn", "attn", "ffn")[0] == first
    assert (tmp_path / "compiled").is_dir()
