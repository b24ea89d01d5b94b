"""The recipes of ``nas/search/README.md``: what they call exists, and takes what they give it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.config.compose import compose

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "nas" / "search" / "README.md").read_text(), re.DOTALL)
VARIABLES = {"HOSTNAME": "search-0", "SLURM_ARRAY_TASK_ID": "0"}


def searches() -> list[list[str]]:
    """Return the arguments of every search, as a shell would give them."""
    text = "\n".join(block for _, block in BLOCKS).replace("\\\n", " ")
    for name, value in VARIABLES.items():
        text = text.replace(f"${name}", value)
    return [line.split() for line in re.findall(r"nas-search (.*?)\s*(?:[&#\"].*)?$", text, re.MULTILINE)]


def manifest() -> Any:
    [text] = [block for language, block in BLOCKS if language == "yaml"]
    return yaml.safe_load(text)


@pytest.mark.parametrize("arguments", searches(), ids=" ".join)
def test_every_search_of_the_recipes_composes(arguments: list[str]) -> None:
    assert compose("search", arguments).values()["paths"]["outputs"]


def test_the_manifest_of_a_kubernetes_job() -> None:
    job = manifest()
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # which podFailurePolicy needs
    assert pod["terminationGracePeriodSeconds"] > 60  # the patience of `Crew.interrupt`
    [container] = pod["containers"]
    shell, flag, line = container["command"]
    assert (shell, flag) == ("sh", "-c")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert re.fullmatch(r"exec (\S+) .*", line)[1] in scripts  # type: ignore[index]
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert [path for path in re.findall(r"=(/\w+)/", line) if path not in mounted] == []
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
