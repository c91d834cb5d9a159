"""HTTP/1.1 as uvicorn speaks it, with a limit to how long a request's first lines may take."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle, Transport

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from agelens.serve.settings import settings_from_environment

__all__ = ["BoundedProtocol"]


class BoundedProtocol(H11Protocol):
    """Closes a connection on which a request has not begun, or not got to its body, in time.

    uvicorn itself waits for ever, so that a few thousand connections that say nothing would keep all others out.
    """

    _patience: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on while only a part of a request's first lines is here."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._patience is None:  # the next request of a connection has begun
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        seconds = settings_from_environment().head_seconds
        self._patience = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
