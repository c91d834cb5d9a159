"""Memory that photos were in goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

# threads that each hold and free large blocks leave a heap each, which blocks that stay keep from shrinking
SCRIPT = """
import threading
import numpy as np
from pathlib import Path
from agelens.serve.memory import give_memory_back

def resident():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024

assert {asked} is False or give_memory_back()
kept = []

def work():
    np.ones(31 * 10**6, np.uint8)  # glibc now takes what is smaller from its heaps
    blocks = []
    for _ in range(5):
        blocks.append(np.ones(20 * 10**6, np.uint8))
        kept.append(bytearray(100_000))

before = resident()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_large_blocks_are_given_back() -> None:
    def left(asked: bool) -> float:
        command = [sys.executable, "-c", SCRIPT.format(asked=asked)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert left(asked=True) < 70
    assert left(asked=False) > 90  # else there is nothing to ask for
