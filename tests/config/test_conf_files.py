"""Every YAML in conf/ and sweeps/: one comment, the constructor's arguments, and it composes."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from omegaconf import OmegaConf

from nas.config.compose import Kind, compose
from nas.config.groups import group_options, hydra_loaded
from nas.config.signatures import Annotation, signature_of
from nas.config.types import allowed, fits

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "sweeps").rglob("*.yaml")])
REQUIRED = {
    "corpus=text": ["corpus.path=x"],
    "corpus=hub": ["corpus.name=x"],
    "tokenizer=saved": ["tokenizer.path=x"],
    "storage=postgres": ["storage.url=x"],
    "task=classification": ["task.path=x"],
    "task=classification_hub": ["task.name=x"],
}
SMALL = "encoder=bert"
"""A pool of one block composes in half the time."""
ABSTRACT = {"encoder=base"}
"""Not choices of their own: other files of the group build on them."""
KIND: dict[str, Kind] = {
    **dict.fromkeys(("sampler", "evaluator", "launcher", "storage"), "search"),
    "bench": "bench",
}
"""Groups that a run does not have, and whose they are."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def plain(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[assignment]
    return values


WITH_TARGET = [path for path in FILES if re.search(r"^_target_:", path.read_text(), re.MULTILINE)]
WITH_DEFAULTS = [path for path in WITH_TARGET if "defaults" in plain(path)]


def options() -> list[str]:
    with hydra_loaded():
        groups = group_options()
    flat = [f"{group}={option}" for group, names in groups.items() for option in names]
    return sorted(
        o for o in flat if "=" in o and not o.startswith(("block", "composition")) and o not in ABSTRACT
    )


def blocks() -> list[str]:
    folder = ROOT / "conf" / "block"
    return sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_first_line_says_what_it_is(path: Path) -> None:
    first, second = path.read_text().splitlines()[:2]
    said = second if first.startswith("# @package") else first
    assert said.startswith("# ")
    assert said.rstrip().endswith((".", "?")) or ":" in said


@functools.cache
def with_defaults() -> dict[Path, dict[str, Any]]:
    """Return the values of files that have a defaults list, composed together."""
    added = []
    for i, path in enumerate(WITH_DEFAULTS):
        group, *option = path.relative_to(ROOT / "conf").with_suffix("").parts
        added.append(f"+{group}@node{i}={'/'.join(option)}")
    with hydra_loaded():
        nodes: Any = OmegaConf.to_container(hydra_compose(overrides=added))
    return {path: nodes[f"node{i}"] for i, path in enumerate(WITH_DEFAULTS)}


def composed(path: Path) -> dict[str, Any]:
    """Return a file's values with those of its defaults list, links left as they are."""
    return with_defaults()[path] if path in WITH_DEFAULTS else plain(path)


@pytest.mark.parametrize("path", WITH_TARGET, ids=name)
def test_keys_are_the_constructors_arguments(path: Path) -> None:
    values = composed(path)
    signature = signature_of(values["_target_"])
    assert signature is not None
    assert not signature.open
    assert values.keys() - {"_target_", "_partial_"} == set(signature.parameters)


@pytest.mark.parametrize("path", WITH_TARGET, ids=name)
def test_values_fit_the_annotations(path: Path) -> None:
    values = composed(path)
    signature = signature_of(values["_target_"])
    assert signature is not None
    for key, annotation in signature.parameters.items():
        value = values[key]
        linked = isinstance(value, str) and (value.startswith("${") or value == "???")
        assert annotation.node is not None, f"{key} is not annotated"
        assert linked or fits(value, annotation), f"{key}={value!r} must be {allowed(annotation)}"


@pytest.mark.slow  # a composition for every file
@pytest.mark.parametrize("option", options())
def test_every_choice_composes(option: str) -> None:
    group = option.split("=")[0]
    kind = KIND.get(group, "train")
    small = [SMALL] if group not in ("encoder", "sweep") and kind != "bench" else []
    composed = compose(kind, [option, *small, *REQUIRED.get(option, [])])
    assert composed.choices[group] == option.split("=")[1]
    assert composed.values()["seed"] == 0
    assert kind != "train" or "space" not in composed.plain


def test_every_block_composes_in_a_pool() -> None:
    names = {block.replace("/", "_"): block for block in blocks()}  # in one pool: it takes as long for each
    added = [f"+block@encoder.blocks.{name}={block}" for name, block in names.items()]
    list_of_all = [f"encoder.num_layers={len(names)}", f"encoder.hidden_cls=[{','.join(names)}]"]
    pool = compose("train", [SMALL, *added, *list_of_all]).values()["encoder"]["blocks"]
    for name, block in names.items():
        assert pool[name]["_target_"] == plain(ROOT / "conf" / "block" / f"{block}.yaml")["_target_"]


@pytest.mark.parametrize("sweep", sorted(p.stem for p in (ROOT / "sweeps").glob("*.yaml")))
def test_every_sweep_composes_for_a_search(sweep: str) -> None:
    assert compose("search", [f"sweep={sweep}"]).values()["space"]


def test_a_sweep_in_a_run_brings_no_space() -> None:
    assert "space" not in compose("train", ["sweep=layer_choice"]).values()  # others among all choices


def test_annotations_in_words() -> None:
    signature = signature_of("nas.train.trainer.Trainer")
    assert signature is not None
    words = {key: allowed(annotation) for key, annotation in signature.parameters.items()}
    assert words["steps"] == "an integer or null"
    assert words["clip_norm"] == "a number"
    assert words["precision"] == "one of ['auto', 'fp32', 'tf32', 'bf16', 'fp16']"
    assert words["device"] == "a text"
    assert words["evaluate_at"] == "a list of numbers or null"
    assert allowed(Annotation(None, "")) == "anything"
