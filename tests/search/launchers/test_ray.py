"""Workers on a real Ray cluster of two nodes on this machine, one of which is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.errors import InputError
from nas.files import read_json

pytest.importorskip("ray", reason="needs the extra `ray`")
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    # Ray leaves files and sockets open, and processes to be waited for
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
SPACE = {"seed": list(range(6))}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without room for workers, and two nodes with room for one each."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(
            initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False}
        )
        made.workers = [made.add_node(**NODE) for _ in range(2)]
        yield made
        ray.shutdown()
        made.shutdown()


def searched(lab: Any, *more: str) -> dict[str, Any]:
    """Search the space, and return override to value."""
    study = f"study={'-'.join(more[0].split('='))}"
    arguments = [
        "sampler=grid",
        "rungs=null",
        "n_trials=6",
        "trainer.steps=60",
        "encoder.hidden_cls=[attn,conv]",
    ]
    assert lab.search(lab.sweep("placed", SPACE), study, *arguments, *more) == 0
    rows = lab.rows(study.partition("=")[2])
    assert {row["state"] for row in rows} == {"COMPLETE"}
    assert len(rows) == 6
    return {row["overrides"][-1]: row["value"] for row in rows}


def test_a_node_that_is_killed_costs_nothing_but_time(lab: Any, cluster: Any, capfd: Any) -> None:
    folder = lab.outputs / "launcher-ray"
    lost: list[int] = []

    def kill() -> None:
        """Kill the node whose worker has saved a checkpoint of a trial that goes on."""
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            saved = {p.parent.parent for p in folder.glob("trials/*/checkpoint/state.json")}
            if going := [p for p in saved if not (p / "result.json").exists()]:
                lost.append(int(going[0].name))
                cluster.remove_node(cluster.workers.pop(), allow_graceful=False)
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    address = f"launcher.address={cluster.address}"
    values = searched(lab, "launcher=ray", address, "trainer.checkpoint_seconds=0.1", "trainer.steps=120")
    killer.join()
    assert lost
    assert "2 at a time" in (told := capfd.readouterr().err)
    assert "started again from its checkpoint" in told
    assert values == searched(lab, "launcher=local", "trainer.steps=120")
    steps = {read_json(p)["steps"] for p in folder.glob("trials/*/result.json")}
    assert steps == {120}


def test_a_share_that_fits_nowhere_is_told(lab: Any, cluster: Any, capfd: Any) -> None:
    more = [f"launcher.address={cluster.address}", "launcher.gpus_per_worker=0.5"]
    assert lab.search(lab.sweep("unplaced", SPACE), "launcher=ray", *more) == 2
    [line] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert "launcher.gpus_per_worker=0.5 fit on no node" in line


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"gpus_per_worker": 1.5}, "launcher.gpus_per_worker=1.5 must be 0 or more, and whole above 1"),
        ({"cpus_per_worker": -1}, "launcher.cpus_per_worker=-1"),
        ({"cpus_per_worker": 0}, "one must be more"),
    ],
)
def test_wrong_shares(settings: dict[str, float], told: str, tmp_path: Path) -> None:
    from nas.search.launchers.ray import Ray

    with pytest.raises(InputError, match="launcher") as error:
        Ray(**settings)
    assert told in str(error.value)
