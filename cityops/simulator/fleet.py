"""The motion of all vehicles: flat arrays, advanced together; a pure function of seed and step times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cityops.simulator import lines, nogo, tempo
from cityops.simulator.roads import M_PER_DEGREE, Bools, Floats, Ints, Roads
from cityops.simulator.tempo import Kind

LONGEST_STEP = 2.0
"""Seconds; a longer time is walked in several steps."""
CATCH_UP = 60.0
"""Seconds of motion made up at most after a stall of the process."""
NOISE_M = 2.5
LONGEST_TRIP = 80_000.0
"""Metres between stops of a coach or a hazardous-freight vehicle: well under the driving-time limits."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What every vehicle's receiver says at one moment; arrays in order of vehicles."""

    ts: int
    lon: Floats
    lat: Floats
    speed: Floats
    heading: Floats
    odometer: Floats
    engine: Bools
    occupied: Bools
    alarm: NDArray[np.uint32]


class Fleet:
    """Vehicles in the order buses, taxis, coaches, hazardous freight."""

    def __init__(self, roads: Roads, counts: tuple[int, int, int, int], seed: int, now: int) -> None:
        self.roads = roads
        self.now = now
        self.rng = np.random.default_rng([seed, 2])
        self.kind = np.repeat(np.arange(4, dtype=np.int32), counts)
        size = len(self.kind)
        self.members = [np.flatnonzero(self.kind == k) for k in Kind]
        self.habit = self.rng.uniform(0.9, 1.07, size)
        self.rank = self.rng.permutation(size) / max(size, 1)
        self.edge = np.zeros(size, dtype=np.int32)
        self.offset = np.zeros(size)
        self.goal = np.zeros(size, dtype=np.int32)
        self.speed = np.zeros(size)
        self.pause = np.zeros(size)
        self.odometer = self.rng.uniform(2e7, 3e8, size)
        self.occupied = np.zeros(size, dtype=bool)
        self.parked = np.zeros(size, dtype=bool)
        self.forced = np.full(size, np.nan)
        """Speed, m/s, a fault holds a vehicle at; not a number where there is none."""
        self.alarm = np.zeros(size, dtype=np.uint32)
        self.shift = np.zeros((size, 2))
        """Degrees a fault moves a reported position by."""
        self.slow = 1.0
        """Factor of the moment on every speed: school runs and rain, beyond the hour's own."""
        self.jam = np.ones(len(roads.length))
        """Factor on speeds by edge: below 1 where a road is blocked."""
        self.after = np.full(size, -1, dtype=np.int32)
        """Node to go to after the goal without ending the trip; -1 for none."""
        self._instead = nogo.instead(roads)
        self.lines = lines.build(roads, counts[0], self.rng)
        self.line = np.zeros(size, dtype=np.int32)
        self.place = np.zeros(size, dtype=np.int32)
        self._noise = self.rng.normal(0.0, NOISE_M, (size, 2))
        self._deploy(tempo.hour_of_day(now))

    def _deploy(self, hour: float) -> None:
        """Put every vehicle somewhere in the middle of its day."""
        buses, taxis, coaches, hazmat = self.members
        self.line[buses] = np.arange(len(buses)) % len(self.lines.total)
        turn = np.arange(len(buses)) // len(self.lines.total)
        per_line = np.bincount(self.line[buses], minlength=len(self.lines.total))
        at = turn / per_line[self.line[buses]] * self.lines.total[self.line[buses]] if len(buses) else np.zeros(0)
        self.place[buses] = (self.lines.begin[self.line[buses]] <= at[:, None]).sum(axis=1) - 1
        self.edge[buses] = self.lines.edges[self.line[buses], self.place[buses]]
        self.offset[buses] = at - self.lines.begin[self.line[buses], self.place[buses]]
        for seat, members in zip(range(6), np.split(taxis, np.cumsum(lines.apportion(len(taxis)))[:-1]), strict=True):
            self._set_out(members, self.rng.choice(self.roads.seat_nodes(seat), len(members)))
        for group in (coaches, hazmat):
            start = self._seat_node(len(group))
            self._set_out(group, np.where(self.kind[group] == Kind.HAZMAT, self._instead[start], start))
            self._midway(group)
        self.occupied[taxis] = self.rng.random(len(taxis)) < 0.55
        resting = np.concatenate((coaches, hazmat))
        self.pause[resting] = np.where(self.rng.random(len(resting)) < 0.45, self.rng.uniform(60.0, 3000.0, len(resting)), 0.0)
        self.parked = ~self._wanted(hour)
        self.speed = np.where(self.parked | (self.pause > 0.0), 0.0, tempo.target(*self._where(), hour))

    def _where(self) -> tuple[Ints, Bools, Floats]:
        return self.kind, self.roads.trunk[self.edge], self.habit

    def _wanted(self, hour: float) -> Bools:
        shares = np.array([tempo.share(k, hour) for k in Kind])
        return np.asarray(self.rank < shares[self.kind])

    def _seat_node(self, count: int) -> Ints:
        weights = np.array([1.0, 0.8, 0.9, 0.9, 0.7, 0.7])
        seats = self.rng.choice(6, count, p=weights / weights.sum())
        return np.array([self.rng.choice(self.roads.seat_nodes(int(s))) for s in seats], dtype=np.int32)

    def _set_out(self, who: Ints, node: Ints) -> None:
        """Begin a new trip at a node: taxis mostly within their seat, coaches and hazardous freight to another."""
        goal = self._seat_node(len(who))
        near = (self.kind[who] == Kind.TAXI) & (self.rng.random(len(who)) < 0.94)
        for i in np.flatnonzero(near):
            goal[i] = self.rng.choice(self.roads.seat_nodes(int(self.roads.town[node[i]])))
        distant = self.roads.distance[node, goal] > LONGEST_TRIP
        goal[distant] = self.roads.seat_nodes(0)[0]
        hazmat = self.kind[who] == Kind.HAZMAT
        goal = np.where(hazmat, self._instead[goal], goal)
        goal = np.where(goal == node, self.roads.edge_to[self._any_edge(node)], goal)
        self.goal[who] = goal
        self.edge[who] = self.roads.next_edge[node, goal]
        self.offset[who] = 0.0

    def _any_edge(self, node: Ints) -> Ints:
        return np.array([self.roads.next_edge[n, n - 1 if n else 1] for n in node], dtype=np.int32)

    def _midway(self, who: Ints) -> None:
        """Move vehicles that just set out to a random place on their way."""
        for i in who:
            path = self.roads.path(int(self.roads.edge_from[self.edge[i]]), int(self.goal[i]))
            ends = np.cumsum(self.roads.length[path])
            at = self.rng.uniform(0.0, ends[-1] * 0.8)
            leg = int(np.searchsorted(ends, at, "right"))
            self.edge[i] = path[leg]
            self.offset[i] = at - (ends[leg - 1] if leg else 0.0)

    def step(self, now: int) -> None:
        """Advance to a time in microseconds UTC; an earlier one changes nothing."""
        gap = min((now - self.now) / 1e6, CATCH_UP)
        if gap <= 0.0:
            return
        count = int(np.ceil(gap / LONGEST_STEP))
        hour = tempo.hour_of_day(now)
        for _ in range(count):
            self._advance(gap / count, hour)
        self._noise = 0.9 * self._noise + self.rng.normal(0.0, NOISE_M * 0.436, self._noise.shape)
        self.now = now

    def _advance(self, dt: float, hour: float) -> None:
        held = np.isfinite(self.forced)
        wanted = self._wanted(hour)
        self.parked &= ~wanted
        self.parked &= ~held
        goal = tempo.target(*self._where(), hour) * self.slow * self.jam[self.edge]
        buses = self.members[Kind.BUS]
        goal[buses] = np.minimum(
            goal[buses] * self._spacing(buses), tempo.CEILING[0, self.roads.trunk[self.edge[buses]].astype(int)]
        )
        still = self.parked | (self.pause > 0.0)
        if tempo.rest_hours(hour):
            still[self.members[Kind.COACH]] = True
        goal[still] = 0.0
        goal = np.where(held, self.forced, goal)
        faster = np.where(held, 2.5, 1.2) * dt
        self.speed += np.clip(goal - self.speed, -3.0 * dt, faster)
        self.pause = np.maximum(self.pause - dt, 0.0)
        moved = self.speed * dt
        self._dwell(buses, moved[buses], held[buses])
        self.offset += moved
        self.odometer += moved
        for _ in range(8):
            over = np.flatnonzero(self.offset >= self.roads.length[self.edge])
            if not len(over):
                break
            self._turn(over, wanted, held)

    def _spacing(self, buses: Ints) -> Floats:
        """Give the factor by which drivers keep their distance to the bus ahead on the line."""
        line, total = self.line[buses], self.lines.total
        at = self.lines.begin[line, self.place[buses]] + self.offset[buses]
        live = ~self.parked[buses]
        order = np.lexsort((at, line))
        order = order[live[order]]
        factor = np.ones(len(buses))
        if len(order) < 2:
            return factor
        rows, where = line[order], at[order]
        new = np.concatenate(([True], rows[1:] != rows[:-1]))
        begins = np.flatnonzero(new)
        ahead = np.roll(where, -1)
        ends = np.concatenate((begins[1:], [len(rows)])) - 1
        ahead[ends] = where[begins] + total[rows[begins]]
        fair = total[rows] / np.repeat(ends - begins + 1, ends - begins + 1)
        factor[order] = np.clip(0.7 + 0.3 * (ahead - where) / fair, 0.75, 1.15)
        return factor

    def _dwell(self, buses: Ints, moved: Floats, held: Bools) -> None:
        at = self.lines.begin[self.line[buses], self.place[buses]] + self.offset[buses]
        spacing = self.lines.spacing[self.line[buses]]
        calls = (np.floor((at + moved) / spacing) > np.floor(at / spacing)) & ~held
        self.pause[buses[calls]] = self.rng.uniform(10.0, 28.0, int(calls.sum()))

    def _turn(self, over: Ints, wanted: Bools, held: Bools) -> None:
        """Take the next stretch: buses along their line, the others towards their goal or a new one."""
        self.offset[over] -= self.roads.length[self.edge[over]]
        bus = self.kind[over] == Kind.BUS
        who = over[bus]
        self.place[who] = (self.place[who] + 1) % self.lines.count[self.line[who]]
        self.edge[who] = self.lines.edges[self.line[who], self.place[who]]
        ended = who[self.place[who] == 0]
        self.pause[ended] = self.rng.uniform(40.0, 90.0, len(ended))
        self.parked[ended] = ~wanted[ended] & ~held[ended]
        rest = over[~bus]
        node = self.roads.edge_to[self.edge[rest]]
        there = self._is_there(rest, node)
        who, at = rest[~there], node[~there]
        before = self.roads.trunk[self.edge[who]]
        self.edge[who] = self.roads.next_edge[at, self.goal[who]]
        lights = ~before & ~self.roads.trunk[self.edge[who]] & (self.rng.random(len(who)) < 0.22)
        self.pause[who[lights]] = self.rng.uniform(4.0, 30.0, int(lights.sum()))
        if there.any():
            self._arrive(rest[there], node[there], wanted, held)

    def _is_there(self, who: Ints, node: Ints) -> Bools:
        """Tell who has reached the goal; one that only passes it heads on for the node behind it."""
        there = self.goal[who] == node
        passing = who[there & (self.after[who] >= 0) & (self.after[who] != node)]
        self.goal[passing] = self.after[passing]
        self.after[who[there]] = -1
        return np.asarray(self.goal[who] == node)

    def _arrive(self, who: Ints, node: Ints, wanted: Bools, held: Bools) -> None:
        kind = self.kind[who]
        left = self.offset[who]
        self._set_out(who, node)
        self.offset[who] = np.where(held[who], left, 0.0)
        low = np.array([0.0, 15.0, 2400.0, 1500.0])[kind]
        high = np.array([0.0, 60.0, 6000.0, 3000.0])[kind]
        self.pause[who] = self.rng.uniform(low, high)
        self.parked[who] = ~wanted[who] & ~held[who]
        taxi = who[kind == Kind.TAXI]
        self.occupied[taxi] = ~self.occupied[taxi]

    def detour(self, who: int) -> None:
        """Send an occupied taxi to its goal by way of the farthest corner of the town; one without a passenger takes one."""
        goal, near = int(self.goal[who]), self.roads.seat_nodes(int(self.roads.town[self.goal[who]]))
        self.occupied[who], self.parked[who], self.pause[who] = True, False, 0.0
        here = int(self.roads.edge_to[self.edge[who]])
        way = self.roads.distance[here, near] + self.roads.distance[near, goal] if len(near) else np.zeros(0)
        if len(near) and near[np.argmax(way)] not in (goal, here):
            self.after[who], self.goal[who] = goal, near[np.argmax(way)]

    def trespass(self, who: int) -> None:
        """Put a vehicle on the way into an area forbidden to it, a block away."""
        area = nogo.no_go(self.roads)[0]
        edge = next(e for e, n in enumerate(self.roads.edge_to) if n in area.nodes and self.roads.edge_from[e] not in area.nodes)
        self.edge[who], self.goal[who] = edge, self.roads.edge_to[edge]
        self.offset[who], self.pause[who], self.parked[who] = 0.0, 0.0, False

    def prefer_long_trip(self, who: int, place: int) -> None:
        """Send a vehicle on one of the longest roads, the longest being place 0: a speed fault needs room."""
        edge = int(np.argsort(np.where(self.roads.trunk, -self.roads.length, 0.0))[2 * place])
        self.edge[who] = edge
        self.offset[who] = 200.0
        self.goal[who] = self.roads.edge_to[edge]
        self.pause[who] = 0.0

    def snapshot(self) -> Snapshot:
        """Give what the receivers report now: metres of noise on positions, faults' shifts and alarms included."""
        lon, lat, heading = self.roads.locate(self.edge, self.offset)
        north = self._noise[:, 1] / M_PER_DEGREE
        east = self._noise[:, 0] / (M_PER_DEGREE * np.cos(np.radians(lat)))
        moving = self.speed > 0.3
        speed = np.where(moving, np.maximum(self.speed + self.rng.normal(0.0, 0.15, len(self.speed)), 0.0), 0.0)
        return Snapshot(
            ts=self.now // 1_000_000 * 1_000_000,
            lon=lon + east + self.shift[:, 0],
            lat=lat + north + self.shift[:, 1],
            speed=speed,
            heading=heading,
            odometer=self.odometer.copy(),
            engine=~self.parked,
            occupied=self.occupied.copy(),
            alarm=self.alarm.copy(),
        )
