"""Values of one site, by index, put together as lanes and the whole section; what is no data is absent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from connectors.datex2.document import Shown, get, many, number
from connectors.datex2.sites import Index, Site, is_any
from schemas.errors import Reject

LEAVES: Final = {
    "TrafficFlow": ("vehicle_flow", "vehicle_flow_rate"),
    "TrafficSpeed": ("average_vehicle_speed", "speed"),
    "TrafficConcentration": ("occupancy", "percentage"),
}
"""Of each kind of value that a detector gives, the element that holds it."""
FLOW, SPEED, OCCUPANCY = (leaf for _, leaf in LEAVES.values())
FAULTY: Final = frozenset({"noDataValuesAvailable", "spuriousUnreliableDataValues", "unspecifiedOrUnknownFault"})
Lane = int | str
"""A lane's number, 0 for the whole section, or the name of one without a number."""
Cells = dict[Lane, dict[str, float | None]]


def values_of(record: Shown) -> list[dict[str, Any]]:
    """Give the values of a site in order: index, type, and all they hold, in the standard's units."""
    found = []
    for row in many(record.get("measured_value")) + many(record.get("physical_quantity")):
        inner = row
        for name in ("measured_value", "physical_quantity"):
            inner = get(row, name) or inner
        if not isinstance(inner, dict) or not isinstance(row, dict):
            continue
        rest = {key: value for key, value in inner.items() if key not in ("basic_data", "type", "index")}
        index = number(row.get("index"))
        head = {"index": int(index) if index is not None else -1}
        found += [{**head, **basic, **rest, **head} for basic in many(inner.get("basic_data")) if isinstance(basic, dict)]
    return found


def sound(value: Shown, leaf: str) -> float | None:
    """Give a measured value; an error, a fault, a negative number, or a mean over no inputs at all is no data."""
    if not isinstance(value, dict):
        found = number(value)
        return found if found is not None and found >= 0 else None
    found = number(get(value, leaf))
    if found is None or found < 0 or value.get("data_error") is True:
        return None
    return None if leaf != FLOW and value.get("number_of_input_values_used") == 0 else found


def is_faulty(value: Shown) -> bool:
    """Tell whether a fault declared beside a value makes it no data."""
    faults = many(value.get("physical_quantity_fault"))
    return any(str(get(fault, "physical_quantity_fault_type")) in FAULTY for fault in faults)


def quantity(value: Shown) -> tuple[str, float | None] | None:
    """Give leaf and number of a detector's value for all vehicles; ``None`` for any other value."""
    inside, leaf = LEAVES.get(str(value.get("type")), ("", ""))
    if not leaf or not is_any(value.get("for_vehicles_with_characteristics_of")):
        return None
    return leaf, None if is_faulty(value) else sound(value.get(inside), leaf)


def by_table(values: Iterable[Shown], site: Site) -> list[dict[str, Any]]:
    """Give lanes and sections of one time, by the site's table; indexes of single vehicle classes are left out."""
    periods: dict[int | None, Cells] = {}
    for value in values:
        index, found = site.indexes.get(value["index"]), quantity(value)
        if index is not None and found is not None and index.any_vehicle:
            periods.setdefault(index.period, {}).setdefault(_key(index), {})[found[0]] = found[1]
    rows = []
    for period, cells in periods.items():
        expected = _expected(site, period)
        total = {leaf: cells.get(0, {}).get(leaf) for leaf in cells.get(0, ())}
        for leaf in (FLOW, OCCUPANCY, SPEED):
            if leaf not in expected.get(0, ()):
                total[leaf] = _total(leaf, cells, [lane for lane, leaves in expected.items() if leaf in leaves])
        whole: Cells = {0: total, **{lane: cell for lane, cell in cells.items() if lane != 0}}
        rows += [_row(lane, cell, period) for lane, cell in whole.items() if isinstance(lane, int)]
    return [row for row in rows if row.keys() - {"lane", "period"}]


def by_order(values: Iterable[Shown]) -> list[dict[str, Any]]:
    """Give lanes without a table: the n-th flow, speed and occupancy are of one lane; a single one is the whole section.

    Unequal numbers of them tell nothing about lanes and are refused. No totals: an index may be of lorries only.
    """
    found: dict[str, list[float | None]] = {}
    for value in values:
        one = quantity(value)
        if one is not None:
            found.setdefault(one[0], []).append(one[1])
    counts = {len(column) for column in found.values()}
    if len(counts) > 1:
        raise Reject("unsupported", "its indexes cannot be paired into lanes without its site table: set site_table_url")
    lanes = max(counts, default=0)
    cells = [{leaf: column[n] for leaf, column in found.items()} for n in range(lanes)]
    rows = [_row(0 if lanes == 1 else n, cell, None) for n, cell in enumerate(cells, 1) if n <= 32]
    return [row for row in rows if row.keys() - {"lane", "period"}]


def _key(index: Index) -> Lane:
    return index.named if index.lane is None else index.lane


def _expected(site: Site, period: int | None) -> dict[Lane, set[str]]:
    """Give what the table says each lane measures for all vehicles over that period."""
    lanes: dict[Lane, set[str]] = {}
    for index in site.indexes.values():
        _, leaf = LEAVES.get(index.type[:1].upper() + index.type[1:], ("", ""))
        if leaf and index.any_vehicle and index.period == period:
            lanes.setdefault(_key(index), set()).add(leaf)
    return lanes


def _total(leaf: str, cells: Cells, lanes: list[Lane]) -> float | None:
    """Give the section's value from those of all its lanes; where one is missing there is none."""
    found = [cells.get(lane, {}).get(leaf) for lane in lanes]
    if leaf == SPEED:
        return _mean_speed([cells.get(lane, {}) for lane in lanes])
    known = [value for value in found if value is not None]
    if not known or len(known) < len(found):
        return None
    return sum(known) if leaf == FLOW else sum(known) / len(known)


def _mean_speed(cells: list[dict[str, float | None]]) -> float | None:
    """Give the mean weighted by flow; the plain mean where no lane has a flow; none where a lane's part is unknown."""
    if all(FLOW not in cell for cell in cells):
        speeds = [cell.get(SPEED) for cell in cells]
        known = [speed for speed in speeds if speed is not None]
        return sum(known) / len(known) if known and len(known) == len(speeds) else None
    weighted = flows = 0.0
    for cell in cells:
        flow, speed = cell.get(FLOW), cell.get(SPEED)
        if flow is None or (flow > 0 and speed is None):
            return None
        weighted += flow * (speed or 0.0)
        flows += flow
    return weighted / flows if flows else None


def _row(lane: int, cell: dict[str, float | None], period: int | None) -> dict[str, Any]:
    """Give a lane's values; where no vehicle passed there is no speed, whatever was sent."""
    row: dict[str, Any] = {leaf: value for leaf, value in cell.items() if value is not None}
    if row.get(FLOW) == 0:
        row.pop(SPEED, None)
    if period is not None:
        row["period"] = period
    return {"lane": lane, **row}
