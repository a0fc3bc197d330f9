"""A dust station against the real HJ 212 session, on a fake clock."""

from __future__ import annotations

from cityops.simulator import identity
from cityops.simulator.dust import Site
from cityops.simulator.station import RECOUNT, Station
from connectors._api import Peer
from connectors._api.registry import load
from schemas.errors import Reject
from schemas.kinds.environment import DustStation, EnvFactor
from schemas.reading import Reading

SECOND = 1_000_000
HOUR_US = 3600 * SECOND
START = 1_780_243_200 * SECOND
SITE = Site(112.85, 35.5, 140502, "工地", "site")
MN = identity.mn(140502, 1)


class Platform:
    """The connector's own framing and session."""

    def __init__(self) -> None:
        connector = load("hj212")
        settings = connector.manifest.resolve({"devices": identity.hj212_devices((SITE,))}, "test")
        assert connector.make_framing is not None
        self._framing = connector.make_framing(settings)
        self._session = connector.make_session(settings, Peer("hj212", "127.0.0.1"))
        self.readings: list[Reading] = []

    def take(self, chunk: bytes, now: int) -> bytes:
        out = b""
        for packet in self._framing.feed(chunk):
            assert isinstance(packet, bytes), packet
            received = self._session.receive(packet, now)
            assert not received.rejects, received.rejects
            self.readings += received.readings
            out += b"".join(r.data for r in received.replies)
        return out


def station() -> Station:
    values = {"a34002": 81.5, "a34004": 33.2, "LA": 61.0, "a01006": 93.2}
    return Station(MN, lambda: dict(values), lambda: (START - HOUR_US, 286.0, 90.0), START + 2 * SECOND)


def test_hour_and_moment_arrive_with_the_place_of_the_station() -> None:
    device, platform = station(), Platform()
    device.opened(START)
    for second in range(1, 64):
        now = START + second * SECOND
        device.received(platform.take(device.tick(now), now), now)
    assert device.sent == device.acked == 4
    assert device.waiting == 0
    dust = [r for r in platform.readings if isinstance(r, DustStation)]
    assert [(r.period, r.pm10) for r in dust] == [(3600, 286.0), (0, 81.5), (0, 81.5), (0, 81.5)]
    assert dust[0].ts == START - HOUR_US
    assert (dust[1].lon, dust[1].lat, dust[1].source) == (SITE.lon, SITE.lat, MN)


def test_an_unanswered_upload_is_sent_again_then_the_line_is_given_up_and_it_goes_out_on_the_next() -> None:
    device, platform = station(), Platform()
    device.opened(START)
    frames = [device.tick(START + second * SECOND) for second in range(1, 60)]
    assert frames[1] in frames[11]
    assert sum(frames[1] in f for f in frames if f) == RECOUNT + 1
    assert not device.wants_link(START)
    device.closed(START)
    assert device.wants_link(START)
    now = START + 100 * SECOND
    device.received(platform.take(device.opened(now), now), now)
    assert device.waiting == 0
    assert device.sent == device.acked


def test_a_spoiled_frame_is_refused_and_the_repetition_taken() -> None:
    device = station()
    device.garbles = True
    device.opened(START)
    connector = load("hj212")
    assert connector.make_framing is not None
    framing = connector.make_framing(connector.manifest.resolve({}, "test"))
    refused = framing.feed(device.tick(START + 2 * SECOND))
    assert [r.reason for r in refused if isinstance(r, Reject)] == ["bad_checksum", "bad_checksum"]
    now = START + 13 * SECOND
    device.received(Platform().take(device.tick(now), now), now)
    assert device.waiting == 0


def test_a_river_station_reports_its_factors_under_their_codes() -> None:
    device, platform = Station("140500210000000000000001", lambda: {"w01001": 7.9, "w21003": 0.3}, None, START, "21"), Platform()
    device.opened(START)
    device.received(platform.take(device.tick(START + SECOND), START + SECOND), START + SECOND)
    factors = {r.factor: (r.system, r.value) for r in platform.readings if isinstance(r, EnvFactor)}
    assert factors == {"w01001": ("21", 7.9), "w21003": ("21", 0.3)}
    assert device.acked == 1


def test_a_silent_station_says_nothing_and_a_stopping_one_nothing_new() -> None:
    device = station()
    device.opened(START)
    device.silent = True
    assert device.tick(START + 40 * SECOND) == b""
    assert not device.wants_link(START)
    device.silent, device.stopping = False, True
    assert device.tick(START + 80 * SECOND) == b""
    assert device.waiting == 0
