"""Pushes of a vendor's or a carrier's platform, read as the profile of the instance says."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from connectors._api import envelopes, manifest, profiles
from connectors._api.manifest import Settings
from connectors._api.paths import document
from connectors._api.session import Peer, Received, Reply
from schemas.errors import Fatal, Reject

HERE: Final = Path(__file__).resolve().parent

FIELDS: Final = 20
"""Most fields of a question's address."""


class Session:
    """Decodes pushes one by one, and answers the question by which OneNET finds out whether an address is ours."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        kinds = manifest.read(HERE / "connector.toml").kinds
        self._profile = profiles.load(str(settings["profile"]), settings["changes"], str(settings["kind"]), kinds)
        self._token = str(settings["onenet_token"])
        if self._token and self._profile.declared.envelope != "onenet":
            msg = "http_json: onenet_token checks pushes of OneNET only, and this profile is of another sender: set token instead"
            raise Fatal(msg)

    def start(self, now: int) -> Received:
        """Give nothing: platforms push."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no push waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a push that came as ``METHOD /path?query``; the path is what a profile calls the topic."""
        method, _, address = origin.rpartition(" ")
        try:
            parts = urlsplit(address)
            query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=FIELDS) if method == "GET" else None
        except ValueError as error:
            raise Reject("bad_frame", f"the address cannot be read: {error}") from error
        if query is not None:
            return self._verified(query)
        if self._token:
            envelopes.check_onenet(packet, self._token)
        return self._profile.decode(document(packet), parts.path.strip("/"), seen_at)

    def _verified(self, query: dict[str, list[str]]) -> Received:
        """Give back ``msg``, as OneNET wants it; with a token set here, only to one that knows it."""
        msg, nonce, signature = (query.get(key, [""])[0] for key in ("msg", "nonce", "signature"))
        if not msg:
            raise Reject("bad_frame", "a GET without msg is no question of OneNET; push with POST")
        if self._token and not envelopes.is_signed(self._token, nonce, msg.encode(), signature):
            raise Reject("unauthenticated", "onenet: signature is not that of the token set here")
        message = {"name": "verification", "msg": msg, "nonce": nonce, "signature": signature}
        return Received(message=message, replies=(Reply(msg.encode(), "now"),))
