"""The command itself, killed again and again by the system, ends with the same bytes as one that ran in peace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks there")

COPIES = 300

# One process imports once; its children run the command. It waits for some lines of the journal and then kills.
RUNNER = """
import json, os, random, signal, sys, time
from pathlib import Path

import agelens.cli.prepare
from agelens.cli import main

folder, out, said = map(Path, sys.argv[1:4])
journal, chance, told = out / "unfinished.jsonl", random.Random(int(sys.argv[4])), {}
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it


def start(to: Path) -> int:
    child = os.fork()
    if child:
        return child
    with said.open("wb") as file:
        os.dup2(file.fileno(), 2)
        os.dup2(file.fileno(), 1)
    status = 1
    try:
        main(["prepare", "utkface", str(folder), str(to), "--size", "32", "--val-share", "0.25"])
    except SystemExit as ended:
        status = ended.code
    finally:  # without the exit handlers, which are the parent's
        sys.stdout.flush()
        os._exit(status)


def lines() -> int:
    return journal.read_bytes().count(b"\\n") if journal.exists() else 0


def wait(most: int) -> None:
    while lines() < most and not (out / "manifest.parquet").exists():
        time.sleep(0.002)
    time.sleep(chance.random() / 200)


def end(child: int, by: int = 0) -> int:
    if by:
        os.kill(child, by)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


first = start(out)
wait(3)
os.kill(first, signal.SIGSTOP)  # however slowly the second begins, the first has not ended
told["second"] = end(start(out)), said.read_text()
told["killed"] = [end(first, signal.SIGKILL)]
for _ in range(5):
    child = start(out)
    wait(lines() + chance.randrange(20))
    told["killed"].append(end(child, signal.SIGKILL))
child = start(out)
wait(lines() + 5)
told["interrupted"] = end(child, signal.SIGINT), said.read_text()
told["left"] = lines()
told["last"] = end(start(out)), said.read_text()
told["again"] = end(start(out))
told["whole"] = end(start(out.with_name("whole")))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the runs left in the folders "killed" and "whole", beside three hundred portraits."""
    examples = Path(__file__).parents[3] / "examples"
    folder = tmp_path_factory.mktemp("killed")
    (folder / "portraits").mkdir()
    with Image.open(examples / "eileen-collins.jpg") as portrait:
        small = portrait.convert("RGB").resize((128, 128))
    for number in range(COPIES):
        turned = small.rotate((number - COPIES / 2) / 10)
        turned.save(folder / f"portraits/{20 + number % 50}_1_0_{number:03}.jpg", quality=70 + number % 20)
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """The statuses of the runs and what they said."""
    arguments = [str(folder / "portraits"), str(folder / "killed"), str(folder / "said"), "5"]
    done = subprocess.run([sys.executable, "-c", RUNNER, *arguments], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_killed_and_interrupted_it_ends_with_the_same_bytes(
    told: dict[str, Any], folder: Path, contents: Callable[[Path], dict[str, str]]
) -> None:
    assert told["killed"] == [-9] * 6
    assert told["interrupted"] == [130, "error: interrupted\n"]
    assert 10 < told["left"] < COPIES
    assert told["last"][0] == told["again"] == told["whole"] == 0
    assert contents(folder / "killed") == contents(folder / "whole")
    assert set(contents(folder / "whole")) == {"crops.pack", "manifest.parquet", "removed.csv"}


def test_a_second_process_is_refused_in_one_line(told: dict[str, Any], folder: Path) -> None:
    journal = folder / "killed/unfinished.jsonl"
    line = f"error: {journal}: another process is at work in this folder; wait for it\n"
    assert told["second"] == [2, line]


def test_the_last_run_tells_of_all_faces(told: dict[str, Any]) -> None:
    status, said = told["last"]
    assert status == 0
    assert ["found", str(COPIES)] in [line.split() for line in said.splitlines()]
    assert said.endswith("manifest.parquet and removed.csv beside it\n")
