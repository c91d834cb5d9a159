"""Crop files in a second folder: linked where the file system can, which takes no space, and copied where it cannot."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from agelens.data.manifest import MANIFEST_NAME, Manifest
from agelens.errors import DataError, OutputError
from agelens.files import atomic_path, real_path

__all__ = ["Progress", "check_new", "check_not_input", "crop_files", "input_files", "manifest_file", "place_crops"]

SUFFIX: Final = ".parquet"

Progress = Callable[[int, int], None]


def manifest_file(out: Path) -> Path:
    """The manifest that ``out`` names: itself where it ends in .parquet, else the one of that folder."""
    return out if out.suffix == SUFFIX else out / MANIFEST_NAME


def check_new(target: Path) -> None:
    """See that a file which is to be written is not there yet.

    Raises:
        OutputError: it is.
    """
    if os.path.lexists(target):
        raise OutputError(f"{target}: is there already; remove it first, or choose another place")


def check_not_input(target: Path, inputs: Iterable[Path]) -> None:
    """See that a file which may replace another takes no input's place.

    Raises:
        OutputError: it would.
    """
    if os.path.lexists(target) and real_path(target) in map(real_path, inputs):
        raise OutputError(f"{target}: is one of the inputs; choose another name")


def crop_files(manifest: Manifest) -> list[str]:
    """The files that hold a manifest's crops, as its column ``path`` names them, in the order of first appearance.

    Samples that were removed later on may still have a crop; theirs count where the file is there.
    """
    table = manifest.table.dropna(subset="path")
    needed = set(table.loc[table["removed"].isna(), "path"])
    paths = [str(path) for path in pd.unique(table["path"])]
    return [path for path in paths if path in needed or _is_file(manifest.folder / path)]


def input_files(path: Path, manifest: Manifest) -> list[Path]:
    """The files that a manifest which was read from ``path`` consists of: itself, and those of its crops."""
    table = path / MANIFEST_NAME if path.is_dir() else path
    return [table, *(manifest.folder / name for name in crop_files(manifest))]


def place_crops(files: Mapping[Path, Path], progress: Progress = lambda done, total: None) -> None:
    """Place files at other places; one that is there already with the same content stays.

    Args:
        files: each new place with the file that is wanted there. Folders are made.
        progress: called with the number of files done and their total.

    Raises:
        DataError: a file is missing.
        OutputError: a place cannot be written, or has another file.
    """
    for done, (target, source) in enumerate(files.items(), start=1):
        if not _is_file(source):
            raise DataError(f"{source}: no such crop file; agelens manifest check tells what else is missing")
        if not os.path.lexists(target):
            with atomic_path(target) as temporary:
                _link_or_copy(real_path(source), temporary)
        elif not _same(source, target):
            raise OutputError(f"{target}: is there already, with another content; choose another folder")
        progress(done, len(files))


def _same(source: Path, target: Path) -> bool:
    return _is_file(target) and (source.samefile(target) or filecmp.cmp(source, target, shallow=False))


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises on a name that is too long)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
