"""Who is asking: signed session cookies, backed by sessions in the database, looked up at most every 15 seconds."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import itsdangerous

from schemas.errors import Retry
from storage import accounts
from storage.accounts import ROLES, Actor, Role
from storage.connect import Pool, passing_faults

COOKIE: Final = "cityops_session"
FRESH_US: Final = 15 * 1_000_000
"""For this long a session is not looked up again: a changed role or lock takes effect within it."""
STALE_US: Final = 60 * 1_000_000
"""For this long a known session is believed while the database does not answer."""
KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose request it is; ``session`` is the SHA-256 of the session's token."""

    name: str
    role: Role
    session: bytes
    expires_at: int

    def may(self, role: Role) -> bool:
        """Say whether this person's role includes another."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def coarse(self) -> bool:
        """Whether plates are masked and positions of vehicles coarse for this person."""
        return not self.may("duty")


class Sessions:
    """Opens, checks and ends sessions."""

    def __init__(self, pool: Pool, key: bytes, clock: Callable[[], int], hours: float) -> None:
        self._pool = pool
        self._signer = itsdangerous.Signer(key, salt="cityops-session", key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock
        self.hours = hours
        self._known: OrderedDict[bytes, tuple[int, Identity]] = OrderedDict()

    async def log_in(self, actor: Actor, password: str) -> tuple[str, str | None]:
        """Check a password; give the outcome and, when it is ``ok``, the cookie's value."""
        token = secrets.token_urlsafe(32)
        with passing_faults():
            outcome = await accounts.log_in(self._pool, actor, password, _digest(token.encode()), self.hours)
        return outcome, self._signer.sign(token).decode() if outcome == "ok" else None

    async def identify(self, cookie: str | None) -> Identity | None:
        """Give whose cookie it is, or None when it is forged, over, or its user disabled.

        A database that does not answer raises ``Retry`` once the last look-up is a minute old.
        """
        token = self._token(cookie)
        if token is None:
            return None
        session, now = _digest(token), self._clock()
        looked_at, known = self._known.get(session, (-STALE_US, None))
        if known is not None and known.expires_at > now and now - looked_at < FRESH_US:
            return known
        try:
            with passing_faults():
                found = await accounts.session(self._pool, session, now)
        except Retry:
            if known is not None and known.expires_at > now and now - looked_at < STALE_US:
                return known
            raise
        if found is None:
            self._known.pop(session, None)
            return None
        identity = Identity(found.name, found.role, session, found.expires_at)
        self._known[session] = (now, identity)
        self._known.move_to_end(session)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return identity

    async def log_out(self, identity: Identity, actor: Actor) -> None:
        """End a session."""
        self._known.pop(identity.session, None)
        with passing_faults():
            await accounts.log_out(self._pool, actor, identity.session)

    def forget(self, name: str) -> None:
        """Look a user's sessions up again at their next use."""
        self._known = OrderedDict((k, v) for k, v in self._known.items() if v[1].name != name)

    def _token(self, cookie: str | None) -> bytes | None:
        if not cookie or len(cookie) > 256:
            return None
        try:
            token: bytes = self._signer.unsign(cookie.encode("utf-8", "surrogatepass"))
        except itsdangerous.BadSignature:
            return None
        return token


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
