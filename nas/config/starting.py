"""The checkpoint that a configuration starts from, and what else than its slots identifies an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.scaffold import EncoderScaffold
    from nas.train.start import Start


def start_of(config: dict[str, Any]) -> Start | None:
    """Return the checkpoint to start from, if there is one, and put what it holds under ``starts_from``.

    So a run's identity depends on the weights, and not on where they lie.

    Raises:
        InputError: there is none at ``checkpoint``, or ``transfer`` is set without one.
    """
    if config["checkpoint"] is None and config["transfer"] == "same":
        return None
    from nas.train.start import find_start

    start = find_start(config["checkpoint"], config["transfer"])
    config["starts_from"] = start.identity
    return start


def form_of(encoder: EncoderScaffold) -> dict[str, Any]:
    """Return the settings of an encoder's parts beside its slots, JSON-able."""
    from nas.architecture import canonical

    form = canonical(encoder)
    return {key: form[key] for key in ("embedding", "mask", "output_layer_norm", "pooled_output_dim")}
