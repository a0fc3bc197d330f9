"""Users, their sessions, and the audit; every change and its audit row are one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal

import argon2
import msgspec

from storage.connect import Connection, Pool

Role = Literal["viewer", "duty", "engineer", "admin"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "duty", "engineer", "admin")
"""Each role may do what those before it may."""

MAX_FAILURES: Final = 5
LOCK_US: Final = 15 * 60 * 1_000_000
"""How long a name is locked after MAX_FAILURES (GB/T 22239-2019 8.1.4.1 b)."""
IDLE_US: Final = 30 * 60 * 1_000_000
"""An unused session ends after this (GB/T 22239-2019 8.1.4.1 b)."""
MINUTE_US: Final = 60 * 1_000_000
DAY_US: Final = 86_400 * 1_000_000
AUDIT_LOCK: Final = 0x6369_7479_6F70_73
"""Advisory lock that gives the audit one writer at a time, so that its chain has no forks."""

_HASHER: Final = argon2.PasswordHasher()
_NOBODY: Final = _HASHER.hash(secrets.token_hex(16))
_THREADS: Final = ThreadPoolExecutor(2, thread_name_prefix="argon2")
"""Two hashes at a time: each takes 64 MiB, and a flood of log-ins must not take all memory."""


class Refused(Exception):  # noqa: N818 - an answer to the person, not an error of ours
    """An account change that the rules forbid; ``code`` says which."""

    def __init__(self, code: Literal["exists", "unknown_user", "last_admin"], detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, from which network address, and when (microseconds UTC)."""

    name: str
    address: str
    at: int


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One account; times are microseconds UTC."""

    name: str
    role: Role
    disabled: bool
    created_at: int
    changed_at: int
    locked_until: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is valid now."""

    name: str
    role: Role
    expires_at: int


async def _hash(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _HASHER.hash, password)


async def _matches(stored: str, password: str) -> bool:
    def verify() -> bool:
        try:
            return _HASHER.verify(stored, password)
        except argon2.exceptions.VerificationError:
            return False

    return await asyncio.get_running_loop().run_in_executor(_THREADS, verify)


async def ensure_admin(pool: Pool, now: int) -> str | None:
    """Create user ``admin`` if there is no user at all and give its random password, once; else give None."""
    if await pool.fetchval("select exists(select from users)"):
        return None
    password = secrets.token_urlsafe(12)
    hashed = await _hash(password)
    actor = Actor("system", "local", now)
    async with pool.acquire() as connection, connection.transaction():
        made = await connection.fetchval(
            "insert into users (name, password, role, created_at, changed_at) values ('admin', $1, 'admin', $2, $2) "
            "on conflict (name) do nothing returning name",
            hashed,
            now,
        )
        if made is None:
            return None
        await _record(connection, actor, "user.create", "admin", "ok")
    return password


async def signing_key(pool: Pool, now: int) -> bytes:
    """Give the key that signs session cookies, made at the first call and the same ever after."""
    await pool.execute(
        "insert into gateway_keys (name, key, created_at) values ('session', $1, $2) on conflict (name) do nothing",
        secrets.token_bytes(32),
        now,
    )
    return bytes(await pool.fetchval("select key from gateway_keys where name = 'session'"))


# --- logging in and out


async def log_in(
    pool: Pool, actor: Actor, password: str, session: bytes, hours: float
) -> Literal["ok", "wrong", "locked", "disabled"]:
    """Check a password and, if it is right, open ``session`` (its SHA-256) for ``hours``.

    Each attempt counts before its password is looked at, so that parallel guesses cannot exceed the limit;
    a name without an account takes as long and is locked the same way.
    """
    if not await _reserve(pool, actor):
        await record(pool, actor, "session.open", actor.name, "locked")
        return "locked"
    row = await pool.fetchrow("select password, disabled from users where name = $1", actor.name)
    right = await _matches(_NOBODY if row is None else row["password"], password)
    if row is None or not right or row["disabled"]:
        result: Literal["wrong", "disabled"] = "disabled" if row is not None and right else "wrong"
        await record(pool, actor, "session.open", actor.name, result)
        return result
    now = actor.at
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("delete from login_failures where name = $1", actor.name)
        await connection.execute("delete from sessions where expires_at < $1 or seen_at < $2", now, now - IDLE_US)
        await connection.execute(
            "insert into sessions (id, name, created_at, seen_at, expires_at, address) values ($1, $2, $3, $3, $4, $5)",
            session,
            actor.name,
            now,
            now + int(hours * 3_600_000_000),
            actor.address,
        )
        await _record(connection, actor, "session.open", actor.name, "ok")
    return "ok"


async def _reserve(pool: Pool, actor: Actor) -> bool:
    now = actor.at
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("delete from login_failures where last_at < $1", now - DAY_US)
        await connection.execute(
            "insert into login_failures (name, failures, last_at) values ($1, 0, $2) on conflict (name) do nothing",
            actor.name,
            now,
        )
        row = await connection.fetchrow(
            "select failures, last_at, locked_until from login_failures where name = $1 for update", actor.name
        )
        if row is None:  # another log-in succeeded between the two statements
            return True
        if row["locked_until"] is not None and row["locked_until"] > now:
            return False
        forgotten = row["locked_until"] is not None or row["last_at"] < now - LOCK_US
        failures = 1 if forgotten else row["failures"] + 1
        await connection.execute(
            "update login_failures set failures = $2, last_at = $3, locked_until = $4 where name = $1",
            actor.name,
            failures,
            now,
            now + LOCK_US if failures >= MAX_FAILURES else None,
        )
    return True


async def session(pool: Pool, session_id: bytes, now: int) -> Session | None:
    """Give a session that is neither idle too long, over, nor of a disabled user, and note its use."""
    row = await pool.fetchrow(
        "select s.name, u.role, s.expires_at, s.seen_at from sessions s join users u using (name) "
        "where s.id = $1 and s.expires_at > $2 and s.seen_at > $3 and not u.disabled",
        session_id,
        now,
        now - IDLE_US,
    )
    if row is None:
        return None
    if row["seen_at"] < now - MINUTE_US:
        await pool.execute("update sessions set seen_at = $2 where id = $1 and seen_at < $2", session_id, now)
    return Session(row["name"], row["role"], row["expires_at"])


async def log_out(pool: Pool, actor: Actor, session_id: bytes) -> None:
    """End a session."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("delete from sessions where id = $1", session_id)
        await _record(connection, actor, "session.close", actor.name, "ok")


# --- managing users


async def list_users(pool: Pool, now: int) -> list[User]:
    """Give all accounts by name."""
    rows = await pool.fetch(
        "select u.name, role, disabled, created_at, changed_at, "
        "case when f.locked_until > $1 then f.locked_until end as locked_until "
        "from users u left join login_failures f using (name) order by u.name",
        now,
    )
    return [
        User(
            name=r["name"],
            role=r["role"],
            disabled=r["disabled"],
            created_at=r["created_at"],
            changed_at=r["changed_at"],
            locked_until=r["locked_until"],
        )
        for r in rows
    ]


async def create_user(pool: Pool, actor: Actor, name: str, password: str, role: Role) -> None:
    """Make an account; a name in use raises ``Refused("exists")``."""
    hashed = await _hash(password)
    async with pool.acquire() as connection, connection.transaction():
        made = await connection.fetchval(
            "insert into users (name, password, role, created_at, changed_at) values ($1, $2, $3, $4, $4) "
            "on conflict (name) do nothing returning name",
            name,
            hashed,
            role,
            actor.at,
        )
        if made is not None:
            await _record(connection, actor, "user.create", f"{name} {role}", "ok")
    if made is None:
        await record(pool, actor, "user.create", f"{name} {role}", "exists")
        raise Refused("exists", name)


async def change_user(
    pool: Pool,
    actor: Actor,
    name: str,
    *,
    password: str | None = None,
    role: Role | None = None,
    disabled: bool | None = None,
    unlock: bool = False,
) -> None:
    """Change what is given; a new password or disabling ends the user's sessions.

    An unknown name raises ``Refused("unknown_user")``; taking away the last active admin ``Refused("last_admin")``.
    """
    given = {"password": password, "role": role, "disabled": disabled, "unlock": unlock or None}
    what = f"{name} " + ",".join(k if k == "password" else f"{k}={v}" for k, v in given.items() if v is not None)
    hashed = None if password is None else await _hash(password)
    try:
        async with pool.acquire() as connection, connection.transaction():
            await _change(connection, actor, name, hashed, role, disabled)
            if unlock or password is not None:
                await connection.execute("delete from login_failures where name = $1", name)
            if disabled or password is not None:
                await connection.execute("delete from sessions where name = $1", name)
            await _record(connection, actor, "user.change", what, "ok")
    except Refused as refused:
        await record(pool, actor, "user.change", what, refused.code)
        raise


async def _change(
    connection: Connection, actor: Actor, name: str, hashed: str | None, role: Role | None, disabled: bool | None
) -> None:
    # The table lock keeps two admins from demoting each other at the same moment.
    await connection.execute("lock table users in share row exclusive mode")
    changed = await connection.fetchval(
        "update users set password = coalesce($2, password), role = coalesce($3, role), "
        "disabled = coalesce($4, disabled), changed_at = $5 where name = $1 returning name",
        name,
        hashed,
        role,
        disabled,
        actor.at,
    )
    if changed is None:
        raise Refused("unknown_user", name)
    if not await connection.fetchval("select exists(select from users where role = 'admin' and not disabled)"):
        raise Refused("last_admin", name)


# --- the audit


async def record(pool: Pool, actor: Actor, action: str, what: str, result: str) -> None:
    """Add one row to the audit."""
    async with pool.acquire() as connection, connection.transaction():
        await _record(connection, actor, action, what, result)


async def _record(connection: Connection, actor: Actor, action: str, what: str, result: str) -> None:
    await connection.execute("select pg_advisory_xact_lock($1)", AUDIT_LOCK)
    last = await connection.fetchrow("select id, hash from audit order by id desc limit 1")
    number = 1 if last is None else last["id"] + 1
    row = (number, actor.at, actor.name, action, what, result, actor.address)
    await connection.execute(
        "insert into audit (id, at, actor, action, object, result, address, hash) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        number,
        actor.at,
        *row[2:],
        _link(b"" if last is None else last["hash"], row),
    )


def _link(before: bytes, row: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(before + msgspec.json.encode(row)).digest()


async def audit_rows(pool: Pool, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Give audit rows, newest first, below number ``before``; times are microseconds UTC."""
    rows = await pool.fetch(
        "select id, at, actor, action, object, result, address from audit "
        "where $1::bigint is null or id < $1 order by id desc limit $2",
        before,
        limit,
    )
    return [dict(r) for r in rows]


async def broken_audit_row(pool: Pool) -> int | None:
    """Give the number of the first audit row that was changed, moved or is missing; None when the chain holds."""
    before, expected = b"", 1
    async with pool.acquire() as connection, connection.transaction():
        async for r in connection.cursor("select * from audit order by id"):
            row = (r["id"], r["at"], r["actor"], r["action"], r["object"], r["result"], r["address"])
            if r["id"] != expected or bytes(r["hash"]) != _link(before, row):
                return expected
            before, expected = bytes(r["hash"]), expected + 1
    return None
