"""Wrong input: each mistake is one sentence with key, value, what is allowed and the nearest name."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from omegaconf.errors import ConfigAttributeError

from nas.config.build import build
from nas.config.compose import Composed, Kind, compose, with_values
from nas.config.overrides import parse
from nas.errors import InputError
from nas.train.folder import claim

POOL = "['attn', 'conv', 'ffn', 'fourier', 'layer', 'local', 'loop', 'mlp', 'none', 'reuse', 'ssm']"
KEYS = (
    "['checkpoint', 'corpus', 'embedding', 'encoder', 'mask', 'optimizer', 'paths', 'schedule', "
    "'seed', 'study', 'task', "
    "'tokenizer', 'tracker', 'trainer', 'transfer']"
)


@functools.cache
def base() -> Composed:
    return compose("train", [])


def mistakes(*overrides: str, kind: Kind = "train") -> list[str]:
    with pytest.raises(InputError) as caught:
        compose(kind, overrides)
    return list(caught.value.mistakes)


EXACT = {
    # keys
    "encoder.hiden_size=32": "encoder.hiden_size is not a key; did you mean 'encoder.hidden_size'?",
    "trainer.stepss=3": "trainer.stepss is not a key; did you mean 'trainer.steps'?",
    "paths.output=x": "paths.output is not a key; did you mean 'paths.outputs'?",
    "encoder.blocks.attn.num_head=2": "encoder.blocks.attn.num_head is not a key; "
    "did you mean 'encoder.blocks.attn.num_heads'?",
    "foo=1": f"foo is not a key; the configuration has {KEYS}",
    "+foo=1": f"foo is not a key here; allowed are {KEYS}",
    "++foo=1": f"foo is not a key here; allowed are {KEYS}",
    "+_target_=os.system": f"_target_ is not a key here; allowed are {KEYS}",
    "+trainer.step=3": "trainer.step is not a key here; did you mean 'trainer.steps'?",
    "encoder.embedding.position=none": "encoder.embedding.position: embedding.position stands for it, "
    "so set embedding.position",
    # values
    "encoder.hidden_size=abc": "encoder.hidden_size='abc' must be an integer",
    "encoder.hidden_size=1.5": "encoder.hidden_size=1.5 must be an integer",
    "encoder.hidden_size=true": "encoder.hidden_size=True must be an integer",
    "encoder.num_heads=null": "encoder.num_heads=None must be an integer",
    "seed=x": "seed='x' must be an integer",
    "paths.cache=": "paths.cache is empty: name a folder (NAS_CACHE sets paths.cache, if set)",
    "study=[3]": "study=[3] must be a text or null",
    "optimizer.lr=abc": "optimizer.lr='abc' must be a number",
    "optimizer.lr=nan": "optimizer.lr=nan must be a number",
    "trainer.evaluate_at=[nan]": "trainer.evaluate_at=[nan] must be a list of numbers or null",
    "trainer.precision=f16": "trainer.precision='f16' must be one of ['auto', 'fp32', 'tf32', 'bf16', "
    "'fp16']; did you mean 'fp16'?",
    "trainer.evaluate_at=0.5": "trainer.evaluate_at=0.5 must be a list of numbers or null",
    "trainer.evaluate_at=[a]": "trainer.evaluate_at=['a'] must be a list of numbers or null",
    "embedding.position=rope": "embedding.position='rope' must be one of ['learned', 'sinusoid', 'none']; "
    "did you mean 'none'?",
    "encoder.blocks.attn.norm=pree": "encoder.blocks.attn.norm='pree' must be one of "
    "['pre', 'post', 'sandwich', 'none']; did you mean 'pre'?",
    "encoder.composition.norm=pree": "encoder.composition.norm='pree' must be one of "
    "['pre', 'post', 'sandwich', 'none']; did you mean 'pre'?",
    "encoder.composition.nrom=pre": "encoder.composition.nrom is not a key; did you mean "
    "'encoder.composition.norm'?",
    "+block@encoder.blocks.loop=recursive/loop": "'+block@encoder.blocks.loop=recursive/loop': "
    "encoder.blocks.loop is there already: leave the + out to replace it",
    "encoder.blocks.attn._partial_=3": "encoder.blocks.attn._partial_=3 must be true (a fresh one) or "
    "false (one, shared)",
    "task.corpus=x": "task.corpus='x' must be a node with _target_",
    "task.corpus=null": "task.corpus=None must be a node with _target_",
    "~task._target_": "task={...} must be a node with _target_",
    "encoder.hidden_size=${encoder.num_head}": "embedding.hidden_size: "
    "Interpolation key 'encoder.num_head' not found",
    # slots and the pool
    "encoder.hidden_cls.2=fnn": f"encoder.hidden_cls.2='fnn' is not in encoder.blocks {POOL}; "
    "did you mean 'ffn'?",
    "encoder.hidden_cls.2=3": f"encoder.hidden_cls.2=3 is not in encoder.blocks {POOL}",
    "encoder.hidden_cls.9=attn": "encoder.hidden_cls.9: the list encoder.hidden_cls has 6 items, "
    "so the last is encoder.hidden_cls.5",
    "encoder.hidden_cls.x=attn": "encoder.hidden_cls.x: the list encoder.hidden_cls has 6 items, "
    "so the last is encoder.hidden_cls.5",
    "encoder.hidden_cls=attn": "encoder.hidden_cls='attn' must be a list",
    "encoder.hidden_cls=[]": "encoder.hidden_cls=[] is empty: at least one slot is needed",
    "encoder.num_layers=2": "encoder.hidden_cls has 6 slots but encoder.num_layers=2: "
    "a pattern may be shorter than the depth, not longer",
    "encoder.blocks=null": "encoder.blocks=None must be keys with values",
    "encoder.blocks.conv=3": "encoder.blocks.conv=3 must be a node with _target_",
    # groups
    "task=mlmm": "task='mlmm' is not one of ['glue_mnli', 'glue_mrpc', 'memorization', "
    "'memorization_mad', 'mlm', 'modular_arithmetic', 'modular_arithmetic_chomsky', 'mqar'] and 36 more; "
    "did you mean 'mlm'?",
    "tracker=wandbb": "tracker='wandbb' is not one of ['none', 'wandb']; did you mean 'wandb'?",
    # what is missing, or too much
    "corpus=text": "corpus.path is required: add corpus.path=...",
    "corpus=hub": "corpus.name is required: add corpus.name=...",
    "encoder=base": "encoder.hidden_cls is required: add encoder.hidden_cls=...",
    "~seed": "seed is required",
    "optimizer.lr=1,2": "'optimizer.lr=1,2' names several values: add -m to run them all",
    "encoder=bert,albert": "'encoder=bert,albert' names several values: add -m to run them all",
    # the form itself
    "encoder": "'encoder' cannot be read: missing EQUAL at '<EOF>'",
    "encoder.hidden_cls=[attn": "'encoder.hidden_cls=[attn' cannot be read: "
    "no viable alternative at input '[attn'",
    "optimizer.lr=a;b": "'optimizer.lr=a;b' cannot be read: token recognition error at: ';'; "
    "a value with such signs needs quotes within the shell's: optimizer.lr='\"...\"'",
    "encoder.hidden_cls=[café,ffn]": "'encoder.hidden_cls=[café,ffn]' cannot be read: token recognition "
    "error at: 'é'; in a list, an item with such signs needs quotes: \"encoder.hidden_cls=['café',ffn]\"",
    "trainer={stepz: 3}": "trainer.stepz is not a key; did you mean 'trainer.steps'?",
    "experiment=missing.yaml": "experiment='missing.yaml': there is no file missing.yaml",
    "trusted_targets=[my]": "trusted_targets=['my'] must be a list of prefixes with a dot, "
    "such as [my_package.]",
}  # fmt: skip


@pytest.mark.parametrize("override", EXACT)
def test_one_mistake_is_one_sentence(override: str) -> None:
    """Through `with_values`: quick where only a value is wrong, a full composition elsewhere."""
    with pytest.raises(InputError) as caught:
        with_values(base(), "train", [override])
    assert list(caught.value.mistakes) == [EXACT[override]]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("encoder=brt", ["encoder='brt' is not one of ['albert', 'base', 'bert'", "did you mean 'bert'?"]),
        (
            "+block@encoder.blocks.x=feedforward/mpl",
            ["block@encoder.blocks.x='feedforward/mpl'", "mean 'feedforward/mlp'?"],
        ),
        (
            "block@encoder.blocks.ffn=mixing/conf",
            ["block@encoder.blocks.ffn='mixing/conf'", "did you mean 'mixing/conv'?"],
        ),
        ("block@encoder.blocks.nope=mixing/conv", ["use +block@encoder.blocks.nope=mixing/conv"]),
        ("block=attention/mha", ["Did you mean to override one of block@encoder.blocks.attn"]),
        ("experiment=missing", ["experiment='missing' is not one of [", "'long'"]),
        ("sweep=layer", ["sweep='layer' is not one of [", "did you mean 'layer_choice'?"]),
        ("task=null", ["task"]),
        ("tokenizer=null", ["tokenizer"]),
        ("n_trials=3", ["n_trials is not a key"]),
        ("=3", ["'=3'"]),
        ("encoder.", ["'encoder.' cannot be read"]),
    ],
)
def test_one_mistake_names_what_to_do(override: str, parts: list[str]) -> None:
    [told] = mistakes(override)
    assert all(part in told for part in parts), told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("n_trials=x", "n_trials='x' must be an integer"),
        ("sampler=tpee", "sampler='tpee' is not one of "
            "['auto', 'evolution', 'grid', 'local_search', 'nsga2', 'random', 'tpe']; did you mean 'tpe'?"),
        ("direction=min", "direction='min' must be one of ['minimize', 'maximize'] or a list or null; "
            "did you mean 'minimize'?"),
        ("rungs.reduction_factor=x", "rungs.reduction_factor='x' must be an integer"),
        ("workers=all", "workers='all' must be an integer or null"),
        ("rungs={zzzzzzzzz: 1}", "rungs.zzzzzzzzz is not a key; to add it: +rungs={zzzzzzzzz: 1}"),
        ("space.optimizer.lr=[0.1]", "space.optimizer.lr: what a sweep says of optimizer.lr is replaced "
            "whole: +space.optimizer.lr=..."),
        ("space={optimizer.lr: [0.1]}", "space: what a sweep says of optimizer.lr is replaced whole: "
            "+space.optimizer.lr=..."),
        ("+rungs.factor=2", "rungs.factor is not a key here; did you mean 'rungs.reduction_factor'?"),
    ],
)  # fmt: skip
def test_mistakes_in_a_search(override: str, told: str) -> None:
    assert mistakes(override, kind="search") == [told]


def test_a_sweep_chooses_no_sampler(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "defaults: [{override /sampler: random}]\nspace: {optimizer.lr: [0.1]}"
    )
    [told] = mistakes(f"sweep={tmp_path / 'mine.yaml'}", kind="search")
    assert told.endswith("mine.yaml' cannot choose sampler: give sampler=... beside it")


def test_files_are_not_offered_under_the_names_that_stand_for_them(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("space: {optimizer.lr: [0.1]}")
    [told] = mistakes(f"sweep=[{tmp_path / 'mine.yaml'},layr]", kind="search")
    assert told.startswith("sweep='layr' is not one of [")
    assert "mine" not in told


def test_sweeps_that_cannot_be_merged(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("space: {optimizer.lr: [0.1]}")
    [told] = mistakes(f"sweep=[{tmp_path / 'mine.yaml'}, layer_choice]", kind="search")
    assert told.endswith("Cannot merge DictConfig with ListConfig")


def test_ctrl_c_within_omegaconf_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise ConfigAttributeError("'NoneType' object has no attribute '_invalidate_flags_cache'")

    monkeypatch.setattr("nas.config.compose.hydra_compose", interrupted)
    for override in ("optimizer.lr=0.123", "hydra.verbose=true"):
        with pytest.raises(KeyboardInterrupt):
            compose("train", ["task=mqar", "tracker=none", "encoder=fnet", "seed=98", override])


def test_mistakes_in_a_report() -> None:
    assert "task=mlm" in mistakes("study=x", "task=mlm", kind="report")[0]


def test_all_mistakes_are_told_together() -> None:
    told = mistakes(
        "encoder.hiden_size=32", "optimizer.lr=abc", "task=mlmm", "+foo=1", "encoder.hidden_cls.2=fnn",
        "encoder.hidden_cls.9=attn", "encoder.blocks.attn.norm=pree", "seed=1,2",
        "encoder.blocks.conv._target_=os.system",
    )  # fmt: skip
    assert len(told) == 9
    for key in ("encoder.hiden_size", "optimizer.lr", "task=", "foo", "encoder.hidden_cls.2", "hidden_cls.9",
                "encoder.blocks.attn.norm", "seed=1,2", "encoder.blocks.conv._target_"):  # fmt: skip
        assert sum(key in line for line in told) == 1, key


def test_all_that_cannot_be_read_is_told_together() -> None:
    assert len(mistakes("encoder", "a=[", "seed=1")) == 2


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["+block@encoder.blocks.x=mhaa", "encoder.hidden_cls.0=x"], ["block@encoder.blocks.x='mhaa'"]),
        (
            ["+block@encoder.blocks.x=mhaa", "encoder.blocks.x.ratio=2", "seed=a"],
            ["block@encoder.blocks.x='mhaa'", "seed='a'"],
        ),
        (
            ["schedule=wdd", "schedule.decay=0.3", "encoder.hidden_cls.0=x"],
            ["schedule='wdd'", "hidden_cls.0"],
        ),
        (
            ["+block@encoder.blocks.x=mhaa", "encoder.hidden_cls=[y,x]"],
            ["block@encoder.blocks.x='mhaa'", "hidden_cls.0='y'"],
        ),
    ],
)
def test_what_follows_from_a_wrong_choice_is_not_told(overrides: list[str], told: list[str]) -> None:
    found = mistakes(*overrides)
    assert len(found) == len(told), found
    assert all(part in mistake for part, mistake in zip(told, found, strict=True)), found


def test_a_node_for_another_class_is_one_mistake() -> None:
    [told] = mistakes("encoder.blocks.attn._target_=nas.blocks.none.NoBlock")
    assert told.startswith("encoder.blocks.attn has keys that its _target_ does not take: [")
    assert "'hidden_size'" in told


def test_mistakes_of_groups_and_keys_are_told_together() -> None:
    assert len(mistakes("encoder.hiden_size=32", "task=mlmm", "+foo=1")) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- 1\n", "must hold keys and values, not a list"),
        ("a: [\n", "is not YAML"),
        ("\ta: 1\n", "is not YAML"),
        ("x: ${\n", "is not YAML"),
        ("foo: 1\n", "foo is not a key here"),
        ("task: 3\n", "task=3 must be a node with _target_"),
        ("optimizer: {lr: fast}\n", "optimizer.lr='fast' must be a number"),
        ("defaults:\n  - override /task: nope\n", "exp.yaml"),
        ("defaults:\n  - nope\n", "exp.yaml"),
        ("trusted_targets: [os.]\n", "trusted_targets is not a key here"),
    ],
)
def test_wrong_experiment_files(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_text(text)
    [line] = mistakes(f"experiment={path}", "encoder=bert")  # of one block: composed in half the time
    assert told in line
    assert len(line.splitlines()) == 1


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_bytes(b"\xff\xfe\x00a")
    [line] = mistakes(f"experiment={path}")
    assert "is not YAML" in line


SMALL = ["task=mqar", "encoder.hidden_size=16", "tracker=none"]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("encoder.num_heads=3", ["num_heads=3", "16"]),
        ("encoder.hidden_size=0", ["0", "greater than 0"]),
        ("embedding.vocab_size=3", ["embedding.vocab_size=3 is less than the 65 that task=mqar needs"]),
        ("embedding.max_seq_length=3", ["embedding.max_seq_length=3 is less than the 32 that task=mqar"]),
        ("embedding.hidden_size=8", ["hidden_size=16", "8"]),
        ("encoder.blocks.conv.kernel_size=4", ["kernel_size=4"]),
        ("encoder.blocks.attn.dropout=2", ["dropout=2"]),
        ("optimizer.lr=-1", ["optimizer.lr=-1 must be greater than 0"]),
        ("trainer.seconds=3", ["trainer.steps=300 and trainer.seconds=3: only one budget is allowed"]),
        ("schedule.warmup=2", ["schedule.warmup=2"]),
        ("task.num_pairs=100", ["task.num_pairs=100"]),
    ],
)
def test_what_does_not_fit_is_told_when_it_is_built(override: str, parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build([*SMALL, override])
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["encoder.blocks.attn.num_heads=3"], "encoder.hidden_size=16 is not a multiple of "
         "encoder.blocks.attn.num_heads=3"),
        (["encoder.num_heads=3"], "encoder.hidden_size=16 is not a multiple of encoder.num_heads=3 "
         "(and 2 more)"),
        (["encoder.blocks.conv.kernel_size=4"], "encoder.blocks.conv.kernel_size=4 must be odd, so that the "
         "filter is centred: 3 or 5"),
        (["+block@encoder.blocks.two=recursive/parallel", "encoder.hidden_cls=[two]", "encoder.num_heads=3"],
         "num_heads=3"),
    ],
)  # fmt: skip
def test_what_a_block_refuses_is_told_with_the_keys_of_the_configuration(
    overrides: list[str], told: str
) -> None:
    with pytest.raises(InputError) as caught:
        build([*SMALL, *overrides])
    [mistake] = caught.value.mistakes
    assert mistake.startswith("hidden_cls[")
    assert mistake.endswith(told)


def test_a_shared_block_is_told_with_its_keys_too() -> None:
    with pytest.raises(InputError) as caught:
        build([*SMALL, "encoder.blocks.attn._partial_=false", "encoder.blocks.attn.num_heads=3"])
    assert str(caught.value) == (
        "encoder.blocks.attn: encoder.hidden_size=16 is not a multiple of encoder.blocks.attn.num_heads=3"
    )


def test_a_runs_configuration_needs_its_choices(tmp_path: Path) -> None:
    run = build(["task=parity", "tracker=none", "optimizer.lr=0.002"])
    claim(tmp_path, run.config, run.overrides)
    experiment = f"experiment={tmp_path / 'config.yaml'}"
    needs = f"experiment={str(tmp_path / 'config.yaml')!r} needs the choices of its run: add"
    assert mistakes(experiment) == [f"{needs} task=parity tracker=none"]
    assert mistakes(experiment, "tracker=none", "seed=x") == [
        f"{needs} task=parity",
        "seed='x' must be an integer",
    ]
    assert compose("train", [experiment, "task=parity", "tracker=none"]).values() == run.config
    (tmp_path / "overrides.txt").unlink()
    assert mistakes(experiment)[0].startswith("task has keys that its _target_ does not take")


def test_mistakes_of_several_parts_are_told_together() -> None:
    with pytest.raises(InputError) as caught:
        build([*SMALL, "optimizer.lr=-1", "trainer.steps=0", "task.num_pairs=100"])
    assert {m.split("=")[0] for m in caught.value.mistakes} >= {"optimizer.lr", "trainer.steps"}
    assert len(caught.value.mistakes) >= 3


@pytest.mark.parametrize(
    "override",
    ["trainer.device=gpu", "trainer.device=cuda:99", "task.train_examples=3",
     "task=mlm corpus=text corpus.path=missing.txt"],
)  # fmt: skip
def test_what_only_training_can_tell_leaves_no_folder(override: str, tmp_path: Path) -> None:
    paths = [f"paths.outputs={tmp_path / 'out'}", f"paths.cache={tmp_path / 'cache'}"]
    with pytest.raises(InputError):
        build([*SMALL, *paths, *override.split()]).train()
    assert not (tmp_path / "out").exists()


def test_an_environment_variable_set_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE", "")
    assert mistakes()[0].startswith("paths.cache is empty: name a folder")


@pytest.mark.parametrize("study", ["../x", "/x", "a/b", "..", "''"])
def test_a_study_stays_under_the_outputs(study: str) -> None:
    with pytest.raises(InputError, match=r"^study='.*' must be the name of a folder under paths\.outputs$"):
        build([*SMALL, f"study={study}"])


def test_overrides_are_a_list() -> None:
    with pytest.raises(
        InputError, match=r"^nas\.build takes a list of overrides: nas\.build\(\['seed=1'\]\)$"
    ):
        build("seed=1")


def test_parse_tells_what_cannot_be_read() -> None:
    assert parse("a.b=[1,2]").value() == [1, 2]
    with pytest.raises(InputError, match="cannot be read"):
        parse("a b")
