"""A histogram of a manifest's ages, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, MultipleLocator, StrMethodFormatter

from agelens.data.columns import GENDERS, SPLITS
from agelens.data.figure_style import COLOURS, QUIET, light_figure, save_png
from agelens.data.manifest import Manifest
from agelens.data.overview import UNKNOWN
from agelens.data.selection import select_rows

__all__ = ["draw_histogram", "spread_bands"]

Values = npt.NDArray[Any]
Heights = npt.NDArray[np.float64]

LAST_YEAR: Final = 100  # of the axis, or later
WIDTH: Final = 10.0  # inches, as are those below
TOP: Final = 1.0  # for the title and the legend
BOTTOM: Final = 0.65
PANEL: Final = 3.4
LEFT: Final = 0.85
RIGHT: Final = 0.25


def draw_histogram(manifest: Manifest, path: Path) -> None:
    """Write a picture of the ages: exact ones by year, and bands below them, each spread evenly over its years.

    Stacked by gender, or by split where no gender is known.

    Raises:
        DataError: no sample was kept.
        OutputError: the file cannot be written.
    """
    kept = select_rows(manifest.table, "kept")
    exact = kept["age"].notna()
    panels = [panel for panel in ((_draw_exact, kept[exact]), (_draw_bands, kept[~exact])) if len(panel[1])]
    ages = kept[["age", "age_high"]].to_numpy(dtype=np.float64)
    last = int(np.nanmax(ages, initial=LAST_YEAR))
    column, names = ("gender", GENDERS) if kept["gender"].notna().any() else ("split", SPLITS)
    height = TOP + BOTTOM + PANEL * len(panels)
    with light_figure(WIDTH, height) as figure:
        figure.subplots_adjust(LEFT / WIDTH, BOTTOM / height, 1 - RIGHT / WIDTH, 1 - TOP / height, hspace=0.24)
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        for axes, (draw, rows) in zip(grid[:, 0], panels, strict=True):
            labels = rows[column].astype(object).where(rows[column].isin(names), UNKNOWN)
            draw(axes, [rows[labels == name] for name in (*names, UNKNOWN)], last)
        grid[-1, 0].set_xlabel("age in years")
        _title(figure, kept, height)
        _legend(figure, kept[column], names, height)
        save_png(figure, path)


def spread_bands(low: Values, high: Values, last: int) -> Heights:
    """How many of (N,) bands fall on each year where each is spread evenly over its years, both ends among them.

    Returns:
        (last + 1,), which sum to N where no band ends after ``last``.
    """
    low, high = np.floor(low).astype(int), np.floor(high).astype(int)
    share = 1 / (high - low + 1)
    change = np.zeros(last + 2)
    np.add.at(change, low, share)
    np.add.at(change, high + 1, -share)
    return np.cumsum(change)[:-1]


def _draw_exact(axes: Axes, stack: list[pd.DataFrame], last: int) -> None:
    base = np.zeros(last + 1)
    for rows, colour in zip(stack, COLOURS, strict=False):
        heights = np.bincount(rows["age"].to_numpy().astype(int), minlength=last + 1)
        axes.bar(np.arange(last + 1), heights, width=0.84, bottom=base, color=colour, linewidth=0)
        base += heights
    _frame(axes, last, "faces of each age")


def _draw_bands(axes: Axes, stack: list[pd.DataFrame], last: int) -> None:
    base = np.zeros(last + 1)
    edges = np.arange(last + 2) - 0.5
    for rows, colour in zip(stack, COLOURS, strict=False):
        top = base + spread_bands(rows["age_low"].to_numpy(), rows["age_high"].to_numpy(), last)
        axes.stairs(top, edges, baseline=base, fill=True, color=colour, linewidth=0)
        base = top
    _frame(axes, last, "faces in bands, spread over their years")


def _frame(axes: Axes, last: int, label: str) -> None:
    axes.set_ylabel(label)
    axes.set_xlim(-1.5, last + 1.5)
    axes.xaxis.set_major_locator(MultipleLocator(10))
    axes.xaxis.set_tick_params(labelbottom=True)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    axes.grid(axis="y")


def _title(figure: Figure, kept: pd.DataFrame, height: float) -> None:
    sets = sorted(" ".join(str(name).split())[:40] for name in kept["dataset"].dropna().unique())
    line = ", ".join(sets[:4]) + (f" and {len(sets) - 4} more" if len(sets) > 4 else "")
    ages = kept["age"].dropna()
    if len(ages):
        line += f"   ·   mean {ages.mean():.1f}, median {ages.median():.4g} years"
    figure.text(LEFT / WIDTH, 1 - 0.38 / height, f"Ages of {len(kept):,} faces", fontsize=15, fontweight="bold")
    figure.text(LEFT / WIDTH, 1 - 0.66 / height, line, color=QUIET)


def _legend(figure: Figure, values: pd.Series[Any], names: tuple[str, ...], height: float) -> None:
    counts = {name: int((values == name).sum()) for name in names}
    counts[UNKNOWN] = len(values) - sum(counts.values())
    colours = dict(zip(counts, COLOURS, strict=False))
    figure.legend(
        handles=[Patch(color=colours[name], label=f"{name}  {count:,}") for name, count in counts.items() if count],
        loc="upper right",
        bbox_to_anchor=(1 - RIGHT / WIDTH, 1 - 0.2 / height),
        ncols=len(counts),
        borderaxespad=0,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.6,
    )
