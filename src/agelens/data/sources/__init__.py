"""Public data sets, each in the layout in which it is distributed: one small file a source.

A package adds a source of its own by an entry point in the group ``agelens.sources`` that names a ``Source``.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from agelens.data.sources.adience import ADIENCE
from agelens.data.sources.age_folders import AGE_FOLDERS
from agelens.data.sources.agedb import AGEDB
from agelens.data.sources.any_table import CSV
from agelens.data.sources.appa_real import APPA_REAL
from agelens.data.sources.fairface import FAIRFACE
from agelens.data.sources.fgnet import FGNET
from agelens.data.sources.imdb_wiki import IMDB, WIKI
from agelens.data.sources.named import NAMED
from agelens.data.sources.sample import Options, Sample, Source
from agelens.data.sources.utkface import UTKFACE
from agelens.errors import ConfigError, DataError

__all__ = ["SOURCES", "Sample", "Source", "find_source", "known_sources", "read_source", "terms_of"]

GROUP: Final = "agelens.sources"

SOURCES: Final[Mapping[str, Source]] = {
    "utkface": UTKFACE,
    "fairface": FAIRFACE,
    "adience": ADIENCE,
    "imdb": IMDB,
    "wiki": WIKI,
    "fgnet": FGNET,
    "appa-real": APPA_REAL,
    "agedb": AGEDB,
    "age-folders": AGE_FOLDERS,
    "named": NAMED,
    "csv": CSV,
}


def known_sources() -> dict[str, Source]:
    """Every source by name: the built-in ones, then those of other packages.

    Raises:
        DataError: another package's source cannot be loaded, is no ``Source``, or takes a built-in one's name.
    """
    return {**SOURCES, **{point.name: find_source(point.name) for point in entry_points(group=GROUP)}}


def terms_of(datasets: Iterable[str]) -> str:
    """The terms of some data sets, those that are known, for a model that learnt from them."""
    terms = {name: source.terms for name, source in known_sources().items()}
    return "; ".join(f"trained on {name}: {terms[name]}" for name in datasets if name in terms)


def find_source(name: str) -> Source:
    """The source of this name.

    Raises:
        DataError: there is none, or the package that has it is broken.
    """
    added = {point.name: point for point in entry_points(group=GROUP)}
    if name in SOURCES:
        if name in added:
            raise DataError(f"the source {name!r} of {added[name].value} has a built-in one's name; rename it")
        return SOURCES[name]
    if name not in added:
        raise DataError(f"no source {name!r}; there are: {', '.join([*SOURCES, *added])}")
    try:
        source = added[name].load()
    except Exception as error:  # another's code
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"source {name!r}: {added[name].value} cannot be loaded: {problem}") from error
    if not isinstance(source, Source):
        raise DataError(f"source {name!r}: {added[name].value} is a {type(source).__name__}, no agelens Source")
    return source


def read_source(source: Source, folder: Path, options: Options | None = None) -> Iterator[Sample]:
    """Every sample of a data set, in a fixed order, those that cannot be used marked with the reason.

    Raises:
        ConfigError: the source has no such option.
        DataError: there is no such folder, or it has another layout.
    """
    options = options or {}
    unknown = sorted(set(options) - set(source.options))
    if unknown:
        known = "; ".join(f"{name} ({meaning})" for name, meaning in source.options.items()) or "none"
        raise ConfigError(f"no option {unknown[0]!r} for this source; it has: {known}")
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises on a name that is too long)
        raise DataError(f"{folder}: no such folder; wanted: {source.layout}")
    return source.read(folder, options)
