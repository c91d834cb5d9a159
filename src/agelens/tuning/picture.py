"""A picture of a search: what each value came to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from agelens.data.figure_style import COLOURS, QUIET, light_figure, save_png
from agelens.tuning.book import Trial
from agelens.tuning.config import Range

__all__ = ["draw_trials"]

COLUMNS: Final = 4
KINDS: Final = {"finished": COLOURS[0], "stopped": COLOURS[2]}
NAMES: Final = {"finished": "whole", "stopped": "stopped early"}


def draw_trials(trials: Sequence[Trial], best: Trial, metric: str, space: Mapping[str, Range], path: Path) -> None:
    """Draw the figure of each trial against each of its values; the best trial has a ring.

    Args:
        trials: those that have a figure.
        best: one of them.
        metric: the name of the figure.
        space: what was searched.
        path: of the PNG to write.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = min(COLUMNS, len(space))
    rows = math.ceil(len(space) / columns)
    with light_figure(3.2 * columns, 2.8 * rows) as figure:
        for place, (key, one) in enumerate(space.items()):
            axes = figure.add_subplot(rows, columns, place + 1)
            _draw(axes, trials, best, metric, key, one)
            if place == 0:
                axes.legend(loc="best", fontsize=8)
            if place % columns == 0:
                axes.set_ylabel(metric.replace("_", " "))
        figure.tight_layout(w_pad=2.0, h_pad=2.0)
        save_png(figure, path)


def _draw(axes: Axes, trials: Sequence[Trial], best: Trial, metric: str, key: str, one: Range) -> None:
    for status, colour in KINDS.items():
        some = [trial for trial in trials if trial.status == status]
        if some:
            places = [_place(trial.parameters[key], one) for trial in some]
            axes.scatter(places, [trial.figures[metric] for trial in some], s=16, color=colour, label=NAMES[status])
    at = _place(best.parameters[key], one)
    axes.scatter([at], [best.figures[metric]], s=90, facecolors="none", edgecolors=COLOURS[1], linewidths=1.6)
    if one.log is not None:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if one.choice is not None:
        axes.set_xticks(range(len(one.choice)), [str(value) for value in one.choice])
        axes.set_xlim(-0.5, len(one.choice) - 0.5)
    axes.set_title(key, loc="left", fontsize=10, color=QUIET)
    axes.grid(axis="y")


def _place(value: Any, one: Range) -> float:
    return float(value) if one.choice is None else float(list(one.choice).index(value))
