"""``agelens stats``: what a manifest holds, counted and drawn."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from agelens.cli.console import note, print_json, print_table
from agelens.data.columns import GENDERS, SPLITS
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.moving import check_not_input, input_files
from agelens.data.overview import UNKNOWN
from agelens.data.stats import count_samples
from agelens.files import make_folder, write_text

__all__ = ["stats"]

BAR: Final = 30  # characters
PARTS: Final = (*SPLITS, "kept", "removed")
FILES: Final = ("stats.json", "histogram.png")
GRID: Final = "sample-grid.png"

Counts = dict[str, Any]


def stats(
    manifest: Path,
    /,
    *,
    out: Path | None = None,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Count a manifest's faces by age, gender, data set and split, and draw them.

    Faces whose age is known as a band only are counted by band.

    Example:  agelens stats crops/utkface --out figures/utkface

    Parameters
    ----------
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    out
        Folder for stats.json, histogram.png (the ages) and, where the manifest has crops, sample-grid.png (some of
        each decade).
    json_lines
        Print all counts as one JSON object instead of the tables.
    """
    known = read_manifest(manifest)
    counts = {"manifest": str(manifest), **count_samples(known)}
    files = FILES if known.embedder is not None else (*FILES, GRID)
    if out is not None:
        for name in files:
            check_not_input(make_folder(out) / name, input_files(manifest, known))
        _write(known, counts, out)
    if json_lines:
        print_json(counts)
    else:
        _print(counts)
    if out is not None:
        note(f"wrote {', '.join(files)} into {out}")


def _write(manifest: Manifest, counts: Counts, out: Path) -> None:
    from agelens.data.histogram import draw_histogram  # matplotlib takes a second to import
    from agelens.data.sample_grid import draw_grid

    if manifest.embedder is None:
        draw_grid(manifest, out / GRID)  # first, as a crop may be damaged
    draw_histogram(manifest, out / "histogram.png")
    write_text(out / "stats.json", json.dumps(counts, indent=1) + "\n")


def _print(counts: Counts) -> None:
    ages = {**counts["decades"], **{f"band {name}": group for name, group in counts["bands"].items()}}
    genders = [name for name in (*GENDERS, UNKNOWN) if any(group[name] for group in ages.values())]
    most = max(group["all"] for group in ages.values()) if ages else 1
    rows = [[name, *_row(group, genders, counts["kept"]), _bar(group["all"] / most)] for name, group in ages.items()]
    columns = {"age": "left", "faces": "right", "share": "right", **dict.fromkeys(genders, "right"), "": "left"}
    print_table(columns, rows)
    parts = [[name, *(f"{part[column]:,}" for column in PARTS)] for name, part in counts["parts"].items()]
    print_table({"data set": "left", **dict.fromkeys(PARTS, "right")}, parts)
    print_table({"figure": "left", "": "left"}, [[name, text] for name, text in _figures(counts) if text])


def _row(group: dict[str, int], genders: list[str], kept: int) -> list[str]:
    return [f"{group['all']:,}", f"{group['all'] / kept:.1%}", *(f"{group[name]:,}" for name in genders)]


def _bar(share: float) -> str:
    block = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    return block * max(1, round(BAR * share))


def _figures(counts: Counts) -> list[tuple[str, str]]:
    age, score = counts["age"], counts["score"]
    return [
        (
            "age",
            "" if age is None else f"mean {age['mean']}, median {age['median']:g}, {age['min']:g} to {age['max']:g}",
        ),
        ("gender", _listed(counts["genders"])),
        ("race", _listed(counts["races"])),
        ("folds", _listed(counts["folds"])),
        ("subjects", f"{counts['subjects']:,}" if counts["subjects"] else ""),
        ("groups", f"{counts['groups']:,}"),
        ("detector score", "" if score is None else ", ".join(f"{name} {value}" for name, value in score.items())),
        ("removed", _listed(counts["removed"])),
    ]


def _listed(group: Counts) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in group.items())
