"""Memory that photos were in goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

# blocks that grow, as photos do, raise glibc's threshold; small ones that stay keep its heaps from shrinking
SCRIPT = """
import numpy as np
from pathlib import Path
from agelens.serve.memory import give_memory_back

def resident():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024

assert {asked} is False or give_memory_back()
for size in range(1, 30):
    np.ones(size * 10**6, np.uint8)
before = resident()
kept, blocks = [], []
for _ in range(60):
    blocks.append(np.ones(5 * 10**6, np.uint8))
    kept.append(bytearray(100_000))
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_large_blocks_are_given_back() -> None:
    def left(asked: bool) -> float:
        command = [sys.executable, "-c", SCRIPT.format(asked=asked)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert left(asked=True) < 20
    assert left(asked=False) > 100  # else there is nothing to ask for
