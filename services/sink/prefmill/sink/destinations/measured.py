"""What the card says of agreement and bias."""

from collections.abc import Iterator
from typing import Any, Final

from prefmill.sink.destinations.table import number, table
from prefmill.sink.domain.figures import Figures

MOST: Final = 11
"""Different ratings of a judge that are told one by one: those of a scale from 0 to 10."""


def measured(figures: Figures) -> str:
    """The three sections; empty where nobody judged."""
    judges = figures["judges"]
    parts = [_agreement(figures["agreement"]), _ratings(judges), _judges(figures)]
    return "\n\n".join(part for part in parts if part)


def _agreement(agreement: Figures) -> str:
    aspects = agreement["aspects"]
    if not aspects:
        return ""
    alphas = [
        (name, number(figures["alpha_ordinal"]), number(figures["alpha_interval"]))
        for name, figures in aspects.items()
    ]
    head = ("aspect", "Krippendorff's alpha, ordinal", "interval")
    parts = [f"## Agreement\n\n{table(head, alphas)}", _pairs(aspects)]
    return "\n\n".join([*parts, *_effective(agreement["effective_judges"])])


def _pairs(aspects: Figures) -> str:
    rows = [
        (name, " & ".join(pair["judges"]), pair["texts"], *map(number, _figures(pair)))
        for name, figures in aspects.items()
        for pair in figures["pairs"]
    ]
    head = ("aspect", "judges", "texts both rated", "same rating", "kappa", "tau-b", "Pearson's r")
    return f"{table(head, rows)}\n\nKappa is Cohen's with quadratic weights, tau-b Kendall's."


def _figures(pair: dict[str, Any]) -> tuple[float | None, ...]:
    return pair["same_rating"], pair["kappa"], pair["tau_b"], pair["r"]


def _effective(found: Figures | None) -> Iterator[str]:
    if found is not None:
        yield (
            f"With a mean correlation of {number(found['mean_correlation'])}, the "
            f"{found['judges']} judges are worth {number(found['effective'])} independent ones: "
            "n / (1 + (n − 1) ρ). Ratings also agree because texts differ in quality, so this is "
            "the least they are worth."
        )


def _ratings(judges: Figures) -> str:
    rows = [
        (name, aspect, _distribution(said["distribution"]), number(said["entropy_bits"]))
        for name, figures in judges.items()
        for aspect, said in figures["ratings"].items()
    ]
    if not rows:
        return ""
    head = ("judge", "aspect", "how often each rating", "entropy, bits")
    return f"## Ratings\n\n{table(head, rows)}"


def _distribution(counts: dict[str, int]) -> str:
    """`1: 8%, 2: 92%`; of many, their number and range."""
    total, said = sum(counts.values()), list(counts)
    if len(said) > MOST:
        return f"{len(said)} different ones from {said[0]} to {said[-1]}"
    return ", ".join(f"{rating}: {count / total:.0%}" for rating, count in counts.items())


def _judges(figures: Figures) -> str:
    bias, judges = figures["bias"], figures["judges"]
    if not judges:
        return ""
    rows = [
        (
            name,
            _percent(said["unusable_share"]),
            _positions(bias["position"].get(name, [])),
            number(bias["length"].get(name)),
            number(bias["family"].get(name, {}).get("self_preference")),
        )
        for name, said in judges.items()
    ]
    head = ("judge", "unusable", "by position", "length", "own family")
    return (
        f"## Bias\n\n{table(head, rows)}\n\nWithin verdicts: how far ratings lie above those "
        "beside them, by shown position; correlation of rating and number of characters; and what "
        "a judge gives its own family above what judges of other families give the same texts."
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _positions(shown: list[dict[str, Any]]) -> str:
    signed = [place["above_others"] for place in shown if place["above_others"] is not None]
    return ", ".join(f"{apart:+.2f}" for apart in signed) or "–"
