"""A picture of some crops of every decade of age, for people to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from agelens.data.decades import DECADES, decade_of
from agelens.data.figure_style import DOTS, QUIET, light_figure, save_png
from agelens.data.grouping import middle_age
from agelens.data.manifest import Manifest
from agelens.data.overview import age_text
from agelens.data.selection import select_rows

__all__ = ["EDGE", "TILE", "choose_samples", "draw_grid", "tile"]

SEED: Final = 0
COLUMNS: Final = 10
# In pixels: a crop, what lies between two, the line for an age below it, and what surrounds them all.
TILE: Final = 128
GAP: Final = 10
LINE: Final = 26
LEFT: Final = 188
TOP: Final = 120
EDGE: Final = 36


def choose_samples(kept: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """For each decade that has any, up to ten samples at random, always the same, the youngest first.

    A sample with a band only is in the decade of the band's middle.
    """
    ages = pd.Series(middle_age(kept), kept.index)
    decades = decade_of(ages.to_numpy())
    chosen = {}
    for number, name in enumerate(DECADES):
        rows = np.flatnonzero(decades == number)
        if len(rows):
            picked = np.random.default_rng([SEED, number]).permutation(rows)[:COLUMNS]
            order = np.argsort(ages.iloc[picked].to_numpy(), kind="stable")
            chosen[name] = kept.iloc[picked[order]]
    return chosen


def draw_grid(manifest: Manifest, path: Path) -> None:
    """Write a picture of ten crops of each decade, drawn at random, with their ages below them.

    Raises:
        DataError: a crop is missing or damaged, or no sample was kept.
        OutputError: the file cannot be written.
    """
    kept = select_rows(manifest.table, "kept")
    chosen = choose_samples(kept)
    counts = np.bincount(decade_of(middle_age(kept)), minlength=len(DECADES))
    width = LEFT + COLUMNS * (TILE + GAP) - GAP + EDGE
    height = TOP + len(chosen) * (TILE + LINE + GAP) - GAP + EDGE
    with light_figure(width / DOTS, height / DOTS) as figure:
        _write(figure, EDGE, 52, f"Some of {len(kept):,} faces", fontsize=15, fontweight="bold")
        _write(
            figure, EDGE, 84, "up to ten of each decade, drawn at random, each with the age on its label", color=QUIET
        )
        for row, (decade, samples) in enumerate(chosen.items()):
            top = TOP + row * (TILE + LINE + GAP)
            _write(figure, EDGE, top + TILE // 2, decade, fontsize=13, fontweight="bold")
            _write(figure, EDGE, top + TILE // 2 + 26, f"{counts[DECADES.index(decade)]:,} faces", color=QUIET)
            _draw_row(figure, manifest, samples, top)
        save_png(figure, path)


def _draw_row(figure: Figure, manifest: Manifest, samples: pd.DataFrame, top: int) -> None:
    for column, (_, sample) in enumerate(samples.iterrows()):
        left = LEFT + column * (TILE + GAP)
        height = round(figure.get_figheight() * DOTS)
        figure.figimage(tile(manifest.read_crop(sample)), left, height - top - TILE)
        text = age_text(sample["age"], sample["age_low"], sample["age_high"])
        _write(figure, left + TILE / 2, top + TILE + 19, text, ha="center", color=QUIET, fontsize=7.5)


def tile(crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A crop at the size at which grids show it: (H, W, 3) → (TILE, TILE, 3)."""
    shrinks = crop.shape[0] > TILE
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, (TILE, TILE), interpolation=way), dtype=np.uint8)


def _write(figure: Figure, left: float, down: float, text: str, **style: Any) -> None:
    """Text whose base line begins ``left`` pixels from the left and ``down`` pixels from the top."""
    width, height = figure.get_size_inches() * DOTS
    figure.text(left / width, 1 - down / height, text, **style)
