"""What all commands say in the same way: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

__all__ = ["complain", "note", "print_json", "print_line", "print_table", "printable", "progress_bar"]


def printable(text: object) -> str:
    """Text that a terminal shows as it is: control characters and undecodable bytes of file names become ``?``."""
    return "".join(one if one.isprintable() else "?" for one in str(text))


def complain(message: str) -> None:
    """One line on stderr that says what is wrong."""
    _stderr().print(f"[bold red]error:[/] {escape(_one_line(message))}", soft_wrap=True)


def note(message: str) -> None:
    """One line on stderr that says what was done."""
    _stderr().print(escape(_one_line(message)), soft_wrap=True)


def print_line(text: str) -> None:
    """One line of a result on stdout."""
    print(_one_line(text))  # noqa: T201


def print_table(columns: dict[str, str], rows: list[list[str]], *, whole: bool = False) -> None:
    """A table on stdout: ``columns`` maps each heading to "left" or "right"; cells are plain text.

    In a pipe or a file no cell is cut off or folded; in a terminal a long word is cut off, or folded where cells are
    wanted ``whole``.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading, side in columns.items():
        justify: Literal["left", "right"] = "right" if side == "right" else "left"
        table.add_column(escape(printable(heading)), justify=justify, overflow="fold" if whole else "ellipsis")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    width = None if sys.stdout.isatty() else 10_000  # twice the longest path
    Console(highlight=False, emoji=False, width=width).print(table)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, in one line."""
    print(json.dumps(value, allow_nan=False))  # noqa: T201


@contextmanager
def progress_bar(what: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with the time left, where that is a terminal; call it with the number done and the total."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _SpeedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    console = _stderr()
    shown = shown and console.is_terminal
    # rich would send what is printed meanwhile to this console too, and results with it
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=not shown) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _SpeedColumn(ProgressColumn):
    """How many are done in a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


def _one_line(message: str) -> str:
    return printable(" ".join(line.strip() for line in message.splitlines()))


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, emoji=False)
