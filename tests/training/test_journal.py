"""The record of what is done: whatever is left of it can be gone on with."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agelens.data.journal import JOURNAL_NAME, Journal, check_own_folder
from agelens.errors import OutputError

SETTINGS = {"source": "utkface", "size": 48, "options": {"a": "b"}}
ROWS: list[dict[str, Any]] = [
    {"source_path": "a\n.jpg", "age": 3.5, "box": [1.0, 2.0], "offset": 0, "length": 10},
    {"source_path": "ü.jpg", "age": None, "removed": "no face"},
    {"source_path": "c.jpg", "age": 7.0, "offset": 10, "length": 5},
    {"source_path": "d.jpg", "removed": "unreadable"},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with four rows."""
    path = tmp_path / JOURNAL_NAME
    with closing(Journal(path, SETTINGS)) as journal:
        assert (journal.count, journal.last_crop_end) == (0, 0)
        for number, row in enumerate(ROWS, start=1):
            journal.append(row)
            assert journal.count == number
    return path


def test_rows_come_back_in_order(path: Path) -> None:
    with closing(Journal(path, SETTINGS)) as journal:
        assert list(journal.rows()) == ROWS
        assert (journal.count, journal.last_crop_end) == (4, 15)
        journal.append({"source_path": "e.jpg", "offset": 15, "length": 2})
        assert [row["source_path"] for row in journal.rows()][-2:] == ["d.jpg", "e.jpg"]
        assert journal.last_crop_end == 17


def test_torn_anywhere_it_holds_the_rows_that_are_whole(path: Path) -> None:
    whole = path.read_bytes()
    ends = [end for end, byte in enumerate(whole, start=1) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        left = max(0, sum(end <= cut for end in ends) - 1)
        with closing(Journal(path, SETTINGS)) as journal:
            assert (journal.count, list(journal.rows())) == (left, ROWS[:left])
            for row in ROWS[left:]:
                journal.append(row)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("garbage", [b"\0" * 40, b"\xff\xfe\n", b"[1, 2]\n", b"{\n", b"\n", b"null\n", b'{"a": 1}{}\n'])
@pytest.mark.parametrize("line", [0, 1, 3])
def test_what_stands_behind_garbage_is_done_again(path: Path, garbage: bytes, line: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:line], garbage, *lines[line:]]))
    with closing(Journal(path, SETTINGS)) as journal:
        assert list(journal.rows()) == ROWS[: max(0, line - 1)]
    assert path.read_bytes() == b"".join(lines[: max(1, line)])


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"{\n", b"null\n"])
@pytest.mark.parametrize("line", [0, 1, 3])
def test_costly_rows_behind_garbage_are_not_lost(path: Path, garbage: bytes, line: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    broken = b"".join([*lines[:line], garbage, *lines[line:]])
    path.write_bytes(broken)
    with pytest.raises(OutputError, match=f"line {line + 1} is no row of a search; remove that line"):
        Journal(path, SETTINGS, "a search", costly=True)
    assert path.read_bytes() == broken
    path.write_bytes(b"".join(lines) + b'{"torn')
    with closing(Journal(path, SETTINGS, "a search", costly=True)) as journal:
        assert list(journal.rows()) == ROWS


def test_another_works_folder_is_refused(tmp_path: Path) -> None:
    check_own_folder(tmp_path, "trials.jsonl", "config.yaml", "a search")
    (tmp_path / "config.yaml").write_text("mine: 1\n", encoding="utf-8")
    with pytest.raises(OutputError, match=r"holds config\.yaml of something else than a search; choose another folder"):
        check_own_folder(tmp_path, "trials.jsonl", "config.yaml", "a search")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SETTINGS | {"size": 64}, r"\(size 48, now 64\)"),
        (SETTINGS | {"size": 64, "source": "csv"}, r"\(source utkface, now csv, size 48, now 64\)"),
        (SETTINGS | {"margin": 0.1}, r"\(margin None, now 0.1\)"),
        ({"source": "utkface", "size": 48}, r"\(options {'a': 'b'}, now None\)"),
    ],
)
def test_other_settings_are_refused_by_name(path: Path, settings: dict[str, Any], message: str) -> None:
    before = path.read_bytes()
    with pytest.raises(OutputError, match=f"holds an unfinished preparation with other settings {message}"):
        Journal(path, settings)
    assert path.read_bytes() == before
    Journal(path, SETTINGS).close()  # nothing is left open that would keep others out


def test_settings_are_compared_as_they_are_written(tmp_path: Path) -> None:
    Journal(tmp_path / "j", {"box": (1, 2)}).close()
    Journal(tmp_path / "j", {"box": [1.0, 2.0]}).close()


@pytest.mark.skipif(os.name != "posix", reason="nothing locks there")
def test_one_process_at_a_time(path: Path) -> None:
    with (
        closing(Journal(path, SETTINGS)),
        pytest.raises(OutputError, match=f"{JOURNAL_NAME}: another process is at work in this folder; wait for it"),
    ):
        Journal(path, SETTINGS)
    Journal(path, SETTINGS).close()


def test_a_journal_that_cannot_be_opened_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        Journal(tmp_path, SETTINGS)
    with pytest.raises(OutputError, match="cannot be written: No such file"):
        Journal(tmp_path / "nowhere/j", SETTINGS)


def test_a_journal_is_a_line_of_json_a_row(path: Path) -> None:
    settings, *rows = map(json.loads, path.read_text(encoding="ascii").splitlines())
    assert settings == SETTINGS
    assert rows == ROWS
