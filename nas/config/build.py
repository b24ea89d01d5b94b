"""From a checked configuration to a run that can be looked at and trained."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.config.compose import Composed, compose
from nas.errors import InputError
from nas.progress import Say, say
from nas.train.folder import identity

if TYPE_CHECKING:
    from nas.scaffold import EncoderScaffold
    from nas.tasks.base import Task
    from nas.train.result import RunResult
    from nas.train.run import Rung, Watch


class Run:
    """One training run: its encoder and task are built, nothing is prepared or trained yet.

    Args:
        composed: the checked configuration.
        folder: the run folder; None puts it under ``paths.outputs`` with a name made of encoder,
            task and a hash of the configuration, so that the same command finds it again.
        group: the study or experiment it belongs to.
        job_type: ``train`` or ``trial``, for trackers.

    Raises:
        InputError: the encoder or the task cannot be built from these values.
    """

    def __init__(
        self,
        composed: Composed,
        folder: Path | None = None,
        group: str | None = None,
        job_type: str = "train",
    ) -> None:
        self.composed = composed
        self.config = composed.values()
        self.overrides = composed.overrides
        self.group = group or self.config["study"] or "train"
        self.job_type = job_type
        self.parts = _make_all(self.config)
        self.task: Task = self.parts["task"]
        self.encoder: EncoderScaffold = build_encoder(self.config, self.task)
        default = Path(self.config["paths"]["outputs"]).expanduser() / self.group / self._default_name()
        self.folder = folder or default

    def train(self, report: Say = say, rung: Rung | None = None, watch: Watch | None = None) -> RunResult:
        """Train to the end of the budget, in the run folder, and return the result.

        Args:
            report: told what happens, a line at a time.
            rung: asked at every evaluation whether the run shall go on.
            watch: told every row of metrics with the share of the budget.

        Raises:
            InputError: the device is not there or the data cannot be prepared; no folder is made.
            InterruptedRunError: stopped by a signal; the same call continues.
        """
        from nas.train.result import read_result
        from nas.train.run import RunPlan, execute

        if read_result(self.folder) is None:
            self.try_inputs(report)
        config = self.config
        plan = RunPlan(
            encoder=self.encoder,
            **self.parts,
            seed=config["seed"],
            folder=self.folder,
            cache=Path(config["paths"]["cache"]).expanduser(),
            name=self.folder.name if self.job_type == "train" else f"trial-{self.folder.name}",
            group=self.group,
            job_type=self.job_type,
            config=config,
            description=self.description,
            overrides=self.overrides,
        )
        return execute(
            plan, report, rung or (lambda progress, metrics: True), watch or (lambda row, progress: None)
        )

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        """The encoder in plain words and numbers, as ``architecture.json`` holds it."""
        from nas.costs.describe import describe

        return describe(self.encoder, self.task.seq_length)

    def identity(self) -> str:
        """Return a hash of all that decides the result: the resolved configuration."""
        return identity(self.config)

    def _default_name(self) -> str:
        return f"{self.composed.choices.get('encoder') or 'encoder'}-{self.task.name}-{self.identity()}"

    def try_inputs(self, report: Say) -> None:
        """Prepare the data and try one batch: all that a configuration cannot tell, before there is a folder.

        Raises:
            InputError: the device is not there, or the data is missing or too small.
        """
        from nas.train.precision import choose_device

        trainer = self.config["trainer"]
        choose_device(trainer["device"])
        self.task.prepare(Path(self.config["paths"]["cache"]).expanduser(), report)
        self.task.train_batch(0, trainer["batch_size"], self.config["seed"])


def build(overrides: Sequence[str] = ()) -> Run:
    """Build the run that ``nas-train`` with these overrides would train.

    Example: ``run = nas.build(["encoder=bert", "task=mqar"]); run.train().metrics``.

    Raises:
        InputError: one sentence for each wrong key, value or name.
    """
    return Run(compose("train", list(overrides)))


def build_encoder(config: dict[str, Any], task: Task) -> EncoderScaffold:
    """Build the encoder of a resolved configuration, with the vocabulary and length of its task.

    Its weights depend on ``config["seed"]`` alone.

    Raises:
        InputError: sizes that do not fit each other or the task.
    """
    from nas.seeding import seed_torch

    node = json.loads(json.dumps(config["encoder"]))
    _fit_embedding(node["embedding"], task)
    _fit_blocks(node["blocks"], node["embedding"])
    node["blocks"] = _in_use(node)
    seed_torch(config["seed"], "encoder")
    encoder: EncoderScaffold = instantiate_node("encoder", node)
    return encoder


def _fit_embedding(embedding: Any, task: Task) -> None:
    needed = {"vocab_size": task.vocab_size, "max_seq_length": task.seq_length}
    if not isinstance(embedding, dict):
        return
    for key, least in needed.items():
        if key in embedding and embedding[key] is None:
            embedding[key] = least
        elif isinstance(embedding.get(key), int) and embedding[key] < least:
            raise InputError(
                f"embedding.{key}={embedding[key]} is less than the {least} that task={task.name} needs"
            )


def _fit_blocks(node: Any, embedding: Any) -> None:
    """Tell fixed-length blocks the embedding's length, shared and nested ones too."""
    length = embedding.get("max_seq_length") if isinstance(embedding, dict) else None
    if not isinstance(node, dict):
        return
    if "_target_" in node and "max_seq_length" in node and node["max_seq_length"] is None:
        node["max_seq_length"] = length
    for inner in node.values():
        _fit_blocks(inner, embedding)


def _in_use(encoder: dict[str, Any]) -> Any:
    """Return the pool in the order of use: names and spare blocks must not change what is drawn."""
    slots, blocks = encoder["hidden_cls"], encoder["blocks"]
    if not isinstance(slots, list) or not isinstance(blocks, dict):
        return blocks
    named = (slot for slot in slots if isinstance(slot, str) and slot in blocks)
    return {name: blocks[name] for name in dict.fromkeys(named)}


def _make_all(config: dict[str, Any]) -> dict[str, Any]:
    """Instantiate all that is cheap; the mistakes of every part are reported together."""
    parts: dict[str, Any] = {}
    mistakes: list[str] = []
    for key in ("task", "optimizer", "schedule", "trainer", "tracker"):
        try:
            parts[key] = instantiate_node(key, config[key])
        except InputError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise InputError(*mistakes)
    return parts


def instantiate_node(key: str, node: dict[str, Any]) -> Any:
    """Instantiate a node whose targets were checked; its own errors come out as they are."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise _placed(cause, key, str(error)) from None
        raise InputError(f"{key}: {str(error).splitlines()[-1]}") from error


def _placed(mistake: InputError, key: str, told: str) -> InputError:
    """Name the block that a config builds itself (a shared one); other parts name themselves."""
    _, _, place = told.partition("\nfull_key: blocks.")
    return InputError(*(f"{key}.blocks.{place}: {m}" for m in mistake.mistakes)) if place else mistake
