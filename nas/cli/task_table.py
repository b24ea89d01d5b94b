"""The page of all tasks in ``nas/tasks/README.md``: ``python -m nas.cli.task_table`` writes it anew."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

from nas.cli.block_table import papers

FOLDER = Path(__file__).resolve().parents[1] / "tasks"
PICTURES = "pictures"
SUITE = "suite"
_WORDS = (
    ("quick", "slow", "young", "old"),
    ("fox", "dog", "cat", "crow"),
    ("sees", "meets", "follows", "helps"),
)
_COMMAND = "python -m nas.cli.task_table"
_SETTING = re.compile(r"^(?P<key>\w+): (?P<value>.*?)\s*(?:#\s*(?P<what>.*))?$")

_HEAD = f"""# Tasks

<!-- Made by `{_COMMAND}` from conf/task, the classes, and sweeps/answers: do not edit. -->

Every YAML file in `conf/task` names one task with its settings; `nas.tasks` holds the classes. The defaults
are small enough for one CPU core: an encoder that can learn the task does so in about a minute. Presets
(`task=mqar_published`) have the sizes of the papers. Pictures show a row of the default settings: white
cells with a blue edge ask, the answers are blue. *Guess* is what always giving the most frequent answer of
`val` reaches. Splits beside `val` are out of the training distribution; a metric is `<split>/<measure>`.

Rows come from seeded generators, the same on every machine; fixed sets are kept in the cache by a hash of
their settings. All tasks are made for encoders that see the whole row: where a published table is causal,
the masked form here **is not comparable** with it, and says so.
"""

_PUBLISHED = {
    "mqar": "MetaLA's table, causal, T 512 with 80 pairs: Transformer above 99 at d 64 and 128, Mamba 0.",
    "selective_copy": "MAD's table: Transformer 99.6, Hyena 93.1, multi-head Hyena 93.0, Mamba 86.3,"
    " GLA 88.6, DeltaNet 100 (mean over 66 settings; the preset is their baseline).",
    "compression": "MAD's table: Transformer 51.6, Hyena 45.2, multi-head Hyena 44.8, Mamba 52.7, GLA 38.8,"
    " DeltaNet 42.2 (mean over 66 settings; the preset is their baseline).",
    "memorization": "MAD's table: Transformer 85.2, Hyena 89.5, multi-head Hyena 89.4, Mamba 89.5, GLA 63.3,"
    " DeltaNet 52.8 (mean over 66 settings; the preset is their baseline).",
    "in_context_recall": "MAD's table, causal: Transformer 94.1, Hyena 81.7, Mamba 90.4, DeltaNet 100.",
    "noisy_recall": "MAD's table, causal: Transformer 86.8, Hyena 78.8, Mamba 90.1, DeltaNet 100.",
    "fuzzy_recall": "MAD's table, causal: Transformer 29.8, Hyena 7.9, Mamba 6.7, DeltaNet 35.7.",
    "listops": "Long Range Arena (`listops_lra`): Transformer 36.4, FNet 35.3, linear attention 16.1, local"
    " attention 15.8, S4 59.6, Mega 63.1.",
    "parity": "Chomsky suite (`parity_chomsky`), strings to 500: Transformer 52.0, LSTM 100.",
    "modular_arithmetic": "Chomsky suite (`modular_arithmetic_chomsky`): Transformer 24.2, LSTM 100.",
    "grid": "Tiny Recursive Model, 9 x 9 from a collection of hard puzzles (other ones than here): 87.4 with"
    " MLP token mixing, about 10 points above attention; Maze-Hard 85.3 with attention.",
}
"""Figures that others published, from their papers; they are told beside a task, not measured here."""


def task_page() -> tuple[str, dict[str, str]]:
    """Return the page as Markdown, and its pictures: file name to SVG."""
    pictures: dict[str, str] = {}
    parts = [_HEAD, _suite()]
    with tempfile.TemporaryDirectory() as folder:
        for name in _base_names():
            parts.append(_section(name, Path(folder), pictures))
    parts.append(_evidence(pictures))
    return "\n".join(parts), pictures


def files() -> dict[Path, str]:
    """Return every file of the page with what it has to hold."""
    page, pictures = task_page()
    drawn = {FOLDER / PICTURES / name: svg + "\n" for name, svg in pictures.items()}
    return {FOLDER / "README.md": page, **drawn}


def main() -> None:
    """Write the page and the pictures; those of tasks that are gone are removed."""
    made = files()
    (FOLDER / PICTURES).mkdir(exist_ok=True)
    for left in (FOLDER / PICTURES).glob("*.svg"):
        if left not in made:
            left.unlink()
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    print(FOLDER / "README.md")


def _base_names() -> list[str]:
    """Return the tasks that are no presets of others."""
    return [name for name in _files() if name != SUITE and _preset_of(name) is None]


def _files() -> dict[str, str]:
    """Return name to text of every file in ``conf/task``, by name."""
    folder = resources.files("nas.conf") / "task"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {f.name.removesuffix(".yaml"): f.read_text(encoding="utf-8") for f in files}


def _preset_of(name: str) -> str | None:
    """Return the task that a file changes settings of."""
    import yaml

    defaults = yaml.safe_load(_files()[name]).get("defaults", [])
    return next((d for d in defaults if isinstance(d, str) and d != "_self_"), None)


def _section(name: str, folder: Path, pictures: dict[str, str]) -> str:
    from nas.cli.task_pictures import picture

    text = _files()[name]
    target = _values(text)["_target_"]
    task = _built(name, folder)
    parts = [f"## {name}\n", f"{_first_comment(text)}.{_links(target)}\n"]
    if task is not None:
        drawn = picture(task)
        if drawn is not None:
            pictures[f"{name}.svg"] = drawn
            parts.append(f"![an example row of {name}]({PICTURES}/{name}.svg)\n")
        parts.append(_facts(task))
    parts.append(_settings(text))
    presets = [_preset_line(other) for other in _files() if _root_of(other) == name and other != name]
    parts += ["Presets:\n", *presets, ""] if presets else []
    parts += [_published(name, task)] if name in _PUBLISHED else []
    return "\n".join(parts)


def _links(target: str) -> str:
    found = papers(target)
    return f" {found}." if "](" in found else ""


def _root_of(name: str) -> str:
    above = _preset_of(name)
    return name if above is None else _root_of(above)


def _facts(task: Any) -> str:
    from nas.tasks.suite import guess

    metrics = ", ".join(f"`{metric}`" for metric in task.metrics)
    sizes = f"V {task.vocab_size}, T {task.seq_length}"
    if task.longest != task.seq_length:
        sizes += f" (longest row of a split: {task.longest})"
    chance = guess(task, "val", "accuracy") if hasattr(task, "draw") else None
    told = [] if chance is None else [f"guess {100 * chance:.1f} %"]
    return f"{'; '.join([sizes, *told, f'a search looks at `{task.objective}`'])}. Metrics: {metrics}.\n"


def _settings(text: str) -> str:
    lines = ["| setting | default | what it is |", "|---|---|---|"]
    for line in text.splitlines():
        found = _SETTING.match(line)
        if found and found["key"] not in ("_target_", "defaults") and found["value"]:
            lines.append(f"| `{found['key']}` | `{found['value']}` | {_cell(found['what'] or '–')} |")
    return "\n".join([*lines, ""])


def _preset_line(name: str) -> str:
    text = _files()[name]
    changes = ", ".join(
        f"{k} {_shown(v)}" for k, v in _values(text).items() if k not in ("defaults", "_target_")
    )
    return f"- `task={name}`: {_first_comment(text)} ({changes})"


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _published(name: str, task: Any) -> str:
    note = getattr(task, "note", None)
    warning = f" **Here: {note}.**" if note else ""
    return f"Published: {_PUBLISHED[name]}{warning}\n"


def _suite() -> str:
    text = _files()[SUITE]
    members = [next(iter(d.values())) for d in _values(text)["defaults"] if isinstance(d, dict)]
    listed = ", ".join(f"`{member}`" for member in members)
    return f"""## suite

`task=suite` trains the same encoder list anew on each of its members, one after another, with the same
trainer budget each:
{listed}.
A member's score is its accuracy above the guess, as a share of what is left above it (0: no better than the
guess, 1: all right); a task whose objective is a share of right answers of another split, such as
`longer/accuracy`, is judged by that. `val/score` is the mean, and what a search maximises; each member's
metrics are there too (`mqar/val/accuracy`). Every member is a whole run folder under `<run>/tasks/`; a
killed suite continues where it was. A member that diverges scores 0, and the result says why.

In a search, the shares in `trainer.evaluate_at` are shares of the suite: after the first member that
completes one, trials are compared by their mean so far. The members' order is fixed, so all are compared
over the same tasks.

    nas-train task=suite encoder=hybrid
    nas-train task=suite task.only=[mqar,grid] +task.settings.mqar.trainer.steps=600
    nas-train task=suite +task@task.tasks.dyck=dyck task@task.tasks.grid=grid_maze
    nas-search sweep=layer_choice task=suite n_trials=20

{_settings(text)}"""


def _evidence(pictures: dict[str, str]) -> str:
    """Return the recorded answers with their pictures."""
    from nas.report.evidence import recorded, shown

    parts = [
        "## Do they tell architectures apart?\n",
        "The sweeps in `sweeps/` ask, and `nas-bench tasks` answers: the learning rate swept for each",
        "candidate, equal parameters, several seeds, 95 % intervals, whichever way it falls.\n",
    ]
    answers = recorded()
    for answer in answers:
        told = shown(answer)
        pictures[f"answer_{told.name}.svg"] = told.picture
        parts += [
            f"### {told.name}\n",
            f"{told.text}.\n",
            f"![{told.name}]({PICTURES}/answer_{told.name}.svg)\n",
        ]
        parts += [*(f"- {sentence}" for sentence in told.sentences), ""]
    return "\n".join([*parts, *([] if answers else ["No answer is recorded yet.\n"])])


def _built(name: str, folder: Path) -> Any:
    """Return a prepared task; None for one that needs data of the user's."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    if "???" in _files()[name]:
        return None
    text = folder / "text.txt"
    lines = (f"The {a} {b} {verb} the {c} {d}.\n\n" for a, b, verb, c, d in product(*_WORDS, *_WORDS[:2]))
    text.write_text("".join(lines), encoding="utf-8")
    config = OmegaConf.create(
        {
            "corpus": {"_target_": "nas.tasks.corpora.text.TextCorpus", "path": str(text)},
            "tokenizer": {"_target_": "nas.tasks.tokenizers.bytes.BytesTokenizer"},
            "task": _values(_files()[name]),
        }
    )
    task = instantiate(config.task, _convert_="all")
    task.prepare(folder, lambda line: None)
    return task


def _values(text: str) -> Mapping[str, Any]:
    import yaml

    values: dict[str, Any] = yaml.safe_load(text)
    return values


def _first_comment(text: str) -> str:
    return _cell(text.splitlines()[0].removeprefix("# ").rstrip("."))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
