"""Figures, written into a page between the marks where earlier ones stand."""

from __future__ import annotations

from pathlib import Path

from agelens.files import write_text

__all__ = ["record"]


def record(page: Path, marks: tuple[str, str], figures: str) -> None:
    """Put the lines between two marks of a page, each of which stands there once.

    Raises:
        ValueError: a mark does not.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = marks
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page} has not one {begin!r} and one {end!r}")
    write_text(page, f"{text.split(begin)[0]}{begin}\n{figures.strip()}\n{end}{text.split(end)[1]}")
