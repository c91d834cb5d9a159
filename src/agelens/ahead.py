"""Work done by threads, a little ahead of who uses it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["map_ahead"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(work: Callable[[Item], Result], items: Iterable[Item], workers: int, ready: int) -> Iterator[Result]:
    """``map(work, items)`` in order, by threads that stay a little ahead of the caller.

    Args:
        work: called from several threads at once; what it raises is raised at its item's turn.
        items: read lazily.
        workers: threads.
        ready: items at most in work, waiting for the caller or with it, so that memory does not grow with their number;
            at least 1.
    """
    with ThreadPoolExecutor(workers) as pool:
        futures: deque[Future[Result]] = deque()
        try:
            unread = iter(items)
            while True:
                futures.extend(pool.submit(work, item) for item in islice(unread, ready - len(futures)))
                if not futures:
                    return
                yield futures.popleft().result()
        finally:  # the caller may stop early: leave nothing running for it
            for future in futures:
                future.cancel()
