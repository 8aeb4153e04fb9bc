"""Alert rules and dashboards as they are written: without a Prometheus, as far as that goes."""

import re
import shutil
import subprocess
from collections import defaultdict

import pytest
import yaml

from .told import DEPLOY, ROOT, RULES, alerts, documented, metrics_in, monitoring, queries, rules

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not on PATH (Debian: apt-get install prometheus)",
)
SENT = re.compile(r"((?:\*\w+\*(?: or )?)+), ((?:“[^”]+”(?:,? and |, )?)+)")
"""`*Runs* or *Judges*, “a panel” and “another”`."""
TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))


@promtool
def test_promtool_accepts_rules_and_configuration() -> None:
    for order in (
        ["check", "rules", RULES],
        ["check", "config", DEPLOY / "prometheus" / "prometheus.yml"],
    ):
        done = subprocess.run(["promtool", *map(str, order)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_every_alert_fires_and_keeps_still_when_it_should() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", *map(str, TESTS)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_both_firing_and_still() -> None:
    seen: defaultdict[str, set[bool]] = defaultdict(set)
    for file in TESTS:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for each in case.get("alert_rule_test", ()):
                seen[each["alertname"]].add(bool(each["exp_alerts"]))
    assert seen == {rule["alert"]: {True, False} for rule in alerts()}


def test_every_alert_has_a_section_of_the_runbooks_and_no_section_is_without_one() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text()
    sections = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert sections == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        where = f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook_url"] == where


def test_every_section_of_the_runbooks_says_what_it_means_how_to_look_and_what_to_do() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text()
    for section in text.split("\n## ")[1:]:
        for word in ("**Means**", "**Look**", "**Do**"):
            assert section.count(word) == 1, section


def test_every_panel_that_the_runbooks_send_one_to_is_there() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text().replace("*Broker and ledger*", "*Broker*")
    panels = {(query.dashboard, query.panel) for query in queries()}
    sent = 0
    for names, titles in re.findall(
        r"((?:\*\w+\*(?: or )?)+), ((?:“[^”]+”(?:,? and |, )?)+)", text
    ):
        for dashboard in re.findall(r"\*(\w+)\*", names):
            for title in re.findall(r"“([^”]+)”", titles):
                assert (dashboard.lower(), title.rstrip(",")) in panels, f"{dashboard}: {title}"
                sent += 1
    assert sent > 12


def test_what_is_written_from_dashboards_and_rules_is_up_to_date() -> None:
    stale = [p.name for p, text in monitoring().files().items() if p.read_text() != text]
    assert stale == [], "run `make monitoring`"


def test_dashboards_and_rules_ask_only_for_documented_metrics() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = documented() | recorded
    asked = [query.expression for query in queries()] + [rule["expr"] for rule in rules()]
    for expression in asked:
        ours = {name for name in metrics_in(expression) if name.startswith("prefmill")}
        assert ours <= known, expression


def test_panels_do_not_overlap() -> None:
    told = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yaml").read_text())
    for name, each in told.items():
        taken: set[tuple[int, int]] = set()
        for panel in monitoring().dashboard(name, each)["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            assert place["x"] + place["w"] <= 24
            taken |= cells
