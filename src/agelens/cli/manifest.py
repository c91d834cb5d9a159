"""``agelens manifest``: look at manifests, and make other files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter
from cyclopts.validators import Number

from agelens.cli.console import print_json, print_table
from agelens.cli.manifest_files import crops, merge, to_csv
from agelens.data.checks import find_faults
from agelens.data.manifest import open_table, read_manifest
from agelens.data.overview import age_text, describe, plain_rows
from agelens.data.selection import Where, select_rows

__all__ = ["check", "manifest", "show"]

FAULTY: Final = 1
COLUMNS: Final = {"row": "right", "original": "left", "data set": "left", "age": "right", "gender": "left"}
COLUMNS_AFTER: Final = {"split": "left", "group": "right", "score": "right", "removed": "left"}

manifest = App(
    name="manifest",
    help="Show, check, merge and convert manifests.\n\nExample:  agelens manifest show crops/utkface",
)

AsJson = Annotated[bool, Parameter("--json", negative="")]


@manifest.command
def show(
    manifest: Path,
    /,
    *,
    rows: Annotated[int, Parameter(validator=Number(gte=0))] = 10,
    where: Where = "all",
    json_lines: AsJson = False,
) -> None:
    """Say what a manifest is, and show its first rows.

    Example:  agelens manifest show crops/utkface --where removed

    Parameters
    ----------
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    rows
        How many rows to show.
    where
        Which rows.
    json_lines
        Print one JSON object instead, with every column of the rows.
    """
    known = read_manifest(manifest)
    said = describe(known)
    samples = plain_rows(select_rows(known.table, where).head(rows))
    if json_lines:
        print_json({"manifest": str(manifest), **said, "samples": samples})
        return
    print_table({"manifest": "left", str(manifest): "left"}, [[name, text] for name, text in _lines(said) if text])
    if samples:
        print_table(COLUMNS | COLUMNS_AFTER, [_cells(sample) for sample in samples])


def _lines(said: dict[str, Any]) -> list[tuple[str, str]]:
    crop = said["crop"]
    counted = {"removed": "removed", "data sets": "datasets", "splits": "splits", "folds": "folds"}
    return [
        ("vectors", _embedder(said["embedder"]) if said["embedder"] else ""),
        ("crops", f"{crop['size']} pixels, margin {crop['margin']:g}, template {crop['template']}"),
        ("rows", f"{said['rows']:,}"),
        ("kept", f"{said['kept']:,}"),
        *((name, ", ".join(f"{one} {count:,}" for one, count in said[key].items())) for name, key in counted.items()),
    ]


def _embedder(spec: dict[str, Any]) -> str:
    return f"{spec['width']} numbers of {spec['name']}, fingerprint {spec['fingerprint'][:16]}"


def _cells(sample: dict[str, Any]) -> list[str]:
    plain = {name: "" if value is None else str(value) for name, value in sample.items()}
    age = age_text(sample["age"], sample["age_low"], sample["age_high"])
    score = "" if sample["score"] is None else f"{sample['score']:.3f}"
    removed = ": ".join(filter(None, (plain["removed"], plain["detail"])))
    first = [plain["row"], plain["source_path"], plain["dataset"], age, plain["gender"]]
    return [*first, plain["split"], plain["group"], score, removed]


@manifest.command
def check(manifest: Path, /, *, json_lines: AsJson = False) -> int:
    """Name everything that is wrong with a manifest: columns, values, duplicates, missing crops.

    The exit status is 0 when there is nothing, and 1 when there is.

    Example:  agelens manifest check crops/utkface

    Parameters
    ----------
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    json_lines
        Print one JSON object instead, with the numbers of all faulty rows.
    """
    table, _, file = open_table(manifest)
    faults = find_faults(table, file.parent)
    if json_lines:
        found = [{"what": fault.what, "rows": list(fault.rows)} for fault in faults]
        print_json({"manifest": str(manifest), "rows": table.num_rows, "faults": found})
    else:
        lines = [[str(fault)] for fault in faults] or [[f"no faults in {table.num_rows:,} rows"]]
        print_table({str(manifest): "left"}, lines)
    return FAULTY if faults else 0


for command in (merge, to_csv, crops):
    manifest.command(command)
