"""How many faces a command kept, and why it left the others out."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from agelens.cli.console import note, print_table
from agelens.files import write_text

__all__ = ["report_removals"]


def report_removals(manifest: Path, *, held_back: bool = False) -> None:
    """Print how many were kept and why the others were not; the same goes into ``removed.csv`` beside the manifest.

    Args:
        manifest: the file.
        held_back: some faces should be in another split than "train"; where none are, that is said.
    """
    table = pq.read_table(manifest, columns=["removed", "split"]).to_pandas()
    reasons = table["removed"].value_counts()
    rows = [["found", len(table)], *([f"removed: {reason}", count] for reason, count in reasons.items())]
    rows += [["kept", int(table["removed"].isna().sum())]]
    rows += [[f"  {split}", count] for split, count in table["split"].value_counts().items()]
    print_table({"faces": "left", "count": "right"}, [[str(cell) for cell in row] for row in rows])
    text = "".join(f"{str(name).strip()},{count}\n" for name, count in [("faces", "count"), *rows])
    write_text(manifest.with_name("removed.csv"), text)
    if held_back and set(table["split"].dropna()) == {"train"}:
        note("too few different pictures or people to hold some back: all are in the split train")
