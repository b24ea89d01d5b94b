"""What every command shares: exit codes, one line per mistake, Hydra's flags, grids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nas.cli.app import DONE, FAILED, INTERRUPTED, WRONG_INPUT, Action
from nas.cli.search import search
from nas.cli.show import show
from nas.cli.train import train
from nas.config.compose import Composed, Kind
from nas.errors import DivergedError, InputError, InterruptedRunError


def nothing(composed: Composed) -> int:
    return DONE


IN_A_SHELL: dict[tuple[str, ...], list[str]] = {
    ("nas-train", "encoder.hiden_size=32", "task=mlmm", "+foo=1"): [
        "and 36 more; did you mean 'mlm'?",
        "error: encoder.hiden_size is not a key; did you mean 'encoder.hidden_size'?",
        "error: foo is not a key",
    ],
    ("nas-report", "study=missing"): ["error: study='missing' is neither a folder nor one of []"],
}
IN_THIS_PROCESS: dict[tuple[Kind, Action, str], str] = {
    ("train", train, "task=mqar encoder.num_heads=3"): "num_heads=3 (and 2 more)",
    ("train", train, "corpus=text corpus.path=missing.txt tracker=none"): "corpus.path=missing.txt",
    ("train", train, "encoder.blocks.attn._target_=os.system"): "'os.system' is not trusted",
    ("train", show, "encoder=brt"): "did you mean 'bert'?",
    ("search", search, "sampler=tpee"): "did you mean 'tpe'?",
}


@pytest.mark.parametrize("arguments", IN_A_SHELL, ids=" ".join)
def test_wrong_input_in_a_shell(arguments: tuple[str, ...], shell: Any, tmp_path: Path) -> None:
    outcome = shell(*arguments, folder=tmp_path, NAS_CACHE=str(tmp_path / "cache"))
    lines = outcome.err.splitlines()
    assert outcome.code == WRONG_INPUT
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert len(lines) == len(IN_A_SHELL[arguments]), outcome.err
    assert all(part in line for part, line in zip(IN_A_SHELL[arguments], lines, strict=True)), outcome.err
    assert list(tmp_path.iterdir()) == []  # nothing was prepared for nothing


@pytest.mark.parametrize("given", IN_THIS_PROCESS, ids=lambda given: given[2])
def test_wrong_input_is_one_line_and_leaves_nothing(
    given: tuple[Kind, Action, str], command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    kind, action, arguments = given
    outcome = command(kind, action, *arguments.split())
    assert (outcome.code, outcome.out) == (WRONG_INPUT, "")
    [line] = outcome.err.splitlines()
    assert IN_THIS_PROCESS[given] in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (InputError("a=1", "b=2"), WRONG_INPUT, "error: a=1\nerror: b=2\n"),
        (DivergedError("the loss is nan"), FAILED, "error: the loss is nan\n"),
        (InterruptedRunError("saved at step 3"), INTERRUPTED, "interrupted: saved at step 3\n"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted; run the same command to continue\n"),
    ],
)
def test_exit_codes(error: BaseException, code: int, told: str, command: Any) -> None:
    def failing(composed: Composed) -> int:
        raise error

    outcome = command("train", failing, "task=mqar")
    assert (outcome.code, outcome.out, outcome.err) == (code, "", told)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_several_processes_the_main_one_has_time_to_tell(
    rank: str, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    # as torchrun ends all others once one has left
    launcher = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    began = time.monotonic()
    if rank != "0":
        launcher.start()
    outcome = command("train", train, "task=mqarr")
    assert outcome.code == WRONG_INPUT
    assert outcome.err.count("error: ") == (rank == "0")
    if rank != "0":
        launcher.join()
        assert time.monotonic() - began >= 0.5


def test_ctrl_c_that_another_error_hides_is_still_ctrl_c(command: Any) -> None:
    def failing(composed: Composed) -> int:
        try:
            raise KeyboardInterrupt
        finally:
            raise AttributeError("of a library that cleans up")

    outcome = command("train", failing, "task=mqar")
    assert (outcome.code, outcome.err) == (INTERRUPTED, "interrupted; run the same command to continue\n")


def test_the_actions_code_is_the_commands(command: Any) -> None:
    assert command("train", nothing, "task=mqar").code == DONE
    assert command("train", lambda composed: FAILED, "task=mqar").code == FAILED


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--experimental-rerun", "x.pickle"], "--experimental-rerun reads a pickle"),
        (["--config-path", "x"], "--config-dir adds a folder"),
        (["--config-name", "x"], "--config-dir adds a folder"),
        (["--config-dir", "missing"], "--config-dir='missing' is not a folder"),
        (["--cfg", "job", "foo=1"], "foo is not a key"),
    ],
)
def test_flags_that_are_refused(arguments: list[str], told: str, command: Any) -> None:
    outcome = command("train", nothing, *arguments)
    assert outcome.code == WRONG_INPUT
    assert told in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_grid_runs_every_combination(command: Any) -> None:
    seen: list[tuple[int, str]] = []

    def remember(composed: Composed) -> int:
        config = composed.values()
        seen.append((config["seed"], config["encoder"]["hidden_cls"][2]))
        return DONE

    outcome = command("train", remember, "-m", "task=mqar", "seed=1,2", "encoder.hidden_cls.2=attn,conv")
    assert outcome.code == DONE
    assert sorted(seen) == [(1, "attn"), (1, "conv"), (2, "attn"), (2, "conv")]
    assert "run 4 of 4: task=mqar seed=2 encoder.hidden_cls.2=conv" in outcome.err


def test_a_failing_run_does_not_stop_a_grid(command: Any) -> None:
    seen: list[int] = []

    def failing(composed: Composed) -> int:
        seed: int = composed.values()["seed"]
        seen.append(seed)
        if seed == 1:
            raise DivergedError("the loss is nan")
        if seed == 2:
            raise InputError("too little text")
        return DONE

    outcome = command("train", failing, "-m", "task=mqar", "seed=1,2,3")
    assert (outcome.code, seen) == (FAILED, [1, 2, 3])
    assert "error: the loss is nan" in outcome.err


@pytest.mark.slow  # the two above run grids as well
def test_a_grid_is_checked_before_its_first_run(command: Any) -> None:
    outcome = command(
        "train", pytest.fail, "-m", "task=mqar,nope", "seed=1,x", "encoder.hidden_cls.0=attn,fnn"
    )
    assert outcome.code == WRONG_INPUT
    told = outcome.err.splitlines()
    assert len(told) == len(set(told)) == 3, outcome.err


def test_an_interrupt_stops_a_grid(command: Any) -> None:
    def interrupted(composed: Composed) -> int:
        raise InterruptedRunError("saved")

    outcome = command("train", interrupted, "-m", "task=mqar", "seed=1,2")
    assert outcome.code == INTERRUPTED
    assert "run 2" not in outcome.err


def test_help(shell: Any, command: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = shell("nas-train", "--help", folder=tmp_path)
    assert told.code == DONE, told.err
    words = ["encoder: albert, base, bert", "sweep: layer_choice", "hidden_size: 64"]
    assert all(word in told.out for word in words), told.out
    for kind, words in [
        ("search", ["sampler: auto, evolution", "n_trials: 24"]),
        ("report", ["study: null", "storage: journal, postgres, sqlite"]),
    ]:
        with pytest.raises(SystemExit, match=r"^0$"):
            command(kind, nothing, "--help")
        out = capsys.readouterr().out
        assert all(word in out for word in words), out
    assert list(tmp_path.iterdir()) == []


def test_cfg_prints_the_configuration(command: Any, tmp_path: Path) -> None:
    outcome = command("train", nothing, "--cfg", "job", "task=mqar", "seed=5")
    assert outcome.code == DONE, outcome.err
    assert "seed: 5" in outcome.out
    assert "_target_: nas.tasks.mqar.MultiQueryAssociativeRecall" in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_tab_completion(shell: Any, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = command("train", nothing, "-sc", "install=bash")
    assert script.code == DONE
    assert "complete" in script.out
    line = "nas-train trainer.st"
    point = str(len(line))
    answer = shell("nas-train", "-sc", "query=bash", folder=tmp_path, COMP_LINE=line, COMP_POINT=point)
    assert "trainer.steps=" in answer.out.split(), answer
    for line, words in [
        ("nas-train encoder=", {"encoder=bert", "encoder=hybrid"}),
        ("nas-train sweep=", {"sweep=layer_choice"}),
    ]:
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        answer = command("train", nothing, "-sc", "query=bash")
        assert words <= set(answer.out.split()), answer


BLOCK = """# A feed-forward of the user's own making.
_target_: nas.blocks.feedforward.mlp.MLP
_partial_: true
hidden_size: ${encoder.hidden_size}
ratio: 6.0
"""


@pytest.mark.slow  # several processes
def test_config_dir_adds_choices(command: Any, tmp_path: Path) -> None:
    folder = tmp_path / "choices"
    (folder / "block" / "mine").mkdir(parents=True)
    (folder / "block" / "mine" / "wide.yaml").write_text(BLOCK)
    (folder / "experiment").mkdir()
    (folder / "experiment" / "own.yaml").write_text("# @package _global_\nseed: 11\n")
    seen: list[Composed] = []

    def remember(composed: Composed) -> int:
        seen.append(composed)
        return DONE

    given = [
        "task=mqar",
        "+block@encoder.blocks.wide=mine/wide",
        "encoder.hidden_cls.0=wide",
        "experiment=own",
    ]
    outcome = command("train", remember, "--config-dir", "choices", *given)
    assert outcome.code == DONE, outcome.err
    assert seen[0].values()["encoder"]["blocks"]["wide"]["ratio"] == 6.0
    assert seen[0].values()["seed"] == 11
    assert seen[0].overrides[-1] == f"hydra.searchpath=[file://{folder}]"
    between = command("train", remember, given[0], "--config-dir", "choices", *given[1:])
    assert between.code == DONE, between.err
    assert seen[1].values() == seen[0].values()
    told = command("train", remember, "--config-dir", "choices", *given, "foo=1")
    assert told.err.splitlines() == [line for line in told.err.splitlines() if "foo is not a key" in line]
    (folder / "block" / "mine" / "wide.yaml").write_text("a: [\n")
    broken = command("train", remember, "--config-dir", "choices", *given)
    assert broken.code == WRONG_INPUT
    assert "wide.yaml is not YAML" in broken.err


def test_train_is_the_action_of_nas_train(command: Any, tiny: tuple[str, ...]) -> None:
    outcome = command("train", train, *tiny, "paths.cache=cache")
    assert outcome.code == DONE, outcome.err
    assert outcome.out.startswith("done  val/loss ")


CTRL_C_AT_EXIT = """
import os, signal, sys
from nas.cli.app import DONE, run_process

class Late:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

sys.late = Late()  # dies with the interpreter's modules
run_process("train", lambda composed: DONE, ["tracker=none"])
"""


def test_ctrl_c_while_the_interpreter_ends(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", CTRL_C_AT_EXIT]
    ended = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == DONE, ended.stderr
    assert ended.stderr == ""


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
BEYOND = "has letters beyond this process's encoding, ascii: set PYTHONUTF8=1"


def test_letters_that_the_locale_does_not_know(shell: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    given = shell("nas-train", "paths.outputs=öut", "task=müar", folder=tmp_path, **ASCII)
    assert given.code == WRONG_INPUT
    assert given.err.splitlines() == [
        f"error: 'paths.outputs=\\xf6ut' {BEYOND}", f"error: 'task=m\\xfcar' {BEYOND}"
    ]  # fmt: skip
    environment = {**ASCII, "NAS_CACHE": str(tmp_path / "ö")}
    found = shell("nas-train", *tiny, folder=tmp_path, **environment)
    assert found.code == WRONG_INPUT
    assert found.err.splitlines()[-1].endswith(f"\\xf6' {BEYOND}")
    assert "Traceback" not in found.err
