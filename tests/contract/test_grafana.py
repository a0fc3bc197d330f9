"""Dashboards and alert rules agree with the metrics, kinds and datasources they name."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from schemas import metrics, topics
from schemas.generate import metric_names
from schemas.kinds import all_kinds
from storage.tables import table_of
from tests.contract.checks import REPO, grafana

FOLDER = REPO / "grafana"
DASHBOARDS = grafana.dashboards(FOLDER / "dashboards")
RULES = grafana.rules(FOLDER / "rules.yml")
EXPRESSIONS = grafana.expressions(DASHBOARDS, RULES)
TYPES = {name: kind for name, kind, _ in metric_names()}


def labels() -> dict[str, set[str]]:
    """Give the labels of each metric as Prometheus will see it."""
    found: dict[str, set[str]] = {}
    for collector in vars(metrics).values():
        if isinstance(collector, MetricWrapperBase):
            for described in collector.describe():
                name = f"{described.name}_total" if described.type == "counter" else described.name
                found[name] = set(collector._labelnames)
    return found


def test_every_metric_is_shown_or_watched_and_no_other_is_named() -> None:
    assert len(EXPRESSIONS) > 40
    assert grafana.metric_complaints(EXPRESSIONS, TYPES) == []


def test_expressions_use_labels_that_their_metrics_have() -> None:
    assert grafana.label_complaints(EXPRESSIONS, labels(), TYPES) == []


def test_dashboards_are_bilingual_and_complete() -> None:
    provisioned = yaml.safe_load((FOLDER / "provisioning/datasources/datasources.yml").read_text(encoding="utf-8"))
    sources = {s["uid"] for s in provisioned["datasources"]}
    assert sources == {"prometheus", "timescaledb"}
    assert grafana.shape_complaints(DASHBOARDS, sources) == []


def test_every_domain_has_a_dashboard_that_shows_its_kinds() -> None:
    tables = {d: [table_of(n) for n, k in all_kinds().items() if k.domain == d] for d in topics.reading_domains()}
    assert {"transport", "bikes", "environment", "traffic"} <= set(tables)
    assert grafana.domain_complaints(DASHBOARDS, tables) == []


def test_alert_rules_say_what_is_wrong_and_what_to_do() -> None:
    assert grafana.rule_complaints(RULES) == []


def promtool(*arguments: str | Path) -> str:
    """Run promtool and give its words; it is skipped only where skipping is allowed."""
    tool = shutil.which("promtool")
    if tool is None:
        said = "promtool is absent (Debian package prometheus)"
        if os.environ.get("REQUIRE_STACK") == "1":
            pytest.fail(said)
        pytest.skip(said)
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_itself_accepts_configuration_and_rules() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "config", FOLDER / "prometheus.yml")


def test_alert_rules_fire_and_keep_quiet_as_intended() -> None:
    assert "SUCCESS" in promtool("test", "rules", REPO / "tests/contract/prometheus_rules.yml")
