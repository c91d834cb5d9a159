"""HTTP/1.1 as uvicorn speaks it, with limits to how long who asks may keep a connection waiting."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from agelens.serve.settings import settings_from_environment

__all__ = ["BoundedProtocol"]

LINGER_SECONDS: Final = 5.0


class BoundedProtocol(H11Protocol):
    """Closes a connection on which a request has not begun, or not got to its body, in time; whose body goes on after
    its answer; or whose answer is not read.

    uvicorn itself waits for ever, so that a few thousand connections that say nothing would keep all others out.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """As uvicorn's."""
        super().__init__(*args, **options)
        self._head, self._rest, self._reader = _Timer(), _Timer(), _Timer()

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Wait on while only a part of a request's first lines is here."""
        super().data_received(data)
        if self.conn.their_state is not h11.SEND_BODY:
            self._rest.stop()
        if self.conn.their_state is not h11.IDLE:
            self._head.stop()
        elif not self._head.runs:  # the next request of a connection has begun
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks."""
        for timer in (self._head, self._rest, self._reader):
            timer.stop()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Where a request was answered before its body has come, wait for the rest a little, and no longer."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._rest.start(LINGER_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """Begin to wait for who does not read."""
        super().pause_writing()
        self._reader.start(settings_from_environment().request_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """They read on."""
        self._reader.stop()
        super().resume_writing()

    def _wait_for_head(self) -> None:
        self._head.start(settings_from_environment().head_seconds, self.transport.close)


class _Timer:
    """Does something later, unless it is stopped before."""

    def __init__(self) -> None:
        self._handle: TimerHandle | None = None

    @property
    def runs(self) -> bool:
        return self._handle is not None

    def start(self, seconds: float, then: Callable[[], object]) -> None:
        self.stop()
        self._handle = asyncio.get_running_loop().call_later(seconds, then)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
