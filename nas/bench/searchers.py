"""Who searches a landscape: our samplers, Optuna's, and those of other packages, under one interface."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from nas.bench.landscapes import Landscape, Params, Recorded, distributions
from nas.bench.pool import Pool
from nas.search import samplers
from nas.search.samplers.proposing import ProposingSampler


class Searcher(ABC):
    """Proposes configurations one after another, and learns from what came out."""

    @abstractmethod
    def ask(self) -> Params:
        """Return a configuration to try."""

    @abstractmethod
    def tell(self, params: Params, value: float) -> None:
        """Take in the value, the larger the better, of the last proposal or of what stands for it."""


class OptunaSearcher(Searcher):
    """Any Optuna sampler; what it asked for may have been replaced by another configuration.

    Args:
        sampler: of a study of its own.
        choices: parameter to values.
    """

    def __init__(self, sampler: optuna.samplers.BaseSampler, choices: Mapping[str, Sequence[Any]]) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._sampler = sampler
        self._space = distributions(choices)
        self._study = optuna.create_study(sampler=sampler, direction="maximize")
        self._trial: optuna.Trial | None = None

    def ask(self) -> Params:
        """Return the sampler's proposal."""
        self._trial = self._study.ask(self._space)
        return dict(self._trial.params)

    def tell(self, params: Params, value: float) -> None:
        """End the trial; if something else was tried instead, the study is told of that alone."""
        assert self._trial is not None
        if params == self._trial.params:
            self._study.tell(self._trial, value)
            return
        told = self._study.get_trials(deepcopy=False)[:-1]
        self._study = optuna.create_study(
            study_name=self._study.study_name, sampler=self._sampler, direction="maximize"
        )
        asked = {name: self._space[name] for name in params}
        tried = optuna.trial.create_trial(params=params, distributions=asked, value=value)
        self._study.add_trials([*told, tried])


class LargestFirst(Searcher):
    """No search at all: the largest configuration of a recorded table that was not tried."""

    def __init__(self, landscape: Recorded) -> None:
        order = sorted(range(len(landscape.rows)), key=lambda number: -landscape.size(number))
        self._rows = iter([landscape.rows[number] for number in order])

    def ask(self) -> Params:
        """Return the next largest."""
        return next(self._rows)

    def tell(self, params: Params, value: float) -> None:
        """Learn nothing."""


class SyneTuneSearcher(Searcher):
    """A scheduler of Syne Tune's ``optimizer.baselines``, without a back end."""

    def __init__(self, name: str, choices: Mapping[str, Sequence[Any]], seed: int) -> None:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.config_space import choice
        from syne_tune.optimizer import baselines

        self._make = Trial
        space = {key: choice(list(values)) for key, values in choices.items()}
        self._scheduler = getattr(baselines, name)(space, metric="value", do_minimize=False, random_seed=seed)
        self._count = 0

    def ask(self) -> Params:
        """Return the scheduler's suggestion."""
        return dict(self._scheduler.suggest().config)

    def tell(self, params: Params, value: float) -> None:
        """Start and end a trial of that configuration."""
        from datetime import datetime

        trial = self._make(trial_id=self._count, config=dict(params), creation_time=datetime.now())
        self._count += 1
        self._scheduler.on_trial_add(trial)
        self._scheduler.on_trial_complete(trial, {"value": value})


class NePSSearcher(Searcher):
    """An optimizer of NePS (neural-pipeline-search), asked and told."""

    def __init__(self, name: str, choices: Mapping[str, Sequence[Any]], seed: int) -> None:
        import neps
        import torch
        from neps import algorithms
        from neps.optimizers.ask_and_tell import AskAndTell

        np.random.seed(seed)  # NePS draws from the global streams
        torch.manual_seed(seed)
        logging.getLogger("neps").setLevel(logging.ERROR)
        self._choices = choices
        self._keys = {key.replace(".", "_"): key for key in choices}
        space = {short: neps.Categorical(choices=tuple(choices[key])) for short, key in self._keys.items()}
        self._optimizer = AskAndTell(getattr(algorithms, name)(type("Space", (neps.PipelineSpace,), space)()))
        self._trial: Any = None

    def ask(self) -> Params:
        """Return the optimizer's proposal."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._trial = self._optimizer.ask()
        return dict(self._read(name, value) for name, value in self._trial.config.items())

    def _read(self, name: str, value: Any) -> tuple[str, Any]:
        """Return parameter and value: some optimizers give a path to what was drawn, and its place there."""
        path, _, _ = name.partition("::")
        key = self._keys[path.rpartition(".")[2]]
        return key, self._choices[key][value] if path != name else value

    def tell(self, params: Params, value: float) -> None:
        """Report the loss; a configuration that stands for the proposal is taken for it."""
        self._optimizer.tell(self._trial, -value)


Maker = Callable[[Landscape, int], Searcher]
SamplerMaker = Callable[[Landscape, int], optuna.samplers.BaseSampler]


def _plain(sampler: Callable[..., optuna.samplers.BaseSampler]) -> SamplerMaker:
    def make(landscape: Landscape, seed: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return sampler(seed=seed)

    return make


def _pool(sampler: Callable[..., ProposingSampler]) -> SamplerMaker:
    """Return a maker of samplers that know which rows a table has, if it is one."""

    def make(landscape: Landscape, seed: int) -> optuna.samplers.BaseSampler:
        made = sampler(seed=seed)
        if isinstance(landscape, Recorded):
            made.guide(Pool(landscape))
        return made

    return make


SAMPLERS: dict[str, SamplerMaker] = {
    "auto": _plain(samplers.auto),
    "auto_pool": _pool(samplers.auto),
    "random": _pool(samplers.Random),
    "evolution": _plain(samplers.RegularizedEvolution),
    "local_search": _plain(samplers.LocalSearch),
    "tpe": _plain(samplers.TPE),
    "optuna_tpe": _plain(optuna.samplers.TPESampler),
    "optuna_gp": _plain(optuna.samplers.GPSampler),
    "optuna_nsga2": _plain(optuna.samplers.NSGAIISampler),
}
"""Those who are Optuna samplers, by name."""


def _optuna(make: SamplerMaker) -> Maker:
    return lambda landscape, seed: OptunaSearcher(make(landscape, seed), landscape.choices)


def _syne_tune(name: str) -> Maker:
    return lambda landscape, seed: SyneTuneSearcher(name, landscape.choices, seed)


def _neps(name: str) -> Maker:
    return lambda landscape, seed: NePSSearcher(name, landscape.choices, seed)


def _largest(landscape: Landscape, seed: int) -> Searcher:
    assert isinstance(landscape, Recorded)
    return LargestFirst(landscape)


MAKERS: dict[str, Maker] = {
    **{name: _optuna(make) for name, make in SAMPLERS.items()},
    "largest_first": _largest,
    "syne_tune_cqr": _syne_tune("CQR"),
    "syne_tune_bore": _syne_tune("BORE"),
    "syne_tune_rea": _syne_tune("REA"),
    "neps_bo": _neps("bayesian_optimization"),
    "neps_evolution": _neps("neps_regularized_evolution"),
}
"""Everyone who can be asked, by name."""

_NEEDS = {"syne_tune": "syne_tune", "neps": "neps", "optuna_gp": "scipy"}


def missing(name: str, landscape: Landscape) -> str | None:
    """Return why a searcher can not search a landscape here, or None."""
    for start, package in _NEEDS.items():
        if name.startswith(start) and importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    if name == "largest_first" and not isinstance(landscape, Recorded):
        return "nothing has a size"
    if name == "auto_pool" and not isinstance(landscape, Recorded):
        return "every configuration can be chosen"
    return None
