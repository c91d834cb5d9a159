"""What the system tells a command."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["end_well_by_sigterm", "ended_by_the_system"]


@contextmanager
def ended_by_the_system() -> Iterator[None]:
    """SIGTERM, by which services are ended, counts as Ctrl-C within the block."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_well_by_sigterm() -> None:
    """SIGTERM ends the process with status 0 from now on: a service that was told to end has not failed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
