"""What the dashboards ask, what the rules ask, and which metrics the docs know."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"

_NAME = re.compile(r"\b(?:prefmill|vllm|kubelet|process)[_:][a-zA-Z_:0-9]+")
_OF_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


class Query(NamedTuple):
    """One query of one panel. `of`: who alone exports what it asks for."""

    dashboard: str
    panel: str
    of: str
    expression: str


def queries() -> Iterator[Query]:
    told = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yaml").read_text())
    for name, dashboard in told.items():
        for row in dashboard["rows"]:
            for panel in row["panels"]:
                for expression in panel["queries"].values():
                    yield Query(name, panel["title"], panel.get("of", ""), expression)


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def metrics_in(expression: str) -> set[str]:
    """The metrics that an expression names, histograms by their own names."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return {_OF_HISTOGRAM.sub("", name) for name in _NAME.findall(bare)}


def documented() -> set[str]:
    """The metrics in the tables of docs/metrics.md."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    return {name for line in text.splitlines() for name in re.findall(r"^\| `(\w+)`", line)}


def exported(text: str) -> set[str]:
    """The metrics of ours in what a service shows; counters by the name of their samples."""
    found = re.findall(r"^# TYPE (prefmill_\w+) (\w+)$", text, re.MULTILINE)
    return {name for name, _ in found}


def monitoring() -> Any:
    """deploy/monitoring.py."""
    spec = importlib.util.spec_from_file_location("monitoring", DEPLOY / "monitoring.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
