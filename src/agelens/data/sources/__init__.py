"""Public data sets, each in the layout in which it is distributed: one small file a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from agelens.data.sources.sample import Sample
from agelens.data.sources.utkface import read_utkface
from agelens.errors import DataError

__all__ = ["SOURCES", "Sample", "Source", "read_source"]


class Source(NamedTuple):
    """A data set: ``read`` gives the samples in a folder of it, ``terms`` say what it may be used for."""

    read: Callable[[Path], Iterator[Sample]]
    terms: str


SOURCES: Final[Mapping[str, Source]] = {"utkface": Source(read_utkface, "non-commercial research")}


def read_source(name: str, folder: Path) -> list[Sample]:
    """Every sample of a data set, in a fixed order, those that cannot be used marked with the reason.

    Raises:
        DataError: there is no such source or folder, or the folder has another layout.
    """
    if name not in SOURCES:
        raise DataError(f"no source {name!r}; there are: {', '.join(SOURCES)}")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; wanted the data set {name!r} as it is distributed")
    return list(SOURCES[name].read(folder))
