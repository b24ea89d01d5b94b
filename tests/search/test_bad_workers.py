"""Workers that die, raise or hang: one trial each; a sign of life is a step or an evaluated batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.files import read_json

BLOCKS = """
from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from nas.blocks.feedforward.mlp import MLP


class Bad(MLP):
    def mix(self, *inputs: Any) -> Any:
        if self.training and next(self.parameters()).device.type != "meta":
            self.act()
        return super().mix(*inputs)


class Deadly(Bad):
    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Broken(Bad):
    def act(self) -> None:
        raise RuntimeError("broken on purpose\\nsecond line")


class Hanging(Bad):
    def __init__(self, hidden_size: int, at: int = 0, mark: str = "", pause: float = 0.0) -> None:
        super().__init__(hidden_size)
        self.at, self.mark, self.pause, self.calls = at, mark, pause, 0

    def act(self) -> None:
        self.calls += 1
        time.sleep(self.pause)
        if self.calls == self.at and not (self.mark and Path(self.mark).exists()):
            if self.mark:
                Path(self.mark).touch()
            time.sleep(3600)
"""


@pytest.fixture
def bad_blocks(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package of bad blocks, in a folder that Python looks into."""
    package: Path = lab.folder / "user"
    package.mkdir(exist_ok=True)
    (package / "bad_blocks.py").write_text(BLOCKS)
    monkeypatch.syspath_prepend(str(package))
    return package


@pytest.mark.slow  # seconds
@pytest.mark.usefixtures("bad_blocks")
def test_workers_that_die_or_raise_cost_one_trial_each(lab: Any, capfd: Any) -> None:
    space = {"encoder.hidden_cls": [["deadly"], ["broken"], ["mlp"], ["attn"]]}
    pool = [
        f"+encoder.blocks.{name}={{_target_: bad_blocks.{name.title()}, _partial_: true, hidden_size: 16}}"
        for name in ("deadly", "broken")
    ]
    arguments = [lab.sweep("dying", space), *pool, "trusted_targets=[bad_blocks.]", "sampler=random"]
    assert lab.search(*arguments, "n_trials=6", "rungs=null", "workers=2") == 0
    rows = lab.rows("dying")
    assert sorted(row["number"] for row in rows) == list(range(6))
    reasons = {json.dumps(row["overrides"][-1]): row for row in rows if row["state"] == "FAIL"}
    assert any("its worker was killed by SIGKILL" in row["reason"] for row in reasons.values())
    broken = next(row for row in reasons.values() if "broken" in row["reason"])
    assert broken["reason"] == "RuntimeError: broken on purpose"
    trace = (lab.outputs / "dying" / "trials" / str(broken["number"]) / "error.txt").read_text()
    assert "second line" in trace
    assert {row["state"] for row in rows} == {"COMPLETE", "FAIL"}
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.usefixtures("bad_blocks")
def test_a_dry_run_tells_which_sample_fails_and_shows_the_others(lab: Any, capsys: Any) -> None:
    block = "{_target_: bad_blocks.Broken, _partial_: true, hidden_size: 16}"
    space = {"encoder.hidden_cls": [["broken"], ["mlp"], ["attn"]]}
    pool = [f"+encoder.blocks.broken={block}", "trusted_targets=[bad_blocks.]"]
    assert lab.search(lab.sweep("dry", space), *pool, "dry_run=true") == 0
    shown = capsys.readouterr().out.splitlines()
    failing = next(i for i, line in enumerate(shown) if "fails: RuntimeError: broken on purpose" in line)
    assert shown[failing + 1].strip() == "encoder.hidden_cls=[broken]"
    assert any(" parameters, " in line for line in shown)
    assert any(line.startswith("about ") for line in shown)


@pytest.mark.slow  # seconds
def test_a_hanging_worker_is_replaced_and_a_slow_one_is_not(lab: Any, bad_blocks: Path, capfd: Any) -> None:
    pool = {
        "always": "at: 3", "once": f"at: 8, mark: {bad_blocks / 'hung'}", "slow": "pause: 0.6",
    }  # fmt: skip
    blocks = [
        f"+encoder.blocks.{name}={{_target_: bad_blocks.Hanging, _partial_: true, hidden_size: 16, {more}}}"
        for name, more in pool.items()
    ]
    space = {"encoder.hidden_cls": [[name] for name in pool]}
    arguments = [lab.sweep("hanging", space), *blocks, "trusted_targets=[bad_blocks.]", "workers=2"]
    quick = [
        "n_trials=3",
        "sampler=grid",
        "rungs=null",
        "hang_seconds=6",
        "trainer.checkpoint_seconds=0.001",
    ]
    assert lab.search(*arguments, *quick) == 0
    rows = {row["overrides"][-1].split("=")[1]: row for row in lab.rows("hanging")}
    assert {name: row["state"] for name, row in rows.items()} == {
        "[always]": "FAIL", "[once]": "COMPLETE", "[slow]": "COMPLETE",
    }  # fmt: skip
    assert rows["[always]"]["reason"] == "its worker took no step and evaluated nothing for 6 s"
    assert rows["[slow]"]["seconds"] > 6
    folder = lab.outputs / "hanging" / "trials" / str(rows["[once]"]["number"])
    assert read_json(folder / "result.json")["steps"] == 12
    told = capfd.readouterr().err
    assert told.count("it is started again from its checkpoint") == 2
    assert f"continuing {folder} from step 7" in told
