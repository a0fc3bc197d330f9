"""The shell around asyncua: subscribes to the points of an instance and hands on what changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from connectors._api import Settings
from connectors.opcua import encoder, points, status
from schemas.errors import Fatal

if TYPE_CHECKING:
    from asyncua import ua
    from asyncua.client.client import Client
    from asyncua.common.subscription import Subscription

MOST: Final = 1000
"""Changes handed on as one packet."""
GATHER_S: Final = 0.02
"""A change that comes this soon after the one before goes into the same packet."""
LOOK_S: Final = 1.0
"""How often it is looked whether the connection still stands when nothing comes."""
LONGEST_PAUSE_S: Final = 5.0
"""Pause between attempts to resume a lost session, at most."""
ALIVE_S: Final = 10.0
"""How often a server is asked to say at least that it is there."""
LIFETIME: Final = 10_000
"""Publishing intervals that a server keeps a subscription of a silent client; also the most changes it publishes at once."""
WAITING: Final = 100_000
"""Changes that wait for us; beyond these the oldest are lost."""
EPOCH_YEAR: Final = 1970
"""OPC UA writes an absent time as the year 1601."""


async def packets(settings: Settings, clock: Callable[[], int]) -> AsyncIterator[tuple[bytes, str]]:
    """Give the changes of all points, for ever; raises where the server cannot be reached.

    A connection that breaks is taken up again with the server's queue republished; meanwhile every point is told
    as ``BadNoCommunication``. After ``reconnect_s`` the attempt is given up with ``ConnectionError``.
    """
    url, nodes = settings["url"], list(points.table(settings, "opcua"))
    if not nodes:
        msg = "opcua: no points; give the setting 'points' or 'points_file', for every node costs the server work"
        raise Fatal(msg)
    async with connected(settings) as client:
        subscription, names, refused = await subscribed(client, settings, nodes)
        if refused:
            yield encoder.packet([encoder.change(node, None, clock(), status=code) for node, code in refused.items()]), url
        lost_at: int | None = None
        while True:
            changes = await gathered(subscription, names)
            if changes:
                yield encoder.packet(changes), url
            lost_at, told = _lost(client, lost_at, clock()), lost_at is not None
            if lost_at is not None and not told:
                code = status.CODES["BadNoCommunication"]
                yield encoder.packet([encoder.change(node, None, lost_at, status=code) for node in nodes]), url
            if lost_at is not None and clock() - lost_at > settings["reconnect_s"] * 1_000_000:
                msg = f"{url}: no connection for {settings['reconnect_s']:g} s"
                raise ConnectionError(msg)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Client]:
    """Connect as the settings say; what is wrong with them is ``Fatal``, a server that is away ``ConnectionError``."""
    library = _library()
    client = library.Client(
        settings["url"], timeout=settings["timeout_s"], auto_reconnect=True, reconnect_max_delay=LONGEST_PAUSE_S
    )
    client.application_uri = settings["application_uri"]
    client.name = "cityops"
    if settings["username"]:
        client.set_user(settings["username"])
        client.set_password(settings["password"])
    try:
        await _secure(client, settings)
        await client.connect()
    except library.ua.UaError as error:
        msg = f"{settings['url']}: the server refuses: {error or type(error).__name__}"
        raise ConnectionError(msg) from error
    try:
        yield client
    finally:
        await client.disconnect()


async def _secure(client: Client, settings: Settings) -> None:
    """Set security policy, certificate and key of the connection; files that cannot be used are ``Fatal``."""
    policy = settings["security_policy"]
    if policy == "None":
        return
    from asyncua import ua
    from asyncua.crypto import security_policies

    for key in ("certificate", "private_key"):
        if not settings[key]:
            msg = f"opcua: security policy {policy} needs the setting {key!r}: a .pem or .der file"
            raise Fatal(msg)
    try:
        await client.set_security(
            getattr(security_policies, f"SecurityPolicy{policy}"),
            settings["certificate"],
            settings["private_key"],
            settings["private_key_password"] or None,
            settings["server_certificate"] or None,
            getattr(ua.MessageSecurityMode, settings["security_mode"]),
        )
    except (FileNotFoundError, PermissionError, ValueError, TypeError) as error:
        msg = f"opcua: certificate or key cannot be used: {error}"
        raise Fatal(msg) from error


async def subscribed(
    client: Client, settings: Settings, nodes: list[str]
) -> tuple[Subscription, Mapping[Any, str], dict[str, int]]:
    """Subscribe to the nodes; gives the subscription, our names of its nodes, and the status of those refused."""
    spaces = await client.get_namespace_array()
    named = {_node_id(node, spaces): node for node in nodes}
    if len(named) < len(nodes):
        msg = "opcua: two points name one node; give each node once"
        raise Fatal(msg)
    subscription = await client.create_subscription(_parameters(settings["publishing_ms"]), queue_maxsize=WAITING)
    handles = await subscription.subscribe_data_change(
        [client.get_node(node_id) for node_id in named],
        queuesize=max(settings["queue_size"], 2),
        sampling_interval=settings["sampling_ms"],
    )
    refused = {node: int(handle.value) for node, handle in zip(nodes, handles, strict=True) if not isinstance(handle, int)}
    return subscription, named, refused


def _parameters(publishing_ms: float) -> ua.CreateSubscriptionParameters:
    """Ask for a sign of life from a server without changes: without one asyncua takes the subscription up anew."""
    from asyncua import ua

    found = ua.CreateSubscriptionParameters()
    found.RequestedPublishingInterval = publishing_ms
    found.RequestedMaxKeepAliveCount = max(round(ALIVE_S * 1000.0 / max(publishing_ms, 1.0)), 1)
    found.RequestedLifetimeCount = max(found.RequestedMaxKeepAliveCount * 3, LIFETIME)
    found.MaxNotificationsPerPublish = LIFETIME
    found.PublishingEnabled = True
    return found


def _node_id(text: str, spaces: list[str]) -> ua.NodeId:
    """Read a node id; ``nsu=<uri>;...`` names its namespace by the URI, which stays when the server starts anew."""
    from asyncua import ua
    from asyncua.ua.uaerrors import UaError

    if text.startswith("nsu="):
        uri, _, rest = text[4:].partition(";")
        if uri not in spaces:
            msg = f"the server has no namespace {uri!r}; it has {', '.join(spaces)}"
            raise ConnectionError(msg)
        text = f"ns={spaces.index(uri)};{rest}"
    try:
        return ua.NodeId.from_string(text)
    except UaError as error:
        msg = f"opcua: point {text!r} is no node id; write ns=2;s=Lamp1.Power or ns=2;i=1001"
        raise Fatal(msg) from error


async def gathered(subscription: Subscription, names: Mapping[Any, str]) -> list[dict[str, Any]]:
    """Give the changes that come together; none after a second of silence."""
    from asyncua.common.subscription import DataChangeEvent, StatusChangeEvent

    found: list[dict[str, Any]] = []
    while len(found) < MOST:
        event = await subscription.next_event(GATHER_S if found else LOOK_S)
        if event is None:
            break
        if isinstance(event, StatusChangeEvent):
            msg = f"the server ended the subscription: {event.notification.Status}"
            raise ConnectionError(msg)
        if isinstance(event, DataChangeEvent):
            came = event.data.monitored_item.Value
            found.append(_change(names[event.node.nodeid], event.value, came))
    return found


def _change(node: str, value: Any, came: ua.DataValue) -> dict[str, Any]:
    code = came.StatusCode.value if came.StatusCode is not None else 0
    return encoder.change(node, value, _micros(came.SourceTimestamp), status=int(code), server_ts=_micros(came.ServerTimestamp))


def _micros(moment: datetime | None) -> int | None:
    if moment is None or moment.year < EPOCH_YEAR:
        return None
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _lost(client: Client, since: int | None, now: int) -> int | None:
    """Give since when the connection is lost, ``None`` while it stands."""
    if client.state.value == "connected":
        return None
    return now if since is None else since


def _library() -> Any:
    try:
        import asyncua
    except ImportError as error:
        msg = "opcua: the package asyncua is not installed; install cityops[opcua]"
        raise Fatal(msg) from error
    return asyncua
