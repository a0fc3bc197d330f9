"""Every metric is named alike, explained, bounded in its labels, and counted by some code."""

from __future__ import annotations

from prometheus_client.metrics import MetricWrapperBase

from schemas import metrics as declared
from schemas.generate import metric_names
from tests.contract.checks import REPO, layout, metrics
from tests.contract.test_grafana import labels

ATTRIBUTES = [name for name, value in vars(declared).items() if isinstance(value, MetricWrapperBase)]
PACKAGES = ("cityops", "connectors", "gateway", "storage", "streams")


def test_metrics_are_named_alike_and_explained() -> None:
    found = list(metric_names())
    assert len(found) == len(ATTRIBUTES) > 25
    assert metrics.complaints(found, labels()) == []


def test_every_metric_is_counted_somewhere() -> None:
    files = [n for n in layout.tracked(REPO) if n.endswith(".py") and n.split("/")[0] in PACKAGES]
    assert metrics.idle(ATTRIBUTES, [(REPO / n).read_text(encoding="utf-8") for n in files]) == []


def test_metrics_are_made_in_one_place_only() -> None:
    files = [n for n in layout.tracked(REPO) if n.endswith(".py") and n.split("/")[0] in (*PACKAGES, "schemas")]
    made = [
        n
        for n in files
        if "cityops_" in (text := (REPO / n).read_text(encoding="utf-8")) and "prometheus_client import Counter" in text
    ]
    assert made == ["schemas/metrics.py"]
