"""Which classes may be named: nothing else is imported, and nothing but classes is called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nas.config.build import build
from nas.config.compose import compose
from nas.errors import InputError

SMALL = ["task=mqar", "encoder.hidden_size=16", "tracker=none"]
KEY = "encoder.blocks.attn._target_"


@pytest.mark.parametrize(
    "target",
    ["os.system", "subprocess.Popen", "functools.partial", "builtins.eval", "torch.load", "nasty.Block",
     "hydra.utils.get_method", "torchvision.models.resnet18"],
)  # fmt: skip
def test_other_packages_are_not_trusted(target: str) -> None:
    with pytest.raises(InputError) as caught:
        compose("train", [f"{KEY}={target}"])
    [told] = caught.value.mistakes
    assert told == (
        f"{KEY}={target!r} is not trusted: allowed are nas.*, torch.nn.*; "
        f"on the command line trusted_targets=[{target.split('.')[0]}.] adds your own"
    )


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nas.files.os.system", "there is no module nas.files.os"),
        ("nas.files.write_text", "names no class that its module defines"),
        ("nas.files.Path", "names no class that its module defines"),
        ("nas.cli.app.run_command", "names no class that its module defines"),
        ("nas.blocks.base.nn", "names no class that its module defines"),
        ("nas.pool.encoder_from_poo", "names no class that its module defines"),
        ("nas.blocks.attention.mha.MultiHeadAttentio", "did you mean 'nas.blocks.attention.mha.MultiHead"),
        ("torch.nn.modules.module.torch.load", "is not a public class of torch.nn such as torch.nn.Linear"),
        ("torch.nn.modules.linear.Linear", "is not a public class of torch.nn such as torch.nn.Linear"),
        ("torch.nn.Linea", "is not a module class of torch.nn; did you mean 'Linear'?"),
        ("torch.nn.Parameter", "is not a module class of torch.nn"),
        ("torch.nn.init", "is not a module class of torch.nn"),
        ("nas.blocks.none.NoBlock()", "must be a dotted path to a class"),
        ("nas..x", "must be a dotted path to a class"),
    ],
)  # fmt: skip
def test_a_trusted_prefix_alone_does_not_do(target: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        compose("train", [f"{KEY}='{target}'"])
    [line] = caught.value.mistakes
    assert told in line


@pytest.mark.parametrize(
    "override",
    [
        "encoder.hidden_cls.0={_target_: os.system, command: 'false'}",
        "+encoder.blocks.x={_target_: os.system, command: 'false'}",
        "task.corpus={_target_: os.system, command: 'false'}",
        "embedding.initializer={_target_: os.system, command: 'false'}",
        "embedding.initializer={a: [{b: {_target_: os.system}}]}",
        "encoder.blocks._target_=os.system",
    ],
)
def test_targets_are_found_wherever_they_are(override: str) -> None:
    form = override if override.startswith("+") else f"++{override}"
    with pytest.raises(InputError, match=r"'os\.system' is not trusted"):
        compose("train", [form])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the user's with one block, on the path but not imported."""
    name = "users_own_blocks"
    folder = tmp_path / "site" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Blocks of a user."""\n')
    (folder / "scale.py").write_text(
        "from torch import nn\n"
        "from nas.blocks.base import ResidualBlock\n\n"
        "class Scale(ResidualBlock):\n"
        "    role = 'feedforward'\n"
        "    label = 'scale'\n\n"
        "    def __init__(self, hidden_size: int, factor: float = 2.0) -> None:\n"
        "        super().__init__(hidden_size)\n"
        "        self.factor = factor\n"
        "        self.linear = nn.Linear(hidden_size, hidden_size)\n\n"
        "    def mix(self, data, attention_mask):\n"
        "        return self.linear(data) * self.factor\n\n"
        "    def mix_flops(self, seq_length):\n"
        "        return 2.0 * self.linear.weight.numel()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for module in (name, f"{name}.scale"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return name


def overrides(package: str, keys: str = "hidden_size: 16, factor: 3.0") -> list[str]:
    node = f"{{_target_: {package}.scale.Scale, _partial_: true, {keys}}}"
    return [*SMALL, f"+encoder.blocks.mine={node}", "encoder.hidden_cls.0=mine"]


def test_a_users_package_is_refused_and_not_imported(package: str) -> None:
    with pytest.raises(InputError, match=rf"trusted_targets=\[{package}\.\] adds your own"):
        compose("train", overrides(package))
    assert package not in sys.modules


def test_a_users_package_is_allowed_on_the_command_line(package: str) -> None:
    run = build([*overrides(package), f"trusted_targets=[{package}.]"])
    assert type(next(iter(run.encoder.hidden_layers))).__name__ == "Scale"
    assert run.overrides[-1] == f"trusted_targets=[{package}.]"


def test_a_users_block_that_lacks_a_method_is_told_before_anything_is_prepared(
    package: str, tmp_path: Path
) -> None:
    file = tmp_path / "site" / package / "scale.py"
    file.write_text(file.read_text().replace("def mix", "def mixed").replace("label = ", "name = "))
    with pytest.raises(InputError) as caught:
        build([*overrides(package), f"trusted_targets=[{package}.]"])
    [told] = caught.value.mistakes
    assert told == f"encoder: the block class {package}.scale.Scale must define label, mix, mix_flops"


def test_a_users_class_is_checked_without_importing_it(package: str) -> None:
    trusted = f"trusted_targets=[{package}.]"
    with pytest.raises(InputError, match=r"mine\.facto is not a key here; did you mean '.*mine\.factor'"):
        compose("train", [*overrides(package, "hidden_size: 16, facto: 3.0"), trusted])
    with pytest.raises(InputError, match=r"mine\.factor='x' must be a number"):
        compose("train", [*overrides(package, "hidden_size: 16, factor: x"), trusted])
    with pytest.raises(InputError, match=r"there is no module users_own_blocks\.nope"):
        compose("train", [f"{KEY}={package}.nope.Scale", trusted])
    assert f"{package}.scale" not in sys.modules


def package_of(files: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a package of the user's, trusted by its name."""
    name = f"users_{folder.name}"
    for file, text in files.items():
        (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / file).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return name


REEXPORTING = {
    "__init__.py": "from pathlib import Path\nfrom .inner import Scale as Again, Torn, plain, small, Small\n"
    "from .inner.deep import Circle\nfrom os import system\n",
    "inner/__init__.py": "from .deep import Scale\nfrom ..torn import Torn\n"
    "from ..flat import small, plain, Small\n",
    "inner/deep.py": "from .. import Circle\n"
    "class Scale:\n    def __init__(self, factor: int) -> None: ...\n",
    "flat.py": "class small:\n    def __init__(self, factor: int) -> None: ...\n"
    "def plain(factor: int): ...\ndef Small(factor: int): ...\n",
    "torn.py": "class Torn(:\n",
}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Again", None),
        ("inner.Scale", None),
        ("small", None),
        ("flat.small", None),
        ("Path", "names no class"),
        ("system", "names no class"),
        ("Circle", "names no class"),
        ("plain", "names no class"),
        ("flat.Small", "names no class"),
        ("flat.smal", "did you mean '{}.flat.small'?"),
        ("Torn", "torn.py, line 1: invalid syntax"),
    ],
)
def test_a_class_may_be_named_where_a_trusted_module_imports_it(
    name: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = package_of(REEXPORTING, tmp_path, monkeypatch)
    node = f"{{_target_: {package}.{name}, _partial_: true, facto: 1}}"
    with pytest.raises(InputError) as caught:
        compose("train", [f"+encoder.blocks.mine={node}", f"trusted_targets=[{package}.]"])
    [mistake] = caught.value.mistakes
    assert (told or "mine.facto is not a key here; did you mean").format(package) in mistake


STARRED = {
    "__init__.py": "from .blocks import *\nfrom .torn import *\n",
    "blocks/__init__.py": "from .. import *\nfrom .deep import *\nfrom .listed import *\nfrom os import *\n",
    "blocks/deep.py": "class Scale:\n    def __init__(self, factor: int) -> None: ...\n"
    "class _Hidden:\n    def __init__(self, factor: int) -> None: ...\n",
    "blocks/listed.py": "from .far import Far\n__all__ = ['Far']\n"
    "class Unlisted:\n    def __init__(self, factor: int) -> None: ...\n",
    "blocks/far.py": "class Far:\n    def __init__(self, factor: int) -> None: ...\n",
    "torn.py": "class Torn(:\n",
}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Scale", None),
        ("blocks.Scale", None),
        ("Far", None),
        ("blocks._Hidden", "names no class"),
        ("blocks.Unlisted", "torn.py, line 1: invalid syntax"),  # it may come from there
        ("Torn", "torn.py, line 1: invalid syntax"),
    ],
)
def test_classes_that_a_trusted_module_imports_with_a_star(
    name: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = package_of(STARRED, tmp_path, monkeypatch)
    node = f"{{_target_: {package}.{name}, _partial_: true, facto: 1}}"
    with pytest.raises(InputError) as caught:
        compose("train", [f"+encoder.blocks.mine={node}", f"trusted_targets=[{package}.]"])
    [mistake] = caught.value.mistakes
    assert (told or "mine.facto is not a key here; did you mean") in mistake


def test_a_package_is_not_imported_to_find_what_lies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    inner = tmp_path / "users_loud_package" / "without_init" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "users_loud_package" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (inner / "scale.py").write_text("class Scale:\n    def __init__(self, factor: int) -> None: ...\n")
    target = "users_loud_package.without_init.deep.scale.Scale"
    with pytest.raises(InputError, match=r"mine\.facto is not a key here"):
        compose("train", [f"+encoder.blocks.mine={{_target_: {target}, _partial_: true, facto: 1}}",
                          "trusted_targets=[users_loud_package.]"])  # fmt: skip


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (b"class Scale:\n    x = = 1\n", "line 2: invalid syntax"),
        (b"x = '\xe9'\n", "line 1: (unicode error)"),
    ],
)
def test_a_module_that_is_not_python_is_told_with_file_and_line(
    source: bytes, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / f"users_torn_{len(source)}.py"
    file.write_bytes(source)
    with pytest.raises(InputError) as caught:
        compose("train", [f"{KEY}={file.stem}.Scale", f"trusted_targets=[{file.stem}.]"])
    [told] = caught.value.mistakes
    assert told.startswith(f"{KEY}='{file.stem}.Scale' cannot be read: {file}, {what}")


def test_a_file_cannot_trust_itself(package: str, tmp_path: Path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_text(
        f"trusted_targets: [{package}.]\n"
        f"encoder: {{blocks: {{mine: {{_target_: {package}.scale.Scale, _partial_: true}}}}}}\n"
    )
    with pytest.raises(InputError) as caught:
        compose("train", [f"experiment={path}"])
    told = "\n".join(caught.value.mistakes)
    assert "trusted_targets is not a key here" in told
    assert "is not trusted" in told
    assert package not in sys.modules


def test_hydras_own_hooks_in_a_file_are_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    path = tmp_path / "exp.yaml"
    path.write_text(f"hydra: {{callbacks: {{x: {{_target_: os.system, command: touch {proof}}}}}}}\n")
    compose("train", [f"experiment={path}"])
    assert not proof.exists()
