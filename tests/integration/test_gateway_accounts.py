"""Accounts, sessions, roles and the audit, over HTTP on a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.policy import needs
from gateway.sessions import COOKIE
from storage import accounts
from storage.accounts import ROLES, Actor
from tests.integration.people import FAR, LOCAL, MINUTE, PASSWORD, City, running, save
from tests.unit.gateway.city import NOW, SECOND, alert
from tests.unit.gateway.test_gateway_doors import address


@pytest.fixture
async def city(database: str, tmp_path: Path) -> AsyncIterator[City]:
    async with running(database, tmp_path) as found:
        yield found


async def test_the_first_admin_gets_a_password_once(city: City) -> None:
    password = await accounts.ensure_admin(city.pool, NOW)
    assert password is not None
    assert len(password) >= 16
    assert await accounts.ensure_admin(city.pool, NOW) is None
    async with city.browser() as client:
        answer = await client.post("/api/login", json={"user": "admin", "password": password})
    assert answer.json()["may"] == list(ROLES)
    stored = await city.pool.fetchval("SELECT password FROM users")
    assert stored.startswith("$argon2id$")
    assert password not in stored


async def test_the_signing_key_stays_the_same(city: City) -> None:
    first = await accounts.signing_key(city.pool, NOW)
    assert await accounts.signing_key(city.pool, NOW + 1) == first
    assert len(first) == 32


# --- sessions


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(city: City) -> None:
    await (await city.person("li", "duty")).aclose()
    for scheme in ("http", "https"):
        async with city.browser(scheme=scheme) as client:
            answer = await client.post("/api/login", json={"user": "li", "password": PASSWORD})
            flags = answer.headers["set-cookie"].lower()
            assert "httponly" in flags
            assert "samesite=strict" in flags
            assert "path=/" in flags
            assert ("secure" in flags) == (scheme == "https")
            assert ("strict-transport-security" in answer.headers) == (scheme == "https")
            assert (await client.get("/api/me")).json()["user"] == "li"
            token = client.cookies[COOKIE]
            assert not await city.pool.fetchval("SELECT EXISTS(SELECT FROM sessions WHERE id = $1)", token.encode())


async def test_logging_out_ends_the_session_also_for_a_copy_of_the_cookie(city: City) -> None:
    client = await city.person("li", "duty")
    copy = client.cookies[COOKIE]
    assert (await client.post("/api/logout")).status_code == 204
    async with city.browser() as thief:
        assert (await thief.get("/api/me", headers={"cookie": f"{COOKIE}={copy}"})).status_code == 401


async def test_an_idle_session_ends_and_a_used_one_ends_after_its_hours(city: City) -> None:
    client = await city.person("li", "duty")
    city.clock.pass_s(31 * MINUTE)
    assert (await client.get("/api/me")).status_code == 401
    await client.post("/api/login", json={"user": "li", "password": PASSWORD})
    for _ in range(24):
        city.clock.pass_s(29 * MINUTE)
        assert (await client.get("/api/me")).status_code == 200
    city.clock.pass_s(25 * MINUTE)
    assert (await client.get("/api/me")).status_code == 401


async def test_five_failures_lock_the_name_whether_it_exists_or_not(city: City) -> None:
    await (await city.person("li", "duty")).aclose()
    async with city.browser() as client:
        for name in ("li", "nobody"):
            wrong = [await client.post("/api/login", json={"user": name, "password": "wrong"}) for _ in range(5)]
            assert {(a.status_code, a.json()["code"]) for a in wrong} == {(401, "wrong_password")}
            right = await client.post("/api/login", json={"user": name, "password": PASSWORD})
            assert (right.status_code, right.json()["code"]) == (429, "locked")
        city.clock.pass_s(15 * MINUTE + 1)
        assert (await client.post("/api/login", json={"user": "li", "password": PASSWORD})).status_code == 200
    results = [r["result"] for r in await city.audits() if r["action"] == "session.open" and r["actor"] == "li"]
    assert results == ["ok", "locked", *["wrong"] * 5, "ok"]


async def test_parallel_guesses_do_not_get_more_than_five(city: City) -> None:
    await (await city.person("li", "duty")).aclose()
    async with city.browser() as client:
        guesses = [client.post("/api/login", json={"user": "li", "password": f"guess{i}"}) for i in range(12)]
        codes = sorted(a.json()["code"] for a in await asyncio.gather(*guesses))
    assert codes == ["locked"] * 7 + ["wrong_password"] * 5


async def test_a_success_forgets_the_failures_before(city: City) -> None:
    client = await city.person("li", "duty")
    for _ in range(3):
        for _ in range(4):
            await client.post("/api/login", json={"user": "li", "password": "wrong"})
        assert (await client.post("/api/login", json={"user": "li", "password": PASSWORD})).status_code == 200
        city.clock.pass_s(61)


async def test_one_address_may_not_try_for_ever(city: City) -> None:
    async with city.browser() as client:
        codes = [(await client.post("/api/login", json={"user": f"u{i}", "password": "x"})).json()["code"] for i in range(31)]
    assert codes.count("too_many_requests") == 1
    async with city.browser("198.51.100.7") as other:
        assert (await other.post("/api/login", json={"user": "u", "password": "x"})).json()["code"] == "wrong_password"


# --- roles


async def test_every_role_may_do_exactly_what_each_route_declares(city: City) -> None:
    routes = sorted(needs(city.app).items(), key=lambda route: route[0][1] == "/api/logout")
    for role in ROLES:
        client = await city.person(f"p-{role}", role)
        for (method, path), need in routes:
            if method == "WEBSOCKET":
                continue
            answer = await client.request(method, address(path), json={} if method in ("POST", "PATCH") else None)
            least = "engineer" if need == "loopback or engineer" else need
            allowed = need == "public" or ROLES.index(role) >= ROLES.index(least)
            assert (answer.status_code != 403) == allowed, f"{role} {method} {path}: {answer.status_code}"
            assert answer.status_code < 500, f"{role} {method} {path}: {answer.text}"
            if not allowed:
                assert answer.json()["detail"].endswith(str(least))


async def test_a_changed_role_or_lock_takes_effect_within_a_minute(city: City) -> None:
    admin = await city.person("root", "admin")
    client = await city.person("li", "admin")
    assert (await client.get("/api/users")).status_code == 200
    assert (await admin.patch("/api/users/li", json={"role": "viewer"})).status_code == 204
    city.clock.pass_s(60)
    assert (await client.get("/api/users")).status_code == 403
    assert (await client.get("/api/me")).json()["role"] == "viewer"
    await admin.patch("/api/users/li", json={"disabled": True})
    city.clock.pass_s(60)
    assert (await client.get("/api/me")).status_code == 401
    refused = await client.post("/api/login", json={"user": "li", "password": PASSWORD})
    assert refused.json()["code"] == "wrong_password"


async def test_a_change_made_elsewhere_is_seen_within_a_minute_too(city: City) -> None:
    await (await city.person("root", "admin")).aclose()
    client = await city.person("li", "duty")
    await accounts.change_user(city.pool, Actor("root", LOCAL, NOW), "li", role="viewer")
    assert (await client.get("/api/me")).json()["role"] == "duty", "looked up within the last 15 seconds"
    city.clock.pass_s(60)
    assert (await client.get("/api/me")).json()["role"] == "viewer"


async def test_managing_accounts(city: City) -> None:
    admin = await city.person("root", "admin")
    new = {"name": "王芳", "password": "long-enough-1", "role": "duty"}
    assert (await admin.post("/api/users", json=new)).status_code == 201
    assert (await admin.post("/api/users", json=new)).json()["code"] == "exists"
    assert (await admin.post("/api/users", json={**new, "name": "x", "password": "short"})).status_code == 400
    assert (await admin.post("/api/users", json={**new, "name": "x", "role": "king"})).status_code == 400
    assert (await admin.patch("/api/users/nobody", json={"role": "duty"})).status_code == 404
    for change in ({"role": "viewer"}, {"disabled": True}):
        assert (await admin.patch("/api/users/root", json=change)).json()["code"] == "last_admin"
    users = {u["name"]: u for u in (await admin.get("/api/users")).json()}
    assert set(users) == {"root", "王芳"}
    assert "password" not in json.dumps(list(users.values()))
    async with city.browser() as client:
        for _ in range(6):
            await client.post("/api/login", json={"user": "王芳", "password": "wrong"})
        assert (await admin.get("/api/users")).json()[1]["locked_until"] == NOW + 15 * MINUTE * SECOND
        await admin.patch("/api/users/王芳", json={"unlock": True})
        assert (await client.post("/api/login", json={"user": "王芳", "password": "long-enough-1"})).status_code == 200
        await admin.patch("/api/users/王芳", json={"password": "another-one-2"})
        assert (await client.get("/api/me")).status_code == 401
        assert (await client.post("/api/login", json={"user": "王芳", "password": "another-one-2"})).status_code == 200


async def test_two_admins_cannot_demote_each_other(city: City) -> None:
    one, other = await city.person("a1", "admin"), await city.person("a2", "admin")
    answers = await asyncio.gather(
        one.patch("/api/users/a2", json={"role": "viewer"}), other.patch("/api/users/a1", json={"role": "viewer"})
    )
    assert sorted(a.status_code for a in answers) == [204, 409]
    assert await city.pool.fetchval("SELECT count(*) FROM users WHERE role = 'admin'") == 1


# --- the audit


EXAMPLES: dict[tuple[str, str], tuple[str, dict[str, Any] | None, str, str]] = {
    ("POST", "/api/login"): ("/api/login", {"user": "root", "password": PASSWORD}, "session.open", "ok"),
    ("POST", "/api/users"): ("/api/users", {"name": "n", "password": "long-enough-1", "role": "duty"}, "user.create", "ok"),
    ("PATCH", "/api/users/{name}"): ("/api/users/n", {"role": "viewer"}, "user.change", "ok"),
    ("POST", "/api/alerts/{alert_id}/commands"): (
        "/api/alerts/a1/commands",
        {"cmd_id": "c1", "action": "acknowledge", "expected_version": 1},
        "alert.acknowledge",
        "ok",
    ),
    ("POST", "/api/logout"): ("/api/logout", None, "session.close", "ok"),
}


async def test_every_change_writes_exactly_one_audit_row(city: City) -> None:
    changing = {key for key in needs(city.app) if key[0] in ("POST", "PUT", "PATCH", "DELETE")}
    assert set(EXAMPLES) == changing, "give every route that changes something an example"
    admin = await city.person("root", "admin")
    await save(city, alert())
    for (method, _), (path, body, action, result) in EXAMPLES.items():
        before = await city.audits()
        answer = await admin.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        after = await city.audits()
        assert len(after) == len(before) + 1, path
        row = after[0]
        assert (row["actor"], row["action"], row["result"], row["address"]) == ("root", action, result, FAR)
        assert row["at"] == city.clock.now
        assert row["object"]
    assert await accounts.broken_audit_row(city.pool) is None


async def test_refused_changes_are_audited_too(city: City) -> None:
    admin = await city.person("root", "admin")
    await admin.patch("/api/users/nobody", json={"role": "duty"})
    await admin.patch("/api/users/root", json={"disabled": True})
    rows = await city.audits()
    assert [(r["action"], r["object"], r["result"]) for r in rows[:2]] == [
        ("user.change", "root disabled=True", "last_admin"),
        ("user.change", "nobody role=duty", "unknown_user"),
    ]
    assert "password" not in json.dumps([r for r in rows if PASSWORD in json.dumps(r)])


async def test_the_audit_cannot_be_changed_and_tampering_shows(city: City) -> None:
    admin = await city.person("root", "admin")
    for i in range(5):
        await accounts.record(city.pool, Actor("root", LOCAL, NOW + i), "x.y", f"o{i}", "ok")
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(Exception, match="append-only"):
            await city.pool.execute(statement)
    assert (await admin.get("/api/audit/verdict")).json() == {"intact": True, "broken": None}
    for tamper, broken in (
        ("UPDATE audit SET result = 'ok?' WHERE id = 4", 4),
        ("DELETE FROM audit WHERE id = 3", 3),
        ("DELETE FROM audit WHERE id < 3", 1),
    ):
        await city.pool.execute("ALTER TABLE audit DISABLE TRIGGER USER")
        await city.pool.execute(tamper)
        assert (await admin.get("/api/audit/verdict")).json() == {"intact": False, "broken": broken}
    page = (await admin.get("/api/audit", params={"limit": 2})).json()["audit"]
    rest = (await admin.get("/api/audit", params={"limit": 2, "before": page[-1]["id"]})).json()["audit"]
    assert [r["id"] for r in page + rest] == [7, 6, 5, 4]


async def test_parallel_audit_rows_make_one_chain(city: City) -> None:
    await asyncio.gather(*(accounts.record(city.pool, Actor("a", LOCAL, NOW), "x", str(i), "ok") for i in range(20)))
    assert [r["id"] for r in await city.audits()] == list(range(20, 0, -1))
    assert await accounts.broken_audit_row(city.pool) is None
