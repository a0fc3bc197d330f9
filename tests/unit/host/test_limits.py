"""Gates count and look at networks, allowances refuse what comes too fast, and acts keep their order."""

from __future__ import annotations

import pytest

from connectors._host.builder import Delivery
from connectors._host.limits import Allowance, Gate, InOrder, Tls
from connectors._host.options import TcpOptions
from schemas.errors import Fatal


@pytest.mark.parametrize(
    ("allow", "ip", "expected"),
    [
        ([], "203.0.113.9", True),
        (["10.0.0.0/8"], "10.9.8.7", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.9.8.7", True),
        (["10.0.0.1/8", "fe80::/10"], "fe80::1%eth0", True),
        (["10.0.0.0/8"], "", False),
    ],
)
def test_gate_lets_in_its_networks(allow: list[str], ip: str, expected: bool) -> None:
    assert Gate(allow).allows(ip) is expected
    assert Gate(allow).enter(ip) is expected


def test_gate_counts_in_all_and_by_address() -> None:
    gate = Gate([], max_connections=3, max_per_ip=2)
    assert [gate.enter(ip) for ip in "aaab"] == [True, True, False, True]
    assert not gate.enter("c")
    gate.leave("a")
    assert gate.count == 2
    assert [gate.enter(ip) for ip in "bc"] == [True, False]


def test_grant_refuses_what_is_too_fast_and_forgives_with_time() -> None:
    allowance = Allowance(TcpOptions(bytes_per_s=1000, packets_per_s=2), 0.0)
    assert [allowance.grant(10, 0.0) for _ in range(3)] == [True, True, False]
    assert allowance.grant(10, 0.5)
    assert not allowance.grant(10, 0.5)
    large = Allowance(TcpOptions(bytes_per_s=1000, packets_per_s=0), 0.0)
    assert large.grant(5000, 0.0)
    assert not large.grant(1, 3.9)
    assert large.grant(1, 4.1)


def test_acts_keep_their_order_whatever_is_safe_first() -> None:
    done: list[str] = []
    first, second, order = Delivery(), Delivery(), InOrder()
    first.hold()
    second.hold()
    order.put(lambda: done.append("first"), first)
    order.put(lambda: done.append("second"), second)
    order.put(lambda: done.append("third"))
    for delivery in (first, second):
        delivery.seal()
    second.release()
    assert done == []
    assert len(order) == 3
    first.release()
    assert done == ["first", "second", "third"]


def test_acts_that_were_forgotten_are_not_done_later() -> None:
    done: list[str] = []
    delivery, order = Delivery(), InOrder()
    order.put(lambda: done.append("late"), delivery)
    order.clear()
    delivery.seal()
    assert done == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (TcpOptions(tls_cert="/no/cert", tls_key="/no/key"), "/no/cert"),
        (TcpOptions(tls_ca="/no/ca"), "tls_cert"),
    ],
)
def test_listening_without_usable_files_names_them(options: TcpOptions, named: str) -> None:
    with pytest.raises(Fatal, match=named):
        _ = Tls(options).listening


def test_dialling_without_usable_files_names_them() -> None:
    with pytest.raises(Fatal, match="tls_ca '/no/ca'"):
        _ = Tls(TcpOptions(tls_ca="/no/ca")).dialling
    assert Tls(TcpOptions(tls_cert="/no/cert")).dialling is None


def test_allowance_lets_a_second_through_at_once_and_then_slows() -> None:
    allowance = Allowance(TcpOptions(bytes_per_s=1000, packets_per_s=10), 0.0)
    assert allowance.spend(1000, 1, 0.0) == 0.0
    assert allowance.spend(500, 1, 0.0) == 0.5
    assert allowance.spend(0, 0, 0.5) == 0.0
    assert allowance.spend(0, 15, 100.0) == 0.5
    unlimited = Allowance(TcpOptions(bytes_per_s=0, packets_per_s=0), 0.0)
    assert unlimited.spend(10**9, 10**9, 0.0) == 0.0
