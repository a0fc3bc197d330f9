"""Every Kafka topic, and how a source finds its partition."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

from schemas.kinds import all_kinds, domains, kind

INTERNAL_DOMAINS = ("derived", "rejects")
"""Domains whose frames CityOps itself makes."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what it carries, who writes and reads it, how long it is kept."""

    name: str
    carries: Literal["frames", "json"]
    about: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    retention_h: int = 48


def raw(domain: str) -> str:
    """Name the topic of a domain's frames as connectors made them."""
    return f"raw-{domain}"


def clean(domain: str) -> str:
    """Name the topic of a domain's frames after validation, deduplication and enrichment."""
    return f"clean-{domain}"


WINDOWS = "windows"
REJECTS = "rejects"
FINDINGS = "findings"
ALERT_COMMANDS = "alert-commands"
ALERTS = "alerts"
ALERT_EVENTS = "alert-events"
CONNECTOR_STATES = "connector-states"


@cache
def reading_domains() -> tuple[str, ...]:
    """Give the domains that devices feed, sorted."""
    return tuple(d for d in domains() if d not in INTERNAL_DOMAINS)


@cache
def all_topics() -> dict[str, Topic]:
    """Give every topic by name."""
    found: list[Topic] = []
    for domain in reading_domains():
        kinds = ", ".join(sorted(n for n, k in all_kinds().items() if k.domain == domain))
        found += [
            Topic(raw(domain), "frames", f"Readings as received: {kinds}.", ("connect",), ("clean",)),
            Topic(clean(domain), "frames", f"Readings checked and enriched: {kinds}.", ("clean",), ("watch", "store", "gateway")),
        ]
    found += [
        Topic(WINDOWS, "frames", "Closed windows.", ("watch",), ("store",)),
        Topic(REJECTS, "frames", "Refused input with its reason.", ("connect", "clean"), ("store",)),
        Topic(
            FINDINGS,
            "json",
            "What a rule or detector found (events.Finding), or finds anew after late readings (events.Rejudgement).",
            ("watch", "store"),
            ("alerts",),
        ),
        Topic(ALERT_COMMANDS, "json", "What a person asks of an alert (events.AlertCommand).", ("gateway",), ("alerts",)),
        Topic(ALERTS, "json", "The latest state of an alert (events.Alert).", ("alerts",), ("gateway",)),
        Topic(
            ALERT_EVENTS, "json", "Each change of an alert, or the refusal of one (events.AlertEvent).", ("alerts",), ("gateway",)
        ),
        Topic(
            CONNECTOR_STATES,
            "json",
            "State and totals of each connector (events.ConnectorState).",
            ("connect",),
            ("store", "gateway"),
        ),
    ]
    return {t.name: t for t in found}


def frame_topic(kind_name: str, stage: Literal["raw", "clean"]) -> str:
    """Name the topic that carries frames of a kind at a stage."""
    domain = kind(kind_name).domain
    if domain == "derived":
        return WINDOWS
    if domain == "rejects":
        return REJECTS
    return raw(domain) if stage == "raw" else clean(domain)


def bucket(source: str, partitions: int) -> int:
    """Give the partition of a source: CRC-32 of its UTF-8 bytes, stable across processes and languages."""
    return zlib.crc32(source.encode()) % partitions
