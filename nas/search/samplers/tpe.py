"""The tree-structured Parzen estimator, over groups of parameters that occur together."""

from __future__ import annotations

import warnings

import optuna

from nas.search.samplers.constraints import Constrained


class TPE(Constrained, optuna.samplers.TPESampler):
    """Optuna's TPE (Bergstra et al. 2011; Watanabe 2023, arXiv 2304.11127) with the settings for a search.

    Multivariate, because slots interact; grouped, because conditional parameters would otherwise
    fall back to independent ones; with a constant liar, because several workers ask at once.

    Args:
        n_startup_trials: random trials before the model is asked.
        seed: of the sampler's own random stream.
    """

    def __init__(self, n_startup_trials: int = 8, seed: int | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            super().__init__(
                n_startup_trials=n_startup_trials,
                seed=seed,
                multivariate=True,
                group=True,
                constant_liar=True,
            )
