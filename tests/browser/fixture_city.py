"""A city without its stack, for working on the page: the gateway's doors, moving vehicles, a few alerts. Never shipped.

    python tests/browser/fixture_city.py --port 8899 --vehicles 1500
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiohttp import WSMsgType, web

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from gateway.api.catalog import kinds  # noqa: E402
from gateway.doorman import HEADERS  # noqa: E402
from schemas import messages as m  # noqa: E402
from schemas.errors import REASONS  # noqa: E402
from schemas.events import Alert, AlertEvent, ConnectorState  # noqa: E402
from storage import zones  # noqa: E402

STATIC = ROOT / "gateway" / "static"
CENTRES = [(112.85, 35.50), (112.92, 35.80), (112.41, 35.48), (112.18, 35.69), (113.28, 35.78)]
SHARES = {0: 0.42, 1: 0.34, 2: 0.07, 3: 0.05, 4: 0.06, 5: 0.03, 6: 0.03}


def now_us() -> int:
    return time.time_ns() // 1000


def rules() -> list[dict[str, Any]]:
    found = []
    for file in sorted((ROOT / "streams" / "rules").glob("*.toml")):
        for name, rule in tomllib.loads(file.read_text(encoding="utf-8")).items():
            when = rule["when"]
            limit = when.get("above", when.get("at_least", when.get("at_most")))
            found.append(
                {"id": name, "category": "city", **{k: v for k, v in rule.items() if k != "when"}, "limit": limit}
                | {"unit": when.get("unit", ""), "pack": {"when": when}}
            )
    return found


class City:
    """The whole pretended state."""

    def __init__(self, vehicles: int) -> None:
        self.random = random.Random(7)
        rng = np.random.default_rng(7)
        self.layers: dict[int, dict[str, np.ndarray]] = {}
        for layer, share in SHARES.items():
            n = max(3, int(vehicles * share))
            centre = np.array(CENTRES)[rng.choice(5, n, p=[0.45, 0.2, 0.15, 0.1, 0.1])]
            lon, lat = (centre + rng.normal(0, 0.035, (n, 2)) * (1.2, 1.0)).T
            self.layers[layer] = {
                "lon": lon,
                "lat": lat,
                "heading": rng.uniform(0, 360, n),
                "value": rng.integers(0, 30, n),
                "state": rng.choice(5, n, p=[0.72, 0.24, 0.02, 0.01, 0.01] if layer != 4 else [0.9, 0, 0.1, 0, 0]),
                "age": rng.integers(0, 20, n) + np.where(rng.random(n) < 0.02, 90, 0),
            }
        self.seq = 0
        self.sockets: set[web.WebSocketResponse] = set()
        self.muted_until = 0.0
        self.alerts: dict[str, Alert] = {}
        self.events: dict[str, list[AlertEvent]] = {}
        wanted = ["hazmat-overspeed", "dust-pm10-hourly", "bus-overspeed", "bike-station-empty", "coach-overspeed"]
        wanted += ["hazmat-emergency", "source-silent", "position-jump", "bike-station-full", "bus-overspeed"]
        for i, rule in enumerate(wanted):
            self.open(rule, i)

    def open(self, rule_id: str, i: int) -> AlertEvent:
        rule = next(r for r in rules() if r["id"] == rule_id)
        kind = rule["kinds"][0]
        lon, lat = CENTRES[i % 5]
        at = now_us() - (i * 97 + 12) * 1_000_000
        limit = rule["limit"]
        alert = Alert(
            id=f"{abs(hash((rule_id, i))):016x}"[:16],
            version=1,
            status="open",
            rule=rule_id,
            rule_version=1,
            category=rule["category"],
            severity=rule["severity"],
            kind=kind,
            source=f"{kind.split('_')[0]}-{1000 + i}",
            zone=[140502, 140581, 140522, 140521, 140524][i % 5],
            lon=lon + 0.02 * math.sin(i),
            lat=lat + 0.02 * math.cos(i),
            started=at - 20_000_000,
            last=at,
            opened_at=at,
            count=i + 1,
            value=None if limit is None else limit * 1.13,
            limit=limit,
            unit=rule["unit"],
        )
        self.alerts[alert.id] = alert
        change = AlertEvent(id=f"{alert.id}/1", alert_id=alert.id, version=1, change="opened", at=at, alert=alert)
        self.events[alert.id] = [msgspec.structs.replace(change, alert=None)]
        return change

    def step(self) -> None:
        for layer, c in self.layers.items():
            if layer < 4:
                moving = self.random.random() < 1
                c["lon"] = c["lon"] + 1e-4 * np.sin(np.radians(c["heading"])) * moving
                c["lat"] = c["lat"] + 8e-5 * np.cos(np.radians(c["heading"])) * moving

    def frame(self, layer: int, kind: int) -> bytes:
        c = self.layers[layer]
        return m.pack(
            kind,
            layer,
            now_us() // 1000,
            {
                "slot": np.arange(len(c["lon"])),
                "lon_e6": c["lon"] * 1e6,
                "lat_e6": c["lat"] * 1e6,
                "heading_cdeg": c["heading"] * 100 if layer < 4 else np.full(len(c["lon"]), m.NO_U16),
                "value": c["value"] * (10 if layer != 4 else 1),
                "age_s": c["age"],
                "state": c["state"],
            },
        )

    def connectors(self) -> list[ConnectorState]:
        now = now_us()
        return [
            ConnectorState(connector=n, type=t, run="r1", health=h, at=now, since=now, kinds=[k], rate=r, packets=9, readings=1_234_567)
            for n, t, h, k, r in [
                ("bus-gtfs", "gtfs_rt", "live", "bus_position", 42.0),
                ("taxi-808", "jt808", "live", "taxi_position", 61.5),
                ("dust-212", "hj212", "degraded", "dust_station", 1.2),
                ("bike-gbfs", "gbfs", "live", "bike_station", 5.0),
            ]
        ]

    def kpis(self) -> list[m.Kpi]:
        ids = ["buses_online", "taxis_online", "coaches_online", "hazmat_online", "bike_stations_online", "dust_stations_online"]
        found = [m.Kpi(id=k, value=len(self.layers[i]["lon"]) - 2, unit="", age_s=1.0, total=len(self.layers[i]["lon"])) for i, k in enumerate(ids)]
        jitter = self.random.uniform(-2, 2)
        return [
            *found,
            m.Kpi(id="bikes_available", value=1843 + int(jitter * 5), unit="", age_s=31.0, total=2600),
            m.Kpi(id="dust_pm10_mean", value=58.4 + jitter, unit="µg/m³", age_s=22.0),
            m.Kpi(id="traffic_speed_mean", value=8.9 + jitter / 4, unit="m/s", age_s=200.0),
            m.Kpi(id="readings_rate", value=109.7 + jitter, unit="1/s", age_s=0.4),
        ]


def text(message: Any) -> str:
    return msgspec.json.encode(message).decode()


async def socket(request: web.Request) -> web.WebSocketResponse:
    city: City = request.app["city"]
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    if request.cookies.get("fixture") != "1":
        await ws.close(code=4401)
        return ws
    async for message in ws:
        if message.type != WSMsgType.TEXT:
            continue
        said = json.loads(message.data)
        if said["op"] == "hello":
            welcome = m.Welcome(proto=1, epoch="e1", build="fixture", now_ms=now_us() // 1000, interval_ms=1000, seq=city.seq, user="duty", role="duty", resumed=False)
            await ws.send_str(text(welcome))
            await ws.send_str(text(m.Alerts(seq=city.seq, alerts=[a for a in city.alerts.values() if a.status != "resolved"])))
        elif said["op"] == "subscribe" and ws not in city.sockets:
            for layer, c in city.layers.items():
                slots = list(range(len(c["lon"])))
                await ws.send_str(text(m.Names(layer=layer, slots=slots, sources=[f"{m.LAYERS[layer]}-{s}" for s in slots], labels=[f"{s} 路" for s in slots])))
                await ws.send_bytes(city.frame(layer, m.SNAPSHOT))
            city.sockets.add(ws)
        elif said["op"] == "command":
            await command(city, ws, said)
    city.sockets.discard(ws)
    return ws


async def command(city: City, ws: web.WebSocketResponse, said: dict[str, Any]) -> None:
    alert = city.alerts[said["alertId"]]
    if said["expectedVersion"] != alert.version:
        await ws.send_str(text(m.Result(cmd_id=said["cmdId"], outcome="conflict", alert=alert)))
        return
    at, more = now_us(), {"note": said.get("note"), "cause": said.get("cause")}
    change = {"acknowledge": "acknowledged", "resolve": "resolved", "note": "noted", "reopen": "reopened"}[said["action"]]
    status = {"acknowledge": "acknowledged", "resolve": "resolved", "note": alert.status, "reopen": "open"}[said["action"]]
    who = {"acked_by": "duty", "acked_at": at} if said["action"] == "acknowledge" else {}
    who |= {"resolved_by": "duty", "resolved_at": at} if said["action"] == "resolve" else {}
    after = msgspec.structs.replace(alert, version=alert.version + 1, status=status, **who)
    city.alerts[alert.id] = after
    event = AlertEvent(id=said["cmdId"], alert_id=alert.id, version=after.version, change=change, at=at, actor="duty", cmd_id=said["cmdId"], **more)
    city.events[alert.id].append(event)
    city.seq += 1
    await ws.send_str(text(m.Result(cmd_id=said["cmdId"], outcome="ok", alert=after)))
    for other in list(city.sockets):
        await other.send_str(text(m.Event(seq=city.seq, change=msgspec.structs.replace(event, alert=after))))


async def tick(app: web.Application) -> None:
    city: City = app["city"]
    while True:
        await asyncio.sleep(1)
        city.step()
        if time.monotonic() < city.muted_until:
            continue
        told = text(m.Tick(now_ms=now_us() // 1000, data_age_s=0.8, kpis=city.kpis()))
        frames = [city.frame(layer, m.DELTA) for layer in city.layers]
        for ws in list(city.sockets):
            try:
                await ws.send_str(told)
                for frame in frames:
                    await ws.send_bytes(frame)
            except ConnectionError:
                city.sockets.discard(ws)


def answer(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


async def api(request: web.Request) -> web.Response:
    city: City = request.app["city"]
    path = request.match_info["path"].split("/")
    if path[0] == "login":
        body = await request.json()
        if (body["user"], body["password"]) != ("duty", "duty"):
            return web.Response(status=401)
        done = answer({"user": "duty", "role": "duty"})
        done.set_cookie("fixture", "1")
        return done
    if path[0] == "logout":
        done = web.Response(status=204)
        done.del_cookie("fixture")
        return done
    if request.cookies.get("fixture") != "1":
        return web.Response(status=401)
    return answer(_read(city, path, request)) if path[0] != "nothing" else web.Response(status=404)


def _read(city: City, path: list[str], request: web.Request) -> Any:
    places = zones.load()
    if path[0] == "me":
        return {"user": "duty", "role": "duty"}
    if path[0] == "catalog":
        return {
            "kinds": kinds(),
            "rules": rules(),
            "zones": [{"code": z.code, "zh": z.zh, "en": z.en} for z in places],
            "reasons": {k: {"zh": a, "en": b} for k, (a, b) in REASONS.items()},
        }
    if path[0] == "boundaries.geojson":
        return zones.geojson(places)
    if path[0] == "roads.geojson":
        lines = [[a, b] for a in CENTRES for b in CENTRES if a < b]
        return {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"class": "primary"}, "geometry": {"type": "LineString", "coordinates": c}} for c in lines]}
    if path[0] == "alerts" and len(path) == 1:
        return {"alerts": [a for a in city.alerts.values() if a.status == "resolved"], "next": None}
    if path[0] == "alerts":
        return {"alert": city.alerts[path[1]], "events": city.events[path[1]]}
    if path[0] == "history":
        since, until, step = (float(request.query[k]) for k in ("since", "until", "step"))
        times = np.arange(since, until, step * 1000)
        points = [(t, None if 0.4 < i / len(times) < 0.45 else 14 + 4 * math.sin(i / 9) + 6 * (i / len(times)) ** 6) for i, t in enumerate(times)]
        return {"points": points, "unit": "m/s"}
    if path[0] == "sources":
        return {"kind": path[1], "source": path[2], "ts": now_us() - 7_000_000, "lon": 112.85, "lat": 35.5, "speed": 12.4, "heading": 41.0, "plate": "晋E·***45", "mileage": 123456.0}
    if path[0] == "connectors":
        return {"connectors": city.connectors()}
    if path[0] == "ledger":
        row = {"received": 104_233, "stored": 104_180, "duplicates": 12, "rejected": 3, "in_flight": 0, "lost": 38}
        return row | {"by": [row | {"connector": "taxi-808", "kind": "taxi_position", "partition": p} for p in range(2)]}
    return {"rejects": [{"ts": now_us(), "seen_at": now_us(), "connector": "dust-212", "stage": "decode", "reason": "bad_checksum", "source": "10.0.0.8", "detail": "CRC 1A2B, expected 3C4D"}]}


async def page(request: web.Request) -> web.StreamResponse:
    file = STATIC / (request.match_info["path"] or "index.html")
    kind = {"text/javascript": (".js", ".mjs")}
    answer_ = web.FileResponse(file)
    if file.suffix in kind["text/javascript"]:
        answer_.content_type = "text/javascript"
    return answer_


async def control(request: web.Request) -> web.Response:
    """``/fixture/mute/12`` silences the server, ``/fixture/drop`` cuts every socket, ``/fixture/open`` opens an alert."""
    city: City = request.app["city"]
    action = request.match_info["path"].split("/")
    if action[0] == "mute":
        city.muted_until = time.monotonic() + float(action[1])
    elif action[0] == "drop":
        for ws in list(city.sockets):
            await ws.close()
    elif action[0] == "open":
        city.seq += 1
        change = city.open("hazmat-overspeed", 20 + city.seq)
        for ws in list(city.sockets):
            await ws.send_str(text(m.Event(seq=city.seq, change=change)))
    return web.Response(text="done")


async def dress(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers[name] = value


async def start(app: web.Application) -> None:
    app["ticking"] = asyncio.create_task(tick(app))


def main() -> None:
    """Serve until interrupted."""
    said = argparse.ArgumentParser()
    said.add_argument("--port", type=int, default=8899)
    said.add_argument("--vehicles", type=int, default=1500)
    wanted = said.parse_args()
    app = web.Application()
    app["city"] = City(wanted.vehicles)
    app.add_routes([web.get("/ws", socket), web.route("*", "/api/{path:.*}", api), web.get("/fixture/{path:.*}", control), web.get("/{path:.*}", page)])
    app.on_response_prepare.append(dress)
    app.on_startup.append(start)
    web.run_app(app, host="127.0.0.1", port=wanted.port, print=None)


if __name__ == "__main__":
    main()
