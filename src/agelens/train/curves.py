"""A picture of a training so far: loss and error, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agelens.data.figure_style import COLOURS, QUIET, light_figure, save_png

__all__ = ["draw_curves"]

TITLES: Final = {
    "loss": "loss",
    "mae": "mean absolute error, years",
    "band": "share within the band",
    "gender": "gender, share right",
}
SPLITS: Final = {"train": COLOURS[1], "val": COLOURS[0]}
NAMES: Final = {"train": "training", "val": "validation"}


def draw_curves(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw what ``metrics.csv`` holds.

    Args:
        rows: the figures of each epoch; columns "epoch", and "train_loss", "val_mae" and the like where they are known.
        path: of the PNG to write.

    Raises:
        OutputError: the file cannot be written.
    """
    shown = [name for name in TITLES if any(f"{split}_{name}" in row for row in rows for split in SPLITS)]
    with light_figure(3.6 * max(1, len(shown)), 3.2) as figure:
        for place, name in enumerate(shown):
            _draw(figure.add_subplot(1, len(shown), place + 1), rows, name)
        figure.tight_layout(w_pad=2.5)
        save_png(figure, path)


def _draw(axes: Axes, rows: Sequence[Mapping[str, float]], name: str) -> None:
    for split, colour in SPLITS.items():
        points = [(row["epoch"], row[f"{split}_{name}"]) for row in rows if f"{split}_{name}" in row]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label=NAMES[split])
    axes.set_title(TITLES[name], loc="left", fontsize=10, color=QUIET)
    axes.set_xlabel("epoch")
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="best")
