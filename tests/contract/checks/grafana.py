"""Dashboards and alert rules: every metric is shown or watched, nothing names what does not exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
Located = tuple[str, str]
"""Where something stands, and its text."""

HAN = re.compile(r"[\u4e00-\u9fff]|^PM")
NAME = re.compile(r"\bcityops_[a-z0-9_]+")
SUFFIX = re.compile(r"_(bucket|sum|count)$")
SELECTOR = re.compile(r"\b(cityops_[a-z0-9_]+)(?:\{([^}]*)\})?")
GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
RATED = re.compile(r"\b(?:rate|irate|increase)\(\s*(cityops_[a-z0-9_]+)")
OF_PROMETHEUS = {"job", "instance", "le"}
MACROS = ("$__timeFilter", "$__interval")


def dashboards(folder: Path) -> dict[str, Json]:
    """Read every dashboard by file name."""
    return {p.name: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))}


def panels(dashboard: Json) -> Iterator[Json]:
    """Give every panel, those inside rows too."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def targets(found: Mapping[str, Json]) -> Iterator[tuple[str, Json, Json]]:
    """Give (where, panel, target) of every query."""
    for name, dashboard in found.items():
        for panel in panels(dashboard):
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']}", panel, target


def rules(path: Path) -> list[Json]:
    """Give every alert rule."""
    return [rule for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def expressions(found: Mapping[str, Json], alerts: Iterable[Json]) -> list[Located]:
    """Give every PromQL expression of dashboards and rules."""
    return [(where, t["expr"]) for where, _, t in targets(found) if "expr" in t] + [
        (f"rule {r['alert']}", r["expr"]) for r in alerts
    ]


def queries(found: Mapping[str, Json]) -> list[Located]:
    """Give every SQL query of dashboards."""
    return [(where, t["rawSql"]) for where, _, t in targets(found) if "rawSql" in t]


def expand(sql: str, since: datetime, until: datetime, interval: str = "1m") -> str:
    """Give a query as Grafana would send it; a macro that is not among ``MACROS`` raises ``ValueError``."""
    between = rf"\1 BETWEEN '{since.isoformat()}' AND '{until.isoformat()}'"
    done = re.sub(r"\$__timeFilter\(([\w.\"]+)\)", between, sql).replace("$__interval", interval)
    if "$" in done:
        msg = f"macro not understood in: {done[max(0, done.index('$') - 20) : done.index('$') + 40]}"
        raise ValueError(msg)
    return done


def base(name: str, types: Mapping[str, str]) -> str:
    """Give a metric's name without the suffix of a histogram's series."""
    bare = SUFFIX.sub("", name)
    return bare if types.get(bare) == "histogram" else name


def metric_complaints(found: Iterable[Located], types: Mapping[str, str]) -> list[str]:
    """Complain about metrics that do not exist, those nothing shows, and rates of what does not count up."""
    complaints, used = [], set()
    for where, expr in found:
        for name in NAME.findall(expr):
            used.add(base(name, types))
            if base(name, types) not in types:
                complaints.append(f"{where}: no metric {name}")
            elif types[base(name, types)] == "histogram" and not SUFFIX.search(name):
                complaints.append(f"{where}: {name} is a histogram; name its _bucket, _sum or _count")
        gauges = [n for n in RATED.findall(expr) if types.get(base(n, types)) == "gauge"]
        complaints += [f"{where}: rate of the gauge {n}" for n in gauges]
    return complaints + [f"no panel or rule shows {name}" for name in sorted(set(types) - used)]


def label_complaints(found: Iterable[Located], labels: Mapping[str, set[str]], types: Mapping[str, str]) -> list[str]:
    """Complain about labels that the metrics of an expression do not have."""
    complaints = []
    for where, expr in found:
        named = [(base(n, types), selector) for n, selector in SELECTOR.findall(expr)]
        known = set().union(OF_PROMETHEUS, *(labels.get(n, set()) for n, _ in named))
        grouped = {label.strip() for group in GROUPING.findall(expr) for label in group.split(",") if label.strip()}
        complaints += [f"{where}: no label {label!r}" for label in sorted(grouped - known)]
        for name, selector in named:
            wrong = {m for m in re.findall(r"(\w+)\s*[=!]", selector)} - labels.get(name, set()) - OF_PROMETHEUS
            complaints += [f"{where}: {name} has no label {label!r}" for label in sorted(wrong)]
    return complaints


def shape_complaints(found: Mapping[str, Json], sources: set[str]) -> list[str]:
    """Complain about what would make Grafana show a dashboard wrongly, or a person not understand it."""
    complaints = []
    uids = [d["uid"] for d in found.values()]
    complaints += [f"uid {uid} is used twice" for uid in sorted({u for u in uids if uids.count(u) > 1})]
    for name, dashboard in found.items():
        complaints += title_complaints(name, dashboard["title"])
        ids = [p["id"] for p in panels(dashboard)]
        complaints += [f"{name}: panel id {i} is used twice" for i in sorted({i for i in ids if ids.count(i) > 1})]
        complaints += overlaps(name, [p["gridPos"] for p in dashboard["panels"]])
        for panel in panels(dashboard):
            complaints += panel_complaints(name, panel, sources)
    return complaints


def title_complaints(where: str, title: str) -> list[str]:
    """Complain about a title that is not Chinese first and English second."""
    zh, slash, en = title.partition(" / ")
    good = bool(slash) and HAN.search(zh) is not None and re.search(r"[A-Za-z]", en) is not None
    return [] if good else [f"{where}: title {title!r} is not '中文 / English'"]


def panel_complaints(name: str, panel: Json, sources: set[str]) -> list[str]:
    """Complain about one panel."""
    where = f"{name}: {panel['title']}"
    complaints = title_complaints(name, panel["title"])
    if panel["type"] == "row":
        return complaints
    if not panel.get("description"):
        complaints.append(f"{where}: no description")
    if not panel.get("targets"):
        complaints.append(f"{where}: no query")
    for target in panel.get("targets", []):
        uid = target["datasource"]["uid"]
        if uid not in sources:
            complaints.append(f"{where}: no datasource {uid!r} is provisioned")
        if ("expr" in target) == ("rawSql" in target):
            complaints.append(f"{where}: a query needs either expr or rawSql")
    return complaints


def overlaps(name: str, places: list[Json]) -> list[str]:
    """Complain about panels that lie on each other or outside the grid of 24 columns."""
    complaints, taken = [], set()
    for p in places:
        cells = {(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])}
        if taken & cells or p["x"] + p["w"] > 24:
            complaints.append(f"{name}: panel at {p['x']},{p['y']} lies on another or outside")
        taken |= cells
    return complaints


def rule_complaints(alerts: Iterable[Json]) -> list[str]:
    """Complain about alert rules that do not say what is wrong, how bad, and what to do."""
    complaints = []
    for rule in alerts:
        notes = rule.get("annotations", {})
        if rule.get("labels", {}).get("severity") not in ("critical", "major", "minor"):
            complaints.append(f"rule {rule['alert']}: severity is not critical, major or minor")
        complaints += [f"rule {rule['alert']}: no annotation {n}" for n in ("zh", "en", "action") if not notes.get(n)]
        if not HAN.search(notes.get("zh", "")):
            complaints.append(f"rule {rule['alert']}: zh is not Chinese")
    names = [r["alert"] for r in alerts]
    return complaints + [f"rule {n} is declared twice" for n in sorted({n for n in names if names.count(n) > 1})]


def domain_complaints(found: Mapping[str, Json], tables: Mapping[str, list[str]]) -> list[str]:
    """Complain about domains without a dashboard, and kinds their domain's dashboard does not show."""
    complaints = []
    for domain, names in tables.items():
        file = f"{domain}.json"
        if file not in found:
            complaints.append(f"domain {domain} has no dashboard {file}")
            continue
        text = " ".join(sql for _, sql in queries({file: found[file]}))
        complaints += [f"{file}: no panel reads {t}" for t in names if not re.search(rf"\bFROM {t}\b", text)]
    return complaints
