"""The meeting point: what arrives from Kafka goes in, every client is told what it needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.live.book import AlertBook
from gateway.live.client import Client, text
from gateway.live.kpis import kpis
from gateway.live.state import LiveState
from gateway.live.view import Cache
from gateway.masking import mask_alert, mask_change
from schemas import metrics
from schemas.events import Alert, AlertEvent, ConnectorState
from schemas.messages import Alerts, Event, Resume, Tick

RING: Final = 5000
"""Events kept for clients that come back."""
SEEN: Final = 20_000
"""Identities of changes that are remembered, so that a replayed one is told once."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it was told: number, text, text for viewers."""

    seq: int
    full: str
    masked: str


class Hub:
    """The live picture and everyone who looks at it; ``epoch`` names this run of it."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.state = LiveState()
        self.book = AlertBook()
        self.connectors: dict[str, ConnectorState] = {}
        self.clients: set[Client] = set()
        self.seq = 0
        self._ring: deque[Told] = deque(maxlen=RING)
        self._seen: dict[str, None] = {}
        self._waiting: dict[str, Alert] = {}
        self._cache = Cache()

    # --- what arrives

    def load(self, alerts: Iterable[Alert], connectors: Iterable[ConnectorState]) -> None:
        """Take in what the database knows, without telling anyone; older than what is known already is ignored."""
        for alert in alerts:
            self._put(alert)
        for state in connectors:
            known = self.connectors.get(state.connector)
            if known is None or known.at < state.at:
                self.connectors[state.connector] = state

    def on_change(self, change: AlertEvent) -> None:
        """Take in one change of an alert and tell it once; answers to one person's command are not told to all."""
        if change.id in self._seen:
            return
        self._seen[change.id] = None
        if len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]
        if change.alert is not None:
            self._put(change.alert)
        if change.change not in ("conflict", "refused"):
            self._tell(Event(seq=self.seq + 1, change=change))

    def on_alert(self, alert: Alert) -> None:
        """Take in the state of an alert; it waits for the next tick, in case its change, which says why, comes too."""
        waiting = self._waiting.get(alert.id)
        if self.book.is_news(alert) and (waiting is None or waiting.version < alert.version):
            self._waiting[alert.id] = alert

    def on_connector(self, state: ConnectorState) -> None:
        """Take in a connector's state; changes of its health are told to all."""
        known = self.connectors.get(state.connector)
        if known is not None and known.at >= state.at:
            return
        self.connectors[state.connector] = state
        if known is None or (known.health, known.since, known.detail) != (state.health, state.since, state.detail):
            self._tell(Event(seq=self.seq + 1, connector=state))

    def _put(self, alert: Alert) -> bool:
        news = self.book.put(alert)
        if news:
            self.state.impose(alert.kind, alert.source, self.book.overlay(alert.kind, alert.source))
        return news

    def _tell(self, event: Event) -> None:
        masked = msgspec.structs.replace(
            event,
            alert=None if event.alert is None else mask_alert(event.alert),
            change=None if event.change is None else mask_change(event.change),
        )
        self.seq = event.seq
        told = Told(event.seq, text(event), text(masked))
        self._ring.append(told)
        for client in self.clients:
            client.event(told.masked if client.view.coarse else told.full)

    # --- what goes out

    def since(self, resume: Resume | None, *, coarse: bool) -> list[str] | None:
        """Give the events a returning client missed; None when it must take a snapshot."""
        if resume is None or resume.epoch != self.epoch or not 0 <= resume.events <= self.seq:
            return None
        missed = [t for t in self._ring if t.seq > resume.events]
        if len(missed) != self.seq - resume.events:
            return None
        return [t.masked if coarse else t.full for t in missed]

    def alerts(self, *, coarse: bool) -> str:
        """Give the message that lists all open alerts."""
        found = self.book.sorted()
        return text(Alerts(seq=self.seq, alerts=[mask_alert(a) for a in found] if coarse else found))

    def tick(self, now: int) -> None:
        """Tell every client the time and the key figures; to be called once a second."""
        for alert in self._waiting.values():
            if self._put(alert):
                self._tell(Event(seq=self.seq + 1, alert=alert))
        self._waiting.clear()
        self.state.expire(now)
        age = self.state.age_s(now)
        figures = kpis(self.state, self.book, self.connectors.values(), now)
        encoded = text(Tick(now_ms=now // 1000, data_age_s=age, kpis=figures))
        for client in self.clients:
            client.tick(encoded)
        self._measure(age)

    def pump(self, now: int) -> None:
        """Give every client that is due what changed for it."""
        for client in self.clients:
            client.pump(self.state, now, self._cache)

    def _measure(self, age: float | None) -> None:
        metrics.GATEWAY_CLIENTS.set(len(self.clients))
        for (severity, status), number in self.book.counts().items():
            metrics.ALERTS_OPEN.labels(severity, status).set(number)
        metrics.GATEWAY_DATA_AGE.set(float("nan") if age is None else age)
        for name, count in self.state.entities().items():
            metrics.GATEWAY_ENTITIES.labels(name).set(count)
