"""What most sources need of folders: their pictures, paths that stay inside, and the error of another layout."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path, PureWindowsPath
from typing import Final

from agelens.data.sources.labels import BadLabelError, shown
from agelens.data.sources.sample import Options
from agelens.errors import ConfigError, DataError
from agelens.images import SUFFIXES

__all__ = ["choice", "entries", "inside", "no_layout", "path_within", "pictures"]

MOST_NAMES: Final = 3


def pictures(folder: Path) -> Iterator[Path]:
    """Every file with a picture's suffix in a folder and below it, sorted by path; links to folders are not followed.

    Only the names of the folders on the way are held, so that memory does not grow with the number of all files.

    Raises:
        DataError: a folder cannot be read.
    """
    ahead = [_names(folder)]
    while ahead:
        entry = next(ahead[-1], None)
        if entry is None:
            ahead.pop()
        elif entry.is_dir() and not entry.is_symlink():
            ahead.append(_names(entry))
        elif entry.suffix.lower() in SUFFIXES and entry.is_file():
            yield entry


def _names(folder: Path) -> Iterator[Path]:
    """What lies in a folder, sorted by name, as paths made one at a time; errors as ``entries``."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 (paths would take four times the memory)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}") from error
    return (folder / name for name in names)


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted by name.

    Raises:
        DataError: the folder cannot be read.
    """
    return list(_names(folder))


def path_within(base: str, text: str) -> str:
    """A path relative to the data folder, from one that starts in ``base``, itself relative to the data folder.

    Raises:
        BadLabelError: it is absolute, leaves the data folder, or can be no file's name.
    """
    if "\0" in text:
        raise BadLabelError(f"path {shown(text)} holds a NUL")
    text = text.replace("\\", "/")  # tables made on Windows
    if PureWindowsPath(text).anchor:  # of this system's paths too
        raise BadLabelError(f"path {shown(text)} is absolute; wanted one within the data folder")
    path = os.path.normpath(f"{base}/{text}" if base else text)
    if path.split("/")[0] == "..":
        raise BadLabelError(f"path {shown(text)} leaves the data folder")
    return path


def inside(folder: Path, base: str, text: str) -> Path:
    """The file that a table names: the data folder, then ``path_within``.

    Raises:
        BadLabelError: as ``path_within``, or the path is empty.
    """
    path = path_within(base, text) if text else "."
    if path == ".":
        raise BadLabelError("no path")
    return folder / path


def choice(options: Options, name: str, choices: Sequence[str]) -> str | None:
    """The value of an option that is one of a few; None when it is not set.

    Raises:
        ConfigError: it is another.
    """
    value = options.get(name)
    if value is not None and value not in choices:
        raise ConfigError(f"option {name} = {shown(value)}: wanted one of {', '.join(choices)}")
    return value


def no_layout(source: str, folder: Path, layout: str, found: Iterable[Path] = ()) -> DataError:
    """The error of a folder that is no data set of this source: what was expected, and what is there.

    Args:
        source: the source's name.
        folder: the folder given.
        layout: what was expected.
        found: pictures in it; without any the folder's own entries are named.
    """
    names = [file.relative_to(folder).as_posix() for file in islice(chain(found, _names(folder)), MOST_NAMES)]
    there = ", ".join(name if name.isprintable() else repr(name) for name in names) or "nothing"
    return DataError(f"{folder}: not laid out as {source}; expected {layout}; found {there}")
