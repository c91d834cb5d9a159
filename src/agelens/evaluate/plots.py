"""Pictures of how well a model does, each as the bytes of a PNG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from agelens import ages
from agelens.data.decades import decade_of
from agelens.data.figure_style import COLOURS, QUIET, light_figure, png_bytes

__all__ = ["plot_ages", "plot_calibration", "plot_cumulative_scores", "plot_decades"]

Values = npt.NDArray[Any]
WIDTH: Final = 4.6  # inches
HEIGHT: Final = 3.6
QUARTERS: Final = (0.25, 0.5, 0.75)


def plot_ages(predicted: Values, true: Values) -> bytes:
    """Predicted against true age, (N,) and (N,) years: a dot a face, their middle and quarters by decade."""
    with light_figure(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        size = float(np.clip(8000 / len(true), 1, 14))
        axes.scatter(true, predicted, s=size, color=COLOURS[0], alpha=0.3, linewidths=0, rasterized=True)
        axes.plot([0, ages.MAX_AGE], [0, ages.MAX_AGE], color=QUIET, linewidth=0.8)
        decades = decade_of(true)
        for chosen in (decades == place for place in np.unique(decades)):
            low, middle, high = np.quantile(predicted[chosen], QUARTERS)
            bar = [[middle - low], [high - middle]]
            axes.errorbar([np.median(true[chosen])], [middle], yerr=bar, fmt="o", color=COLOURS[1], markersize=4)
        _frame(axes, "true age", "estimated age")
        axes.set_xlim(0, ages.MAX_AGE)
        axes.set_ylim(0, ages.MAX_AGE)
        figure.tight_layout()
        return png_bytes(figure)


def plot_decades(decades: dict[str, dict[str, Any]]) -> bytes:
    """Mean absolute error of each decade with its 95 % interval, and bias, from ``figures``'s decades."""
    known = {name: one for name, one in decades.items() if one["mae"] is not None}
    places = np.arange(len(known))
    errors = np.array([one["mae"] for one in known.values()])
    ends = np.array([one["uncertainty"]["mae"] for one in known.values()]).reshape(-1, 2)
    with light_figure(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        axes.bar(places, errors, color=COLOURS[0], width=0.7, label="mean absolute error")
        axes.errorbar(places, errors, yerr=np.abs(ends - errors[:, None]).T, fmt="none", color=QUIET, linewidth=1)
        axes.plot(places, [one["bias"] for one in known.values()], "o", color=COLOURS[1], label="bias")
        axes.axhline(0, color=QUIET, linewidth=0.8)
        axes.set_xticks(places, list(known), rotation=45, ha="right")
        _frame(axes, "true age", "years")
        axes.legend(loc="upper left")
        figure.tight_layout()
        return png_bytes(figure)


def plot_cumulative_scores(scores: list[float]) -> bytes:
    """The share of answers within 0, 1, 2 … years of the truth."""
    with light_figure(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        axes.plot(range(len(scores)), scores, color=COLOURS[0], marker="o", markersize=3)
        _frame(axes, "off by at most, years", "share of the faces")
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.tight_layout()
        return png_bytes(figure)


def plot_calibration(levels: Mapping[float, Mapping[str, float]]) -> bytes:
    """What intervals claim against what they hold: by level, ``coverage`` of all faces, and of the ``worst`` decade."""
    claimed = sorted(levels)
    with light_figure(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
        for name, label, colour in (("coverage", "all faces", COLOURS[0]), ("worst", "worst decade", COLOURS[1])):
            held = [levels[level][name] for level in claimed]
            axes.plot(claimed, held, color=colour, marker="o", markersize=4, label=label)
        _frame(axes, "share that the intervals claim", "share of true ages that they hold")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        least = max(0.0, min([*claimed, *(one["worst"] for one in levels.values())]) - 0.05)
        axes.set_xlim(least, 1)
        axes.set_ylim(least, 1)
        axes.legend(loc="upper left")
        figure.tight_layout()
        return png_bytes(figure)


def _frame(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(axis="y")
