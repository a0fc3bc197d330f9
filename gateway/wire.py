"""The websocket protocol of the server, made to show its transport so that a client that does not read is seen."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request


class Wire(WebSocketsSansIOProtocol):
    """uvicorn's websocket on the ``websockets`` library, with its transport in the scope's extensions."""

    def handle_connect(self, event: Request) -> None:
        """Begin a connection; the app runs after this returns."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"]["cityops"] = {"transport": self.transport}
