"""Alerts not yet resolved, kept by version: an older state never replaces a newer one."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from schemas.events import Alert
from schemas.messages import ALARM, UNKNOWN, WARNING

REMEMBERED: Final = 50_000
"""Versions of resolved alerts that are remembered, so that a late message does not bring one back."""


SEVERITIES: Final = ("critical", "major", "minor")


class AlertBook:
    """What duty staff have before them."""

    def __init__(self) -> None:
        self.open: dict[str, Alert] = {}
        self._closed: OrderedDict[str, int] = OrderedDict()
        self._of_source: dict[tuple[str, str], set[str]] = {}

    def is_news(self, alert: Alert) -> bool:
        """Say whether the alert is newer than what is known of it."""
        known = self.open.get(alert.id)
        return alert.version > (known.version if known is not None else self._closed.get(alert.id, -1))

    def put(self, alert: Alert) -> bool:
        """Take in an alert and say whether it was news."""
        if not self.is_news(alert):
            return False
        key = (alert.kind, alert.source)
        if alert.status == "resolved":
            self.open.pop(alert.id, None)
            self._closed[alert.id] = alert.version
            self._closed.move_to_end(alert.id)
            if len(self._closed) > REMEMBERED:
                self._closed.popitem(last=False)
            self._leave(key, alert.id)
        else:
            self.open[alert.id] = alert
            self._closed.pop(alert.id, None)
            self._of_source.setdefault(key, set()).add(alert.id)
        return True

    def _leave(self, key: tuple[str, str], alert_id: str) -> None:
        ids = self._of_source.get(key)
        if ids is not None:
            ids.discard(alert_id)
            if not ids:
                del self._of_source[key]

    def overlay(self, kind: str, source: str) -> int:
        """Give the state code that a source's open alerts impose; 0 is none.

        A ticket about the sensor itself makes its value not known rather than alarming.
        """
        alerts = [self.open[i] for i in self._of_source.get((kind, source), ())]
        city = [a for a in alerts if a.category == "city"]
        if city:
            return ALARM if any(a.severity == "critical" for a in city) else WARNING
        return UNKNOWN if alerts else 0

    def sorted(self) -> list[Alert]:
        """Give all open alerts, newest first."""
        return sorted(self.open.values(), key=lambda a: (-a.opened_at, a.id))

    def counts(self) -> dict[tuple[str, str], int]:
        """Give how many alerts there are of each severity and status, zeros included."""
        found = {(severity, status): 0 for severity in SEVERITIES for status in ("open", "acknowledged")}
        for alert in self.open.values():
            found[(alert.severity, alert.status)] += 1
        return found
