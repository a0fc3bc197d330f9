"""Reports as a ride-hailing company posts them, for tests and the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from connectors._api import rules, times
from connectors.ridehailing.decoder import SYSTEMS

HERE = Path(__file__).resolve().parent
CODES = {crs: code for code, crs in SYSTEMS.items()}
BEIJING = "Asia/Shanghai"
TIMES = {
    "orderCreate": "OrderTime",
    "orderMatch": "DistributeTime",
    "orderCancel": "CancelTime",
    "operateLogin": "LoginTime",
    "operateLogout": "LogoutTime",
    "operateDepart": "DepTime",
    "operateArrive": "DestTime",
    "operatePay": "PayTime",
}
"""The time a record of an order or a shift carries, 14 digits in Beijing time."""
PLACES = {"orderCreate": "Dep", "operateDepart": "Dep", "operatePay": "Dep", "operateArrive": "Dest"}
"""What the coordinates of a type begin with."""


def position(
    values: Mapping[str, Any], *, crs: str = "gcj02", licence: str = "", region: str = "310000", **fields: Any
) -> dict[str, Any]:
    """Give a record of positionVehicle, or with a ``licence`` number of positionDriver, from fields of ride_hailing_position."""
    record, _ = rules.read(HERE / "mapping.toml")["ride_hailing_position"].record(values, crs)
    record["PositionTime"] = values["ts"] // 1_000_000
    named = {"LicenseId": licence, "DriverRegionCode": region} if licence else {"VehicleRegionCode": region}
    return {**_millionths(record), "OrderId": record.get("OrderId", "0"), "Encrypt": CODES[crs], **named, **fields}


def step(type: str, values: Mapping[str, Any], *, crs: str = "gcj02", licence: str = "", **fields: Any) -> dict[str, Any]:
    """Give a record of an order or shift (orderCreate to operatePay) from fields of ride_hailing_order."""
    rest = {name: value for name, value in values.items() if name not in ("source", "ts", "event", "reason", "driver")}
    record, _ = rules.read(HERE / "mapping.toml")["ride_hailing_order"].record(rest, crs)
    prefix = PLACES.get(type, "")
    placed = {prefix + name: record.pop(name) for name in ("Longitude", "Latitude") if name in record}
    record |= {TIMES[type]: times.write(values["ts"], "compact", BEIJING), **_millionths(placed), "Encrypt": CODES[crs]}
    if licence:
        record["LicenseId"] = licence
    if values.get("reason"):
        record["CancelReason"] = values["reason"]
    return {**_millionths(record), **fields}


def body(records: Sequence[Mapping[str, Any]], type: str = "") -> bytes:
    """Give the body of a POST: a list of records, or with a ``type`` the document that names it."""
    if not type:
        return msgspec.json.encode(records)
    company = {"CompanyId": records[0]["CompanyId"]} if records and "CompanyId" in records[0] else {}
    return msgspec.json.encode({**company, "IPCType": type, type: records})


def address(type: str) -> str:
    """Give the address a type is posted to, as a session's origin."""
    return f"POST /{type}"


def _millionths(record: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v) if k.endswith(("Longitude", "Latitude")) else v for k, v in record.items()}
