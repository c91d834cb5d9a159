"""One manifest from several, and their crop files in one folder."""

from __future__ import annotations

import os.path
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import pandas as pd
import pyarrow as pa

from agelens.data.columns import COLUMNS
from agelens.data.grouping import group_samples
from agelens.data.journal import JOURNAL_NAME
from agelens.data.manifest import MANIFEST_NAME, Manifest, read_manifest, write_manifest
from agelens.data.moving import Progress, check_new, crop_files, place_crops
from agelens.data.selection import select_rows
from agelens.errors import ConfigError, DataError, OutputError
from agelens.files import make_folder

__all__ = ["merge"]

PACK_SUFFIX: Final = ".pack"


def merge(paths: Sequence[Path], out: Path, progress: Progress = lambda done, total: None) -> Manifest:
    """Write one manifest from several, and their crop files beside it, under names that do not collide.

    Groups are numbered anew over all samples, since the same picture may be in two data sets; splits and folds stay
    as they are, even where a group then lies in two splits (``leaks.count_leaks`` tells).

    Args:
        paths: two manifests, or folders of manifests, or more.
        out: folder for the crops and ``manifest.parquet``, which is written last.
        progress: called with the number of crop files done and their total.

    Returns:
        The new manifest.

    Raises:
        ConfigError: there are fewer than two.
        DataError: a manifest is missing, broken or one of vectors, their crops differ in kind, or a data set is in two.
        OutputError: ``out`` has a manifest already, or cannot be written.
    """
    if len(paths) < 2:
        raise ConfigError(f"{len(paths)} manifest; merging takes two or more")
    target = out / MANIFEST_NAME
    check_new(target)
    if os.path.exists(out / JOURNAL_NAME):  # noqa: PTH110 (Path.exists raises on a name that is too long)
        raise OutputError(f"{out}: holds an unfinished preparation; choose another folder")
    manifests = [read_manifest(path) for path in paths]
    _check_crops(manifests)
    _check_twice(manifests)
    make_folder(out)
    names = _new_names(manifests)
    table = _join(manifests, names)
    files = {
        out / name: manifest.folder / path
        for manifest, renamed in zip(manifests, names, strict=True)
        for path, name in renamed.items()
    }
    place_crops(files, progress)
    merged = Manifest(table, manifests[0].crop, out)
    write_manifest(merged, target)
    return merged


def _check_crops(manifests: Sequence[Manifest]) -> None:
    for one in manifests:
        one.check_crops()
    first = manifests[0]
    for other in manifests[1:]:
        if other.crop != first.crop:
            raise DataError(
                f"{first.folder} has {_words(first)}, {other.folder} has {_words(other)}; "
                "prepare one of them again, with the other's --size and --margin"
            )


def _words(manifest: Manifest) -> str:
    crop = manifest.crop
    return f"crops of {crop.size} pixels with margin {crop.margin:g} and template {crop.template}"


def _check_twice(manifests: Sequence[Manifest]) -> None:
    names = pd.concat([one.table[["dataset", "source_path"]].assign(number=n) for n, one in enumerate(manifests)])
    again = names[names.duplicated(["dataset", "source_path"]) & names["source_path"].notna()]
    if again.empty:
        return
    row = again.iloc[0]
    same = names[(names["dataset"] == row["dataset"]) & (names["source_path"] == row["source_path"])]
    folders = " and in ".join(str(manifests[number].folder) for number in same["number"].iloc[:2])
    others = f", as are {len(again) - 1} others" if len(again) > 1 else ""
    raise DataError(
        f"data set {row['dataset']!r} comes twice: {row['source_path']} is in {folders}{others}; merge it once"
    )


def _new_names(manifests: Sequence[Manifest]) -> list[dict[str, str]]:
    """For each manifest its crop files, each with its new name: a pack is named after its data set, or its number."""
    taken: set[str] = set()
    names = []
    for number, manifest in enumerate(manifests, start=1):
        paths = crop_files(manifest)
        rows = manifest.table.dropna(subset="path")
        packs = set(rows.loc[rows["offset"].notna(), "path"])
        renamed = {}
        for path in paths:
            if path in packs:
                renamed[path] = _free(_label(rows[rows["path"] == path], number), PACK_SUFFIX, taken)
        folder = "" if packs.issuperset(paths) else _free(_label(rows, number), "", taken)
        names.append({path: renamed.get(path, str(PurePosixPath(folder, path))) for path in paths})
    return names


def _label(rows: pd.DataFrame, number: int) -> str:
    datasets = rows["dataset"].dropna().unique()
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", str(datasets[0])).strip("-")[:100] if len(datasets) == 1 else ""
    return label or str(number)


def _free(label: str, suffix: str, taken: set[str]) -> str:
    name, number = f"{label}{suffix}", 2
    while name.lower() in taken:  # some file systems hold A and a for one
        name, number = f"{label}-{number}{suffix}", number + 1
    taken.add(name.lower())
    return name


def _join(manifests: Sequence[Manifest], names: Sequence[dict[str, str]]) -> pd.DataFrame:
    tables = []
    for manifest, renamed in zip(manifests, names, strict=True):
        table = manifest.table.assign(path=manifest.table["path"].map(renamed))
        tables.append(pa.Table.from_pandas(table, schema=COLUMNS, preserve_index=False))
    joined: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    kept = select_rows(joined, "kept")
    joined["group"] = pd.Series(group_samples(kept), index=kept.index).reindex(joined.index)
    return joined
