"""Errors planted in dashboards, alert rules, compose and image files, which their checks must find."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.checks import REPO, compose, grafana

Json = dict[str, Any]
TYPES = {"cityops_stream_rows_total": "counter", "cityops_store_lag": "gauge", "cityops_stream_seconds": "histogram"}
LABELS = {"cityops_stream_rows_total": {"agent"}, "cityops_store_lag": set(), "cityops_stream_seconds": {"agent"}}
FINE = (
    "sum by (agent) (rate(cityops_stream_rows_total[1m])) + cityops_store_lag"
    " + histogram_quantile(0.9, sum by (le) (rate(cityops_stream_seconds_bucket[1m])))"
)


# grafana


def test_good_expressions_pass() -> None:
    assert grafana.metric_complaints([("p", FINE)], TYPES) == []
    assert grafana.label_complaints([("p", FINE)], LABELS, TYPES) == []


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        (f"{FINE} + cityops_gone_total", "no metric cityops_gone_total"),
        (
            "rate(cityops_stream_rows_total[1m]) + rate(cityops_stream_seconds_sum[1m])",
            "no panel or rule shows cityops_store_lag",
        ),
        (f"{FINE} + rate(cityops_store_lag[1m])", "rate of the gauge cityops_store_lag"),
        (f"{FINE} + cityops_stream_seconds", "is a histogram"),
        (f"{FINE} + cityops_store_lag_sum", "no metric cityops_store_lag_sum"),
    ],
)
def test_a_wrong_metric_is_found(expr: str, complaint: str) -> None:
    assert [c for c in grafana.metric_complaints([("p", expr)], TYPES) if complaint in c]


@pytest.mark.parametrize(
    "expr", ["sum by (kind) (cityops_store_lag)", 'cityops_stream_rows_total{kind="x"}', "sum without (zone) (cityops_store_lag)"]
)
def test_a_wrong_label_is_found(expr: str) -> None:
    assert grafana.label_complaints([("p", expr)], LABELS, TYPES)


def dashboard(**changed: Any) -> Json:
    target = {"datasource": {"uid": "prometheus"}, "refId": "A", "expr": "up"}
    panel = {
        "id": 1,
        "type": "stat",
        "title": "在线 / Up",
        "description": "d",
        "targets": [target],
        "gridPos": {"x": 0, "y": 0, "w": 4, "h": 4},
    }
    return {"uid": "u", "title": "总览 / Overview", "panels": [panel | changed]}


@pytest.mark.parametrize(
    "changed",
    [
        {"title": "Up"},
        {"title": "Up / 在线"},
        {"description": ""},
        {"targets": []},
        {"targets": [{"datasource": {"uid": "elsewhere"}, "expr": "up"}]},
        {"targets": [{"datasource": {"uid": "prometheus"}}]},
        {"gridPos": {"x": 22, "y": 0, "w": 4, "h": 4}},
    ],
)
def test_a_wrong_panel_is_found(changed: Json) -> None:
    assert grafana.shape_complaints({"a.json": dashboard()}, {"prometheus"}) == []
    assert grafana.shape_complaints({"a.json": dashboard(**changed)}, {"prometheus"})


def test_panels_and_dashboards_that_collide_are_found() -> None:
    twice = dashboard()
    twice["panels"] *= 2
    found = grafana.shape_complaints({"a.json": twice, "b.json": dashboard()}, {"prometheus"})
    assert {"uid u is used twice", "a.json: panel id 1 is used twice"} <= set(found)
    assert any("lies on another" in c for c in found)


def test_a_domain_or_kind_without_a_panel_is_found() -> None:
    shown = dashboard(targets=[{"datasource": {"uid": "t"}, "rawSql": "SELECT 1 FROM bike_station"}])
    found = grafana.domain_complaints({"bikes.json": shown}, {"bikes": ["bike_station", "bike_vehicle"], "water": ["river"]})
    assert found == ["bikes.json: no panel reads bike_vehicle", "domain water has no dashboard water.json"]


@pytest.mark.parametrize("gone", ["zh", "en", "action", "severity"])
def test_an_alert_rule_that_leaves_something_out_is_found(gone: str) -> None:
    rule: Json = {"alert": "A", "labels": {"severity": "minor"}, "annotations": {"zh": "中", "en": "e", "action": "a"}}
    assert grafana.rule_complaints([rule]) == []
    rule["labels"].pop(gone, None)
    rule["annotations"].pop(gone, None)
    assert grafana.rule_complaints([rule])


def test_an_unknown_macro_is_refused_rather_than_guessed() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert "BETWEEN '2026" in grafana.expand("SELECT 1 WHERE $__timeFilter(ts)", now, now)
    with pytest.raises(ValueError, match="macro"):
        grafana.expand("SELECT $__unixEpochFilter(ts)", now, now)


# compose


def changed_compose(path: list[str], given: Any) -> Json:
    found = copy.deepcopy(compose.read(REPO / "docker-compose.yml"))
    place = found
    for key in path[:-1]:
        place = place[key]
    if given is None:
        del place[path[-1]]
    else:
        place[path[-1]] = given
    return found


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (["services", "store", "healtcheck"], {}),
        (["service"], {}),
        (["services", "kafka", "image"], "apache/kafka:latest"),
        (["services", "kafka", "image"], "registry.example.com/apache/kafka:4.3.0"),
        (["services", "kafka", "healthcheck"], None),
        (["services", "kafka", "healthcheck", "test"], ["kafka-topics.sh"]),
        (["services", "kafka", "healthcheck", "interval"], "20"),
        (["services", "kafka", "restart"], None),
        (["services", "kafka", "deploy"], None),
        (["services", "kafka", "ports"], ["9092:9092"]),
        (["services", "kafka", "ports"], ["127.0.0.1:9092:9092"]),
        (["services", "grafana", "ports"], ["0.0.0.0:3000:3000"]),
        (["services", "grafana", "depends_on"], {"promtheus": {"condition": "service_healthy"}}),
        (["services", "grafana", "depends_on"], {"prometheus": {"condition": "service_completed_successfully"}}),
        (["services", "grafana", "depends_on"], {"prometheus": {"condition": "service_ready"}}),
        (["services", "grafana", "volumes"], ["./grafana/gone:/x:ro", "grafana:/var/lib/grafana"]),
        (["services", "grafana", "volumes"], ["./grafana/dashboards:/x", "grafana:/var/lib/grafana"]),
        (["services", "grafana", "volumes"], []),
        (["services", "store", "volumes"], ["elsewhere:/x", "store:/var/lib/cityops"]),
        (["services", "store", "networks"], ["outsid"]),
        (["services", "store", "build"], "grafana"),
        (["services", "grafana", "environment", "GF_SECURITY_ADMIN_PASSWORD"], "admin"),
        (["services", "grafana", "environment", "GF_SECURITY_ADMIN_PASSWORD"], "${GRAFANA_PASSWORD:-admin}"),
        (["services", "grafana", "environment", "GF_DATABASE_URL"], "postgres://a:secret@b/c"),
    ],
)
def test_a_wrong_compose_file_is_found(path: list[str], given: Any) -> None:
    assert compose.complaints(changed_compose(path, given), REPO)


def test_a_wrong_command_variable_or_scrape_target_is_found() -> None:
    commands, variables = (
        {"connect", "stream", "store", "serve", "migrate"},
        {"CITYOPS_KAFKA", "CITYOPS_DATABASE", "CITYOPS_DATA"},
    )
    assert compose.command_complaints(changed_compose(["name"], "n"), commands, variables) == []
    assert compose.command_complaints(changed_compose(["services", "store", "command"], ["stor"]), commands, variables)
    environment = {"CITYOPS_KAFKA": "k", "CITYOPS_DATABSE": "d", "CITYOPS_DATA": "d"}
    wrong = changed_compose(["services", "store", "environment"], environment)
    assert len(compose.command_complaints(wrong, commands, variables)) == 2
    scrape = {"scrape_configs": [{"static_configs": [{"targets": ["store:9103", "storr:1"]}]}]}
    found = compose.target_complaints(scrape, wrong, {"store": 9103, "stream": 9102, "strm": 1})
    assert found == ["nothing serves storr:1", "nobody scrapes stream:9102", "nobody scrapes strm:1", "no service 'strm'"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("COPY cityops ./cityops", "COPY citiops ./cityops"),
        ("COPY cityops ./cityops", "COPY tests ./tests"),
        ("USER cityops\n", ""),
        ("USER cityops\n", "USER root\n"),
        ("HEALTHCHECK ", "# HEALTHCHECK "),
        ("FROM python:3.11-slim-bookworm\n", "FROM python\n"),
    ],
)
def test_a_wrong_dockerfile_is_found(old: str, new: str) -> None:
    text, ignore = (REPO / "Dockerfile").read_text(encoding="utf-8"), (REPO / ".dockerignore").read_text(encoding="utf-8")
    before = compose.dockerfile_complaints(text, ignore, REPO)
    assert old in text
    assert len(compose.dockerfile_complaints(text.replace(old, new), ignore, REPO)) > len(before)
