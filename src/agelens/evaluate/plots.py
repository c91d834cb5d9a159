"""Pictures of how well a model does, each as the bytes of a PNG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from agelens import ages
from agelens.data.decades import decade_of
from agelens.data.figure_style import COLOURS, QUIET, light_figure, png_bytes

__all__ = [
    "plot_ages",
    "plot_calibration",
    "plot_cumulative_scores",
    "plot_decade_lines",
    "plot_decades",
    "plot_differences",
]

Values = npt.NDArray[Any]
WIDTH: Final = 4.6  # inches
HEIGHT: Final = 3.6
NAME: Final = 44  # characters
LINE: Final = 0.19  # inches of a line in a legend
BELOW: Final = (-0.15, -0.28)  # of the plot, where a legend starts
DASHES: Final = ("-", "--", ":", "-.")
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
    ends = _ends(known.values())
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


def plot_cumulative_scores(scores: Mapping[str, list[float]]) -> bytes:
    """The share of answers within 0, 1, 2 … years of the truth, of each model by its name."""
    with light_figure(WIDTH, _height(scores)) as figure:
        axes = figure.add_subplot()
        for place, (name, shares) in enumerate(scores.items()):
            axes.plot(range(len(shares)), shares, label=_label(name), **_stroke(place), markersize=3)
        axes.set_xticks(range(0, max(map(len, scores.values())), 2))
        _frame(axes, "off by at most, years", "share of the faces")
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _legend(axes, scores)
        figure.tight_layout()
        return png_bytes(figure)


def plot_decade_lines(models: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> bytes:
    """Mean absolute error of each decade with its 95 % interval, of each model: ``figures``'s decades by name."""
    first = next(iter(models.values()))
    names = [name for name, one in first.items() if one["mae"] is not None]  # faces are the same for all models
    with light_figure(WIDTH, _height(models)) as figure:
        axes = figure.add_subplot()
        for place, (model, decades) in enumerate(models.items()):
            known = [decades[name] for name in names]
            errors = np.array([one["mae"] for one in known])
            ends = _ends(known)
            across = np.arange(len(names)) + (place - (len(models) - 1) / 2) * 0.12
            bars = np.abs(ends - errors[:, None]).T
            axes.errorbar(across, errors, yerr=bars, label=_label(model), **_stroke(place), markersize=4, elinewidth=1)
        axes.set_xticks(np.arange(len(names)), names, rotation=45, ha="right")
        axes.set_ylim(bottom=0)
        _frame(axes, "true age", "mean absolute error, years")
        _legend(axes, models)
        figure.tight_layout()
        return png_bytes(figure)


def plot_differences(first: str, differences: Mapping[str, Mapping[str, Any]], unit: tuple[int, str]) -> bytes:
    """By how much a figure of each model is above the first one's, with its 95 % interval, see ``unit_of``."""
    scale, called = unit
    height = max(1.6, 0.8 + 0.45 * len(differences))
    with light_figure(WIDTH, height) as figure:
        axes = figure.add_subplot()
        places = np.arange(len(differences))[::-1]
        for place, (name, one) in zip(places, differences.items(), strict=True):
            low, high = (scale * end for end in one["interval"])
            axes.text(0, place + 0.25, _label(name), transform=axes.get_yaxis_transform(), va="bottom")
            axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=2)
            axes.plot([scale * one["difference"]], [place], "o", color=COLOURS[0])
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.set_yticks([])
        axes.set_ylim(-0.5, len(differences) - 0.2)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(f"{called} more than {_label(first)}")
        axes.grid(axis="x")
        figure.tight_layout()
        return png_bytes(figure)


def plot_calibration(levels: Mapping[float, Mapping[str, float | None]]) -> bytes:
    """What intervals claim against what they hold: by level, ``coverage`` of all faces, and of the ``worst`` decade."""
    claimed = sorted(levels)
    with light_figure(WIDTH, HEIGHT) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
        least = min(claimed)
        for name, label, colour in (("coverage", "all faces", COLOURS[0]), ("worst", "worst decade", COLOURS[1])):
            held = [one for level in claimed if (one := levels[level][name]) is not None]
            least = min([least, *held])
            axes.plot(claimed[: len(held)], held, color=colour, marker="o", markersize=4, label=label)
        _frame(axes, "share that the intervals claim", "share of true ages that they hold")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        least = max(0.0, least - 0.05)
        axes.set_xlim(least, 1)
        axes.set_ylim(least, 1)
        axes.legend(loc="upper left")
        figure.tight_layout()
        return png_bytes(figure)


def _ends(groups: Iterable[Mapping[str, Any]]) -> Values:
    """(G, 2), of each group's mean error; NaN where one person is all of it."""
    nothing = (np.nan, np.nan)
    return np.array([one["uncertainty"].get("mae", nothing) for one in groups], dtype=np.float64).reshape(-1, 2)


def _height(models: Mapping[str, Any]) -> float:
    """Inches, with room for a legend of several models below."""
    return HEIGHT + (LINE * len(models) if len(models) > 1 else 0)


def _legend(axes: Axes, models: Mapping[str, Any]) -> None:
    if len(models) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=BELOW)


def _stroke(place: int) -> dict[str, Any]:
    """How the line of one of several models looks."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place // len(COLOURS) % len(DASHES)],
        "marker": "o",
    }


def _label(name: str) -> str:
    """A name short enough for a legend; one that starts with _ would be left out of it."""
    half = NAME // 2
    name = name if len(name) <= NAME else f"{name[: half - 1]}…{name[-half:]}"
    return f" {name}" if name.startswith("_") else name


def _frame(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(axis="y")
