"""A picture of faces with two lines below each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from agelens.data.figure_style import DOTS, QUIET, light_figure, save_png
from agelens.data.manifest import Manifest
from agelens.data.sample_grid import EDGE, TILE, tile

__all__ = ["draw_faces"]

COLUMNS: Final = 8
# In pixels: what lies between two crops, the lines below one, the heading.
GAP: Final = 14
LINES: Final = 50
TOP: Final = 112


def draw_faces(
    manifest: Manifest, rows: pd.DataFrame, captions: Sequence[tuple[str, str]], title: str, subtitle: str, path: Path
) -> None:
    """Write a picture of the crops of some rows, each with its caption's two lines, as PNG.

    Raises:
        DataError: a crop is missing or damaged.
        OutputError: the file cannot be written.
    """
    columns = min(COLUMNS, max(4, len(rows)))
    lines = math.ceil(len(rows) / columns)
    width = 2 * EDGE + columns * (TILE + GAP) - GAP
    height = TOP + lines * (TILE + LINES + GAP) - GAP + EDGE // 2
    with light_figure(width / DOTS, height / DOTS) as figure:
        figure.text(EDGE / width, 1 - 52 / height, title, fontsize=15, fontweight="bold")
        figure.text(EDGE / width, 1 - 84 / height, subtitle, color=QUIET)
        for place, (caption, (_, row)) in enumerate(zip(captions, rows.iterrows(), strict=True)):
            left = EDGE + place % columns * (TILE + GAP)
            top = TOP + place // columns * (TILE + LINES + GAP)
            figure.figimage(tile(manifest.read_crop(row)), left, round(figure.get_figheight() * DOTS) - top - TILE)
            for line, (text, colour) in enumerate(zip(caption, ("black", QUIET), strict=True)):
                down = top + TILE + 19 + 19 * line
                figure.text((left + TILE / 2) / width, 1 - down / height, text, ha="center", color=colour, fontsize=7.5)
        save_png(figure, path)
