"""The figures of agreement and bias, as `run.json`, the card and the API show them."""

from collections.abc import Mapping
from typing import Any, Final, cast

from prefmill.sink.domain import agreement, bias
from prefmill.sink.domain.agreement import names_of, table_of
from prefmill.sink.domain.summary import Summary

Figures = dict[str, Any]

PLACES: Final = 4


def figures_of(summary: Summary) -> Figures:
    """`models`, `judges`, `agreement` and `bias`; a figure that cannot be had is null."""
    aspects = _aspects(summary)
    return {
        "models": {name: dict(sums) for name, sums in sorted(summary["models"].items())},
        "agreement": {"aspects": aspects, "effective_judges": _effective(aspects)},
        "judges": {name: _judge(name, summary) for name in sorted(summary["judges"])},
        "bias": _rounded(_bias(summary)),
    }


def _aspects(summary: Summary) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    for aspect, counts in sorted(summary["coincidence"].items()):
        table = table_of(counts)
        found[aspect] = _rounded(
            {
                "alpha_ordinal": agreement.alpha(table, "ordinal"),
                "alpha_interval": agreement.alpha(table, "interval"),
                "pairs": [],
            }
        )
    for key, counts in sorted(summary["joint"].items()):
        aspect, *judges = names_of(key)
        found[aspect]["pairs"].append(_rounded(_pair(judges, counts)))
    return found


def _pair(judges: list[str], counts: Mapping[str, float]) -> Figures:
    table = table_of(counts)
    texts = sum(table.values())
    return {
        "judges": judges,
        "texts": texts,
        "same_rating": sum(count for (x, y), count in table.items() if x == y) / texts,
        "kappa": agreement.kappa(table),
        "tau_b": agreement.tau_b(table),
        "r": agreement.correlation(table),
    }


def _effective(aspects: Mapping[str, Figures]) -> Figures | None:
    """None with a single judge, or where no two judges' ratings can be correlated."""
    pairs = [pair for aspect in aspects.values() for pair in aspect["pairs"]]
    known = [(pair["texts"], pair["r"]) for pair in pairs if pair["r"] is not None]
    if not known:
        return None
    judges = len({judge for pair in pairs for judge in pair["judges"]})
    mean = sum(texts * r for texts, r in known) / sum(texts for texts, _ in known)
    number = agreement.effective_judges(judges, mean)
    return _rounded({"judges": judges, "mean_correlation": mean, "effective": number})


def _judge(name: str, summary: Summary) -> Figures:
    sums = summary["judges"][name]
    ratings = {
        aspect: {
            "distribution": dict(sorted(counts.items(), key=_number)),
            "entropy_bits": agreement.entropy(counts),
        }
        for (judge, aspect), counts in (
            (names_of(key), counts) for key, counts in sorted(summary["ratings"].items())
        )
        if judge == name and counts
    }
    share = sums.get("lost", 0) / sums["verdicts"] if sums.get("verdicts") else None
    return _rounded({**sums, "unusable_share": share, "ratings": ratings})


def _number(item: tuple[str, float]) -> float:
    return float(item[0])


def _bias(summary: Summary) -> Figures:
    return {
        "position": {name: bias.position(sums) for name, sums in _filled(summary, "position")},
        "length": {name: bias.length(sums) for name, sums in _filled(summary, "length")},
        "family": {name: bias.family(sums) for name, sums in _filled(summary, "family")},
    }


def _filled(summary: Summary, part: str) -> list[tuple[str, dict[str, float]]]:
    return [(name, sums) for name, sums in sorted(summary[part].items()) if sums]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {name: _rounded(part) for name, part in named.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in cast("list[Any]", value)]
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, PLACES)
    return value
