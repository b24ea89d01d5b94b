"""The project's structure: floors of imports, packaged folders, README's map, the public API."""

from __future__ import annotations

import ast
import functools
import graphlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import nas

ROOT = Path(__file__).resolve().parents[1]

FLOORS = (
    {"errors", "configured", "cores", "progress", "provenance", "seeding", "pareto"},
    {"files", "slots", "strip", "factories", "inputs", "masks", "heads", "scaffold_config"},
    {"blocks", "track", "drawing"},
    {"embeddings", "tasks", "scaffold_slots", "report"},
    {"scaffold_checks"},
    {"scaffold"},
    {"architecture", "pool", "train", "interop"},
    {"costs"},
    {"config"},
    {"search"},
    {"bench", "cli"},
)
"""What may import what: a file or folder of ``nas`` imports from lower floors, and within itself."""
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
HEAVY = ("torch", "wandb", "optuna", "hydra")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(path): path for path in sorted((ROOT / "nas").rglob("*.py"))}


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules of ours that a file imports, also within functions, but not for typing alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom) and (child.module or "").split(".")[0] == "nas":
            paths = [f"{child.module}.{alias.name}" for alias in child.names]
            yield from (path if path in FILES else str(child.module) for path in paths)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name.split(".")[0] == "nas")
        yield from imported(child)


@functools.cache
def imports() -> dict[str, set[str]]:
    """Return what each file imports."""
    return {name: set(imported(tree)) for name, tree in trees().items() if name != "nas"}


@functools.cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def unit(module: str) -> str:
    """Return the file or folder of ``nas`` that a module belongs to."""
    return module.split(".")[1]


def test_every_file_has_a_floor_and_every_floor_a_file() -> None:
    assert {unit(name) for name in imports()} == set(FLOOR)


def test_imports_go_downwards_only() -> None:
    wrong = [
        f"{name} (floor {FLOOR[unit(name)]}) imports {target} (floor {FLOOR[unit(target)]})"
        for name, targets in imports().items()
        for target in targets
        if unit(target) != unit(name) and FLOOR[unit(target)] >= FLOOR[unit(name)]
    ]
    assert wrong == []


def test_no_floor_is_higher_than_it_must_be() -> None:
    below: dict[str, int] = {}
    for name, targets in imports().items():
        floors = [FLOOR[unit(target)] + 1 for target in targets if unit(target) != unit(name)]
        below[unit(name)] = max([*floors, below.get(unit(name), 0)])
    assert below == FLOOR


def test_no_file_imports_itself_through_others() -> None:
    tuple(graphlib.TopologicalSorter(imports()).static_order())


def test_relative_imports_are_not_used() -> None:
    relative = [
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_packages_of_pyproject_are_those_of_the_tree() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {module_name(path) for path in (ROOT / "nas").rglob("__init__.py")}
    assert settings["packages"] == sorted(folders | {"nas.conf", "nas.sweeps"})
    without_init = {path.parent for path in (ROOT / "nas").rglob("*.py")} - {
        path.parent for path in (ROOT / "nas").rglob("__init__.py")
    }
    assert without_init == set()
    for package, folder in settings["package-dir"].items():
        assert (ROOT / folder / "__init__.py").is_file(), package


def layout() -> list[str]:
    section = (ROOT / "README.md").read_text().split("\n## Layout\n")[1]
    block = re.search(r"```\w*\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line.split()[0] for line in block[1].splitlines() if line.strip()]


def test_every_path_of_readmes_map_exists() -> None:
    paths = layout()
    assert len(paths) == len(set(paths))
    missing = [p for p in paths if not (ROOT / p).exists() or (ROOT / p).is_dir() != p.endswith("/")]
    assert missing == []


def tracked_top_level() -> set[str]:
    """Return what git tracks at the top, or (in a copy without git) what lies there and is not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    return {line.split("/")[0] for line in listed.stdout.splitlines()}


def mapped(entry: str, paths: list[str]) -> bool:
    return any(p.rstrip("/") == entry or p.startswith(f"{entry}/") for p in paths)


def test_readmes_map_has_everything() -> None:
    paths = layout()
    wanted = tracked_top_level()
    for folder in ("nas", "conf"):
        entries = [p for p in (ROOT / folder).iterdir() if p.name != "__pycache__"]
        wanted |= {f"{folder}/{p.name}" for p in entries if f"{folder}/{p.name}" != "conf/__init__.py"}
    assert sorted(e for e in wanted if not mapped(e, paths)) == []


def test_readmes_map_lists_the_lowest_floor_first() -> None:
    units = [p.split("/")[1].removesuffix(".py") for p in layout() if p.startswith("nas/")]
    listed = [u for u in units if u in FLOOR]
    needs = {u: {unit(t) for n in imports() if unit(n) == u for t in imports()[n]} - {u} for u in FLOOR}
    wrong = {u: sorted(needs[u] - set(listed[:i])) for i, u in enumerate(listed)}
    assert {u: above for u, above in wrong.items() if above} == {}


def test_the_public_api() -> None:
    assert nas.__all__ == ["EncoderScaffold", "Run", "__version__", "build", "cost"]
    assert dir(nas) == sorted(nas.__all__)
    for name in nas.__all__:
        assert getattr(nas, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nas.nothing
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert nas.__version__ == version


def heavy_after(code: str) -> list[str]:
    """Return which heavy packages a fresh interpreter has loaded after running ``code``."""
    probe = f"import json, sys\n{code}\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def test_import_nas_loads_nothing_heavy() -> None:
    assert heavy_after("import nas") == []


HELP = """
from nas.cli.train import main
sys.argv = ["nas-train", "--help"]
try:
    main()
except SystemExit as exit:
    assert exit.code == 0, exit.code
"""


def test_help_loads_neither_torch_nor_wandb_nor_optuna() -> None:
    assert heavy_after(HELP) == ["hydra"]
