"""Carriers of whole messages: posted over HTTP, published over MQTT, laid in a folder; each again until it is taken."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from typing import NamedTuple, Protocol

import aiohttp
import aiomqtt

AT_ONCE = 10
"""Messages under way at the same time: an acknowledgement waits until the readings are stored."""
KEEP = 2000
"""Messages kept while nobody takes them; the oldest go first."""
PAUSE_S = 2.0
LOOK_S = 0.5
PATIENCE_S = 15.0


class Message(NamedTuple):
    """What is sent, where to (path, topic or file name), and how many readings are in it."""

    to: str
    body: bytes
    rows: int = 1


class Feed(Protocol):
    """A department's system without its network."""

    def due(self, now: int) -> list[Message]:
        """Give what is to be sent now; called a few times a second."""
        ...


class Carrier(ABC):
    """Takes a feed's messages to the platform in order, and counts them."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.acked = self.refused = self.dropped = 0
        """Readings: taken by the platform, refused by it, given up before it was there."""
        self.connected = False
        self.silent = self.stopping = False
        self._queue: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Readings not taken yet."""
        return sum(message.rows for message in self._queue)

    @property
    def sent(self) -> int:
        """Readings there were to send."""
        return self.acked + self.refused + self.waiting

    def tick(self, now: int) -> None:
        """Take what is due, and carry from the first time on; a silent feed's messages are lost."""
        found = [] if self.stopping else self.feed.due(now)
        if self.silent:
            return
        self._queue.extend(found)
        while len(self._queue) > KEEP:
            self.dropped += self._queue.popleft().rows
        if self._queue:
            self._filled.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                await self._carry()
            except (OSError, aiohttp.ClientError, aiomqtt.MqttError, TimeoutError):
                self.connected = False
                await asyncio.sleep(PAUSE_S)

    @abstractmethod
    async def _carry(self) -> None:
        """Connect and hand on messages until that fails."""

    async def _batch(self) -> list[Message]:
        """Wait for messages; they stay in the queue until ``_done``."""
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        return [self._queue[n] for n in range(min(AT_ONCE, len(self._queue)))]

    def _done(self, messages: list[Message]) -> None:
        for message in messages:
            with contextlib.suppress(ValueError):  # dropped meanwhile
                self._queue.remove(message)
            self.acked += message.rows

    async def close(self) -> None:
        """Stop carrying."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Poster(Carrier):
    """Posts each message to its path; an answer below 400 is an acknowledgement, 4xx a refusal, anything else asks again."""

    def __init__(self, feed: Feed, address: tuple[str, int]) -> None:
        super().__init__(feed)
        self._base = f"http://{address[0]}:{address[1]}"

    async def _carry(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as client:
            while True:
                message = (await self._batch())[0]
                async with client.post(self._base + message.to, data=message.body) as answer:
                    await answer.read()
                    self.connected = True
                    if answer.status in (408, 429) or answer.status >= 500:
                        await asyncio.sleep(PAUSE_S)
                    elif answer.status >= 400:
                        self._queue.remove(message)
                        self.refused += message.rows
                    else:
                        self._done([message])


class Publisher(Carrier):
    """Publishes each message to its topic with quality 1; PUBACK is its acknowledgement."""

    def __init__(self, feed: Feed, address: tuple[str, int], client_id: str) -> None:
        super().__init__(feed)
        self._address, self._client_id = address, client_id

    async def _carry(self) -> None:
        host, port = self._address
        async with aiomqtt.Client(
            host, port, identifier=self._client_id, protocol=aiomqtt.ProtocolVersion.V311, timeout=PATIENCE_S
        ) as client:
            self.connected = True
            while True:
                messages = await self._batch()
                await asyncio.gather(*(client.publish(m.to, m.body, qos=1) for m in messages))
                self._done(messages)


class Nodes(Feed, Protocol):
    """A feed that must begin every connection with births."""

    def births(self) -> list[Message]:
        """Give the messages every connection begins with."""
        ...


class NodePublisher(Publisher):
    """Publishes for nodes whose messages are numbered by connection: a new one begins with births, what waited is void."""

    def __init__(self, nodes: Nodes, address: tuple[str, int], client_id: str) -> None:
        super().__init__(nodes, address, client_id)
        self._nodes = nodes

    async def _carry(self) -> None:
        self.dropped += self.waiting
        self._queue.clear()
        self._queue.extend(self._nodes.births())
        await super()._carry()


class Folder(Carrier):
    """Lays each message in a folder as a file, its checksum beside it; taken is what is not there any more."""

    def __init__(self, feed: Feed, folder: Path) -> None:
        super().__init__(feed)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.connected = True

    async def _carry(self) -> None:
        laid: set[str] = set()
        while True:
            for message in await self._batch():
                if message.to not in laid:
                    laid.add(message.to)
                    self._lay(message)
                elif not (self._folder / message.to).exists():
                    laid.discard(message.to)
                    self._done([message])
            await asyncio.sleep(LOOK_S)

    def _lay(self, message: Message) -> None:
        """Write a file whole at once: its name appears when it is complete."""
        digest = hashlib.sha256(message.body).hexdigest()
        (self._folder / f"{message.to}.sha256").write_text(f"{digest}  {message.to}\n", encoding="utf-8")
        draft = self._folder / f".{message.to}"
        draft.write_bytes(message.body)
        draft.replace(self._folder / message.to)
