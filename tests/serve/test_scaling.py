"""What so many photos a day need, by the script that the docs name."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


def test_a_million_a_day_reckoned_by_hand(load_script: Callable[[str], ModuleType]) -> None:
    plan = load_script("benchmarks/scaling_cost.py").plan
    # 86.4 million a day are 1000 a second, 3000 at the peak; a core does 30 x 0.5 of them
    found = plan(86.4e6, 30, peak=3, use=0.5, price=0.1, cores_a_process=1, megabytes=512)
    assert (found.mean, found.peak, found.cores, found.processes) == (1000, 3000, 200, 200)
    assert found.gigabytes == 100
    assert found.a_day == pytest.approx(200 * 24 * 0.1)
    assert found.a_million == pytest.approx(found.a_day / 86.4)


def test_processes_are_whole(load_script: Callable[[str], ModuleType]) -> None:
    plan = load_script("benchmarks/scaling_cost.py").plan
    found = plan(86400, 2, peak=1, use=1, price=1, cores_a_process=4, megabytes=1024)
    assert (found.processes, found.cores, found.gigabytes, found.a_day) == (1, 4, 1, 96)
