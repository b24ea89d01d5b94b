"""How the report writes numbers, and the sentences that it says about them."""

from __future__ import annotations

from nas.progress import quantity
from nas.report.compare import Comparison
from nas.report.found import Study, Trial

NONE = "–"


def value_text(value: float | None) -> str:
    """Write a metric's value with four digits behind the point, or four significant; large ones short."""
    if value is None:
        return NONE
    if abs(value) >= 10_000:
        return quantity(value)
    return f"{value:.4f}" if 0.01 <= abs(value) < 1000 or value == 0 else f"{value:.4g}"


def size_text(value: float | None) -> str:
    """Write a count such as parameters."""
    return NONE if value is None else quantity(value)


def signed_text(value: float | None) -> str:
    """Write a difference with its sign."""
    if value is None:
        return NONE
    return "0" if value == 0 else f"{'+' if value > 0 else '−'}{value_text(abs(value))}"


def part_text(part: float | None) -> str:
    """Write a part as a percentage with its sign."""
    if part is None:
        return NONE
    return f"{'+' if part > 0 else '−' if part < 0 else ''}{abs(part) * 100:.3g} %"


def ratio_text(ratio: float | None) -> str:
    """Write how many times as large."""
    return NONE if ratio is None else f"{ratio:.3g}×"


def findings(study: Study, found: Comparison) -> list[str]:
    """Say in plain sentences how much better the winner is, at what size, and what that cannot show."""
    told = [_against_median(study, found), _against_similar(found), _against_largest(found), _size(found)]
    return [*filter(None, told), _caution(found)]


def _against_median(study: Study, found: Comparison) -> str:
    if found.count < 2:
        return "Only one trial was trained to its end: there is nothing to compare it with yet."
    part = f" ({abs(found.part) * 100:.3g} %)" if found.part is not None else ""
    spread = f", or {found.in_spreads:.2g} times the interquartile range" if found.in_spreads else ""
    text = (
        f"The winner's {study.objective} is {value_text(found.gain)}{part} better than the median of "
        f"{found.count} trained trials{spread}"
    )
    median = found.find("median trial")
    if median is None or median.parameters is None:
        return f"{text}."
    flops = f" and {ratio_text(median.flops)} the FLOPs" if median.flops is not None else ""
    return f"{text}, with {ratio_text(median.parameters)} the parameters{flops} of the median trial."


def _against_similar(found: Comparison) -> str:
    row = found.find("best of similar size")
    middle = found.find("median of similar size") or row
    if row is None or middle is None:
        if found.count < 2 or found.winner.parameters is None:
            return ""
        return (
            "No other trained trial is of similar size (parameters within ±10 %): "
            "how much of the difference is due to size cannot be seen here."
        )
    if found.similar_count == 1:
        return (
            "The one other trial of similar size (parameters within ±10 %) "
            f"is {_behind(row.gain)} (trial {row.trial.number})."
        )
    return (
        f"Among {found.similar_count} other trials of similar size (parameters within ±10 %) the next best "
        f"is {_behind(row.gain)} (trial {row.trial.number}), the median {_behind(middle.gain)}."
    )


def _behind(gain: float) -> str:
    return f"{value_text(gain)} behind" if gain > 0 else "level with it"


def _against_largest(found: Comparison) -> str:
    row = found.find("largest")
    if row is None:
        return ""
    if row.trial.number == found.winner.number:
        return "The winner is also the largest trained model: part of what it gains may be size alone."
    return (
        f"The largest trained model (trial {row.trial.number}, {size_text(row.trial.parameters)} parameters) "
        f"scored {value_text(row.value)}: {_behind(row.gain)}, at {_times_as_large(row.parameters)}."
    )


def _times_as_large(ratio: float | None) -> str:
    return f"{1 / ratio:.3g} times the winner's size" if ratio else "an unknown size"


def _size(found: Comparison) -> str:
    if found.size_correlation is None:
        return ""
    return (
        "Over all trained trials, size and quality have a rank correlation of "
        f"{found.size_correlation:+.2f}".replace("-", "−")
        + " (+1: the larger, the better)."
    )


def _caution(found: Comparison) -> str:
    if found.count < 2:
        return "It was trained once, with one seed."
    return (
        "Each trial was trained once, with one seed, and the winner was picked by the same number that is "
        "shown: the best of many is partly lucky. No significance is claimed; train it again with other "
        "seeds before relying on small differences."
    )


def state_word(trial: Trial) -> str:
    """Say a trial's state in plain words."""
    if trial.state == "COMPLETE":
        return "repeated" if trial.repeated else "inherited" if trial.inherited else "finished"
    return "failed" if trial.state == "FAIL" else trial.state.lower()
