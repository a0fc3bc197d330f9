"""A person's action on an alert, the same over HTTP and websocket: checked, sent, answered, audited."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from starlette.requests import HTTPConnection

from gateway.parts import actor, parts_of
from gateway.problems import Problem
from gateway.reads import find_alert
from gateway.sessions import Identity
from schemas.events import AlertCommand
from schemas.messages import Command, Result
from storage import accounts
from storage.connect import passing_faults

CMD_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}\Z")
MAX_NOTE: Final = 2000
MAX_CAUSE: Final = 64


async def perform(connection: HTTPConnection, identity: Identity, wanted: Command) -> Result:
    """Carry out a command; a wrong role, unknown alert or unusable text raises ``Problem``, absent parts ``Retry``.

    An action that cannot be audited is not carried out: the database is asked before anything is sent.
    """
    if not identity.may("duty"):
        raise Problem("forbidden", "duty")
    _check(wanted)
    parts = parts_of(connection)
    who = actor(connection, identity.name)
    command = AlertCommand(
        cmd_id=wanted.cmd_id,
        alert_id=wanted.alert_id,
        source="",
        action=wanted.action,
        actor=identity.name,
        at=who.at,
        expected_version=wanted.expected_version,
        note=wanted.note,
        cause=wanted.cause,
        device=who.address,
    )
    with passing_faults():
        earlier = await parts.commander.earlier(command)
        if earlier is not None:
            return earlier
        alert = parts.hub.book.open.get(wanted.alert_id) or await find_alert(parts.pool, wanted.alert_id)
    if alert is None:
        raise Problem("not_found", f"alert {wanted.alert_id}")
    result = await parts.commander.act(msgspec.structs.replace(command, source=alert.source))
    with passing_faults():
        await accounts.record(parts.pool, who, f"alert.{wanted.action}", wanted.alert_id, result.outcome)
    return result


def _check(wanted: Command) -> None:
    if not CMD_ID.match(wanted.cmd_id):
        raise Problem("bad_request", "cmd_id is a UUID or another name of at most 64 letters, digits and _.:-")
    for name, text, limit in (
        ("note", wanted.note, MAX_NOTE),
        ("cause", wanted.cause, MAX_CAUSE),
        ("alert_id", wanted.alert_id, 64),
    ):
        if text is not None and (len(text) > limit or "\0" in text or not _is_text(text)):
            raise Problem("bad_request", f"{name} is text of at most {limit} characters")
    if not 0 <= wanted.expected_version < 2**31:
        raise Problem("bad_request", "expected_version is the alert's version as you saw it")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
