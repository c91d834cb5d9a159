"""How often one client may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

__all__ = ["Rates"]

CLIENTS: Final = 10_000  # whose rate is remembered


class Rates:
    """Requests of each client: a bucket that fills at a rate and holds a burst."""

    def __init__(self, rate: float, burst: int) -> None:
        """``rate`` a second; 0 for any number."""
        self._rate = rate
        self._burst = float(burst)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Count a request; seconds to wait before the next try where it is too many, else 0."""
        if self._rate <= 0:
            return 0.0
        now = time.monotonic()
        left, then = self._left.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        allowed = left >= 1
        self._left[client] = (left - 1 if allowed else left, now)
        if len(self._left) > CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate
