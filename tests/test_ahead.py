"""Work ahead of the caller: in order, bounded, and gone when the caller stops."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.ahead import map_ahead


class Large:
    """Something of which not many should be alive at once; counts those that are."""

    alive: ClassVar[weakref.WeakSet[Large]] = weakref.WeakSet()

    def __init__(self, number: int) -> None:
        self.number = number
        self.alive.add(self)


@given(count=st.integers(0, 40), workers=st.integers(1, 4), ready=st.integers(1, 9))
def test_results_are_those_of_map_in_order(count: int, workers: int, ready: int) -> None:
    assert list(map_ahead(lambda one: one * one, range(count), workers, ready)) == [one**2 for one in range(count)]


def test_the_slowest_comes_first_when_it_is_first() -> None:
    def work(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number

    assert list(map_ahead(work, range(8), 4, 8)) == list(range(8))


@pytest.mark.parametrize(("workers", "ready"), [(1, 1), (2, 8), (3, 2)])
def test_no_more_than_so_many_are_read_or_held_ahead(workers: int, ready: int) -> None:
    read = done = 0

    def items() -> Iterator[int]:
        nonlocal read
        for number in range(60):
            read += 1
            yield number

    for number in map_ahead(Large, items(), workers, ready):
        done += 1
        assert read - done <= ready - 1  # those ahead, with the one that the caller has
        del number
    assert read == done == 60


def test_memory_does_not_grow_with_the_number_of_items() -> None:
    most = 0
    for result in map_ahead(lambda item: Large(item.number), (Large(number) for number in range(200)), 2, 8):
        most = max(most, len(Large.alive))
        del result
    assert most <= 8 + 8 + 2  # results, items that wait, and one each at the caller's and the reader's hands
    gc.collect()
    assert len(Large.alive) == 0


def test_an_error_comes_at_its_items_turn_and_not_before() -> None:
    def work(number: int) -> int:
        return 1 // (3 - number)

    results = map_ahead(work, range(9), 3, 6)
    assert [next(results), next(results), next(results)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_items_that_fail_end_it_and_leave_no_thread() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise KeyError("the list broke off")

    before = threading.active_count()
    with pytest.raises(KeyError, match="broke off"):
        list(map_ahead(str, items(), 2, 2))
    assert threading.active_count() == before


def test_stopping_early_leaves_no_thread_and_starts_nothing_more() -> None:
    started = []

    def work(number: int) -> int:
        started.append(number)
        time.sleep(0.01)
        return number

    before = threading.active_count()
    results = map_ahead(work, range(1000), 1, 50)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(started) <= 5
