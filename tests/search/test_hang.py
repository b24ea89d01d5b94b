"""Workers that hang: what counts as a sign of life is a step or an evaluated batch."""

from __future__ import annotations

from typing import Any

import pytest

from nas.files import read_json

BLOCKS = """
from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from nas.blocks.feedforward.mlp import MLP


class Hanging(MLP):
    def __init__(self, hidden_size: int, at: int = 0, mark: str = "", pause: float = 0.0) -> None:
        super().__init__(hidden_size)
        self.at, self.mark, self.pause, self.calls = at, mark, pause, 0

    def mix(self, *inputs: Any) -> Any:
        if self.training and next(self.parameters()).device.type != "meta":
            self.calls += 1
            time.sleep(self.pause)
            if self.calls == self.at and not (self.mark and Path(self.mark).exists()):
                if self.mark:
                    Path(self.mark).touch()
                time.sleep(3600)
        return super().mix(*inputs)
"""


@pytest.mark.slow  # seconds
def test_a_hanging_worker_is_replaced_and_a_slow_one_is_not(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    package = lab.folder / "hanging"
    package.mkdir()
    (package / "hanging_blocks.py").write_text(BLOCKS)
    monkeypatch.syspath_prepend(str(package))
    pool = {
        "always": "at: 3", "once": f"at: 8, mark: {package / 'hung'}", "slow": "pause: 1.0",
    }  # fmt: skip
    blocks = [
        f"+encoder.blocks.{name}={{_target_: hanging_blocks.Hanging, _partial_: true, "
        f"hidden_size: 16, {more}}}"
        for name, more in pool.items()
    ]
    space = {"encoder.hidden_cls": [[name] for name in pool]}
    arguments = [lab.sweep("hanging", space), *blocks, "trusted_targets=[hanging_blocks.]", "workers=2"]
    quick = [
        "n_trials=3",
        "sampler=grid",
        "rungs=null",
        "hang_seconds=10",
        "trainer.checkpoint_seconds=0.001",
    ]
    assert lab.search(*arguments, *quick) == 0
    rows = {row["overrides"][-1].split("=")[1]: row for row in lab.rows("hanging")}
    assert {name: row["state"] for name, row in rows.items()} == {
        "[always]": "FAIL", "[once]": "COMPLETE", "[slow]": "COMPLETE",
    }  # fmt: skip
    assert rows["[always]"]["reason"] == "its worker took no step and evaluated nothing for 10 s"
    assert rows["[slow]"]["seconds"] > 10
    folder = lab.outputs / "hanging" / "trials" / str(rows["[once]"]["number"])
    assert read_json(folder / "result.json")["steps"] == 12
    told = capfd.readouterr().err
    assert told.count("it is started again from its checkpoint") == 2
    assert f"continuing {folder} from step 7" in told
