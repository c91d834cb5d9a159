"""The commands of ``agelens manifest`` that write files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from agelens.cli.console import note, progress_bar
from agelens.data.csv_file import flat_table, write_csv
from agelens.data.leaks import count_leaks
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.merging import merge as merge_manifests
from agelens.data.moving import check_not_input, input_files
from agelens.data.selection import select_rows
from agelens.data.unpacking import unpack
from agelens.errors import OutputError

__all__ = ["crops", "merge", "note_leaks", "to_csv"]


def merge(*manifests: Path, out: Path) -> None:
    """Make one manifest of several, with their crops in one folder.

    The crops must have been cut alike. Their files are linked, or copied where that cannot be. Copies of a picture are
    looked for across all of them; splits and folds stay as they are, and where a picture then lies in two splits, that
    is said.

    Example:  agelens manifest merge crops/utkface crops/fairface --out crops/both

    Parameters
    ----------
    manifests
        Two or more: manifest.parquet, or the folder that agelens prepare wrote.
    out
        Folder for the crops and manifest.parquet.
    """
    with progress_bar("merging") as advance:
        merged = merge_manifests(manifests, out, advance)
    note(f"wrote {out}: {len(merged.table):,} rows, {int(merged.table['removed'].isna().sum()):,} of them kept")
    note_leaks(merged)


def note_leaks(manifest: Manifest) -> None:
    """Say on stderr which splits share pictures or people."""
    leaks = count_leaks(manifest.table)
    if leaks:
        note("the same picture or person is in two splits; agelens audit shows which, agelens split mends it:")
    for leak in leaks:
        note(str(leak))


def to_csv(manifest: Path, out: Path, /, *, kept: bool = False) -> None:
    """Write a manifest as a CSV file.

    The box becomes the columns x1, y1, x2, y2, and the landmarks lx1, ly1 … lx5, ly5. A text that a spreadsheet would
    run as a formula, for it begins with = + - @ or a tab, gets a single quote ' before it.

    Example:  agelens manifest to-csv crops/utkface utkface.csv

    Parameters
    ----------
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    out
        The file to write; its name ends in .csv.
    kept
        Without the samples that were removed.
    """
    if out.suffix.lower() != ".csv":
        raise OutputError(f"{out}: a CSV file's name ends in .csv")
    known = read_manifest(manifest)
    check_not_input(out, input_files(manifest, known))
    rows = select_rows(known.table, "kept" if kept else "all")
    write_csv(flat_table(rows), out)
    note(f"wrote {out}: {len(rows):,} rows")


def crops(manifest: Path, out: Path, /, *, split: Literal["all", "train", "val", "test"] = "all") -> None:
    """Write the crops of a manifest as JPEG files, with a table of their labels.

    A file's name is the number of its row; labels.csv, written last, has a line for each file.

    Example:  agelens manifest crops crops/utkface val-faces --split val

    Parameters
    ----------
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    out
        A new folder, or an empty one.
    split
        Whose crops; all that were kept by default.
    """
    known = read_manifest(manifest)
    rows = select_rows(known.table, "kept" if split == "all" else split)
    with progress_bar("writing crops") as advance:
        labels = unpack(known, rows, out, advance)
    note(f"wrote {len(rows):,} crops and {labels}")
