"""``agelens sources``: which data sets can be prepared."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from cyclopts import Parameter

from agelens.cli.console import print_json, print_table
from agelens.data.sources import Source, find_source, known_sources

__all__ = ["sources"]

FACES = {"main": "the main one of several", "only": "pictures with several are left out"}


def sources(
    name: str | None = None, /, *, json_lines: Annotated[bool, Parameter("--json", negative="")] = False
) -> None:
    """List the data sets that can be prepared, or say more of one.

    Those that other packages bring are listed too. Terms are those of the data, as their authors state them: read
    them where you get it.

    Example:  agelens sources

    Example:  agelens sources csv

    Parameters
    ----------
    name
        A source, to see its layout, its options and what prepare does with it unless told otherwise.
    json_lines
        Print one JSON object instead.
    """
    if name is not None:
        source = find_source(name)
        print_json({"name": name, **_plain(source)}) if json_lines else _print_details(name, source)
        return
    known = known_sources()
    if json_lines:
        print_json({"sources": {each: _plain(source) for each, source in known.items()}})
        return
    blocks = {each: _lines(source) for each, source in known.items()}
    rows = [["" if number else each, *line] for each, lines in blocks.items() for number, line in enumerate(lines)]
    print_table({"source": "left", "": "left", " ": "left"}, rows, whole=True)


def _lines(source: Source) -> list[list[str]]:
    said = {"layout": source.layout, "labels": source.labels, "terms": source.terms, "get it at": source.home}
    return [[name, text] for name, text in said.items() if text]


def _plain(source: Source) -> dict[str, Any]:
    """All that a source says of itself, JSON-ready."""
    values = {field.name: getattr(source, field.name) for field in fields(source) if field.name != "read"}
    return values | {"options": dict(source.options)}


def _print_details(name: str, source: Source) -> None:
    rows = [
        *_lines(source),
        ["faces", FACES[source.faces]],
        ["minimum score", f"{source.min_score:g}" if source.min_score else "none"],
        ["gender", "needed" if source.needs_gender else "not needed"],
    ]
    print_table({"source": "left", name: "left"}, rows, whole=True)
    if source.options:
        options = [[f"--option.{option}", meaning] for option, meaning in source.options.items()]
        print_table({"option": "left", "meaning": "left"}, options, whole=True)
