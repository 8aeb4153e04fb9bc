"""`make monitoring`: writes what Grafana and the Prometheus operator take, from what we write.

| written by us | made of it |
|---|---|
| deploy/grafana/dashboards.yaml | deploy/grafana/*.json, a dashboard each |
| deploy/prometheus/rules.yml | deploy/k8s/components/monitoring/alerts.yaml, a PrometheusRule |

`--check` writes nothing, and fails where what is written differs.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
DASHBOARDS: Final = HERE / "grafana" / "dashboards.yaml"
RULES: Final = HERE / "prometheus" / "rules.yml"
RULE_OBJECT: Final = HERE / "k8s" / "components" / "monitoring" / "alerts.yaml"

SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
ACROSS: Final = 3
WIDTH: Final = 8
HEIGHT: Final = 8


def dashboard(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """What Grafana imports."""
    return {
        "uid": f"prefmill-{name}",
        "title": told["title"],
        "tags": ["prefmill"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source(), *map(_variable, told["variables"])]},
        "panels": list(_panels(told["rows"])),
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(told: dict[str, str]) -> dict[str, Any]:
    query = f"label_values({told['metric']}, {told['label']})"
    return {
        "name": told["name"],
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": told["name"]},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panels(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in rows:
        number, place = number + 1, {"x": 0, "y": y, "w": ACROSS * WIDTH, "h": 1}
        title = row["heading"]
        yield {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}
        y += 1
        for index, panel in enumerate(row["panels"]):
            number, x = number + 1, index % ACROSS * WIDTH
            place = {"x": x, "y": y + index // ACROSS * HEIGHT, "w": WIDTH, "h": HEIGHT}
            yield _panel(panel, number, place)
        y += -(-len(row["panels"]) // ACROSS) * HEIGHT


def _panel(told: dict[str, Any], number: int, place: dict[str, int]) -> dict[str, Any]:
    kind = told.get("kind", "timeseries")
    return {
        "id": number,
        "type": kind,
        "title": told["title"],
        "description": told.get("says", ""),
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": told.get("unit", "short")}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": kind == "table",
                "format": "table" if kind == "table" else "time_series",
            }
            for index, (legend, expression) in enumerate(told["queries"].items())
        ],
    }


def rule_object() -> str:
    """The alert rules as the Prometheus operator takes them."""
    made = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "prefmill", "labels": {"app.kubernetes.io/part-of": "prefmill"}},
        "spec": {"groups": yaml.safe_load(RULES.read_text())["groups"]},
    }
    head = "# Written by `make monitoring` from deploy/prometheus/rules.yml.\n"
    return head + yaml.safe_dump(made, sort_keys=False, width=100)


def files() -> dict[Path, str]:
    """All that is written, by path."""
    told = yaml.safe_load(DASHBOARDS.read_text())
    made = {
        HERE / "grafana" / f"{name}.json": json.dumps(dashboard(name, each), indent=1) + "\n"
        for name, each in told.items()
    }
    return {**made, RULE_OBJECT: rule_object()}


def main() -> None:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    made = files()
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    if check and stale:
        names = ", ".join(path.name for path in stale)
        sys.exit(f"not as written: {names}; run `make monitoring`")
    for path in stale:
        path.write_text(made[path])


if __name__ == "__main__":
    main()
