"""The record of work that is not finished: a line for every piece that is done, a sample of a preparation, in order.

A killed process leaves whole lines and perhaps a torn one, which is cut off; the next process goes on behind it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

from agelens.errors import OutputError

if os.name == "posix":
    import fcntl

__all__ = ["JOURNAL_NAME", "Journal", "check_own_folder"]

JOURNAL_NAME: Final = "unfinished.jsonl"

Row = dict[str, Any]
Made = TypeVar("Made")


class Journal:
    """Rows on disk, appended one at a time; keeps other processes out until it is closed.

    Attributes:
        count: rows that are in it.
        last_crop_end: where the last crop ends in the pack, in bytes.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], what: str = "an unfinished preparation", *, costly: bool = False
    ) -> None:
        """Open a journal, or begin one.

        Args:
            path: of the journal.
            settings: plain values; rows that were made with others must not be mixed with these.
            what: it is a record of, for messages.
            costly: whether rows are too dear to be made again because a line before them is damaged.

        Raises:
            OutputError: it cannot be written, another process has it, it was begun with other settings, or it is
                costly and damaged.
        """
        self._path = path
        self._what = what
        self._costly = costly
        self.count = 0
        self.last_crop_end = 0
        try:
            with ExitStack() as stack:
                self._stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
                stack.callback(self.close)
                self._lock()
                self._open(json.loads(json.dumps(settings)))
                stack.pop_all()
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error

    def _lock(self) -> None:
        if os.name != "posix":  # nothing keeps two processes apart there
            return
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"{self._path}: another process is at work in this folder; wait for it") from error

    def _open(self, settings: Row) -> None:
        begun, end = None, 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                row = _whole(line)
                if row is None:
                    self._see_that_it_ends(lines.read(), number, line)
                    break
                end += len(line)
                if begun is None:
                    begun = row
                    self._check(begun, settings)
                else:
                    self._note(row)
        self._stream.truncate(end)
        self._stream.seek(end)
        if begun is None:
            self._write(settings)

    def _see_that_it_ends(self, rest: bytes, number: int, line: bytes) -> None:
        """Whole lines behind a torn one are no killed process's doing."""
        if not self._costly:
            return
        if b"\n" in rest or (number == 1 and line.endswith(b"\n")):
            raise OutputError(
                f"{self._path}: line {number} is no row of {self._what}; remove that line, or choose another folder"
            )

    def _check(self, begun: Row, settings: Row) -> None:
        other = [name for name in {**begun, **settings} if begun.get(name) != settings.get(name)]
        if other:
            was = ", ".join(f"{name} {begun.get(name)}, now {settings.get(name)}" for name in other)
            raise OutputError(
                f"{self._path.parent}: holds {self._what} with other settings ({was}); "
                "repeat it with those to go on, or remove the folder"
            )

    def _note(self, row: Row) -> None:
        self.count += 1
        if row.get("offset") is not None:
            self.last_crop_end = row["offset"] + row["length"]

    def append(self, row: Row) -> None:
        """Add a row of plain values.

        Raises:
            OutputError: it cannot be written, as on a full disk.
        """
        try:
            self._write(row)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror or error}") from error
        self._note(row)

    def _write(self, row: Row) -> None:
        rest = memoryview(json.dumps(row).encode() + b"\n")
        while rest:  # an unbuffered write may take a part only
            rest = rest[self._stream.write(rest) :]

    def rows(self) -> Iterator[Row]:
        """Every row, in order, read from the disk one by one."""
        with self._path.open("rb") as lines:
            next(lines)  # the settings
            for line in lines:
                yield json.loads(line)

    def read(self, make: Callable[[Row], Made]) -> list[Made]:
        """What a function makes of every row, in order.

        Raises:
            OutputError: it makes nothing of one; the journal is closed then.
        """
        try:
            return [make(row) for row in self.rows()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.close()
            raise OutputError(f"{self._path}: no rows of {self._what} ({error}); choose another folder") from error

    def close(self) -> None:
        """Close the file and let others in."""
        self._stream.close()


def check_own_folder(folder: Path, record: str, config: str, what: str) -> None:
    """See that a folder with a configuration has the record of the same kind of work.

    Raises:
        OutputError: it is another work's, whose configuration would be replaced.
    """
    if (folder / config).exists() and not (folder / record).exists():
        raise OutputError(f"{folder}: holds {config} of something else than {what}; choose another folder")


def _whole(line: bytes) -> Row | None:
    """The row of a line, or None when it was cut off, or hit by a crash of the machine."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
