"""Figures in words: what a table's columns are called, and how a number is written, on the terminal and on pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["HEADINGS", "against_cells", "cell", "gap_text", "interval_text", "known_figures", "main_figure", "unit_of"]

# The figures that tables show, in order, with their headings and formats.
HEADINGS: Final[Mapping[str, str]] = {
    "mae": "MAE",
    "rmse": "RMSE",
    "bias": "bias",
    "cs5": "CS@5",
    "band_accuracy": "in band",
    "likeliest_band": "likeliest band",
    "gender_accuracy": "gender",
    "coverage": "coverage",
    "interval_width": "width",
    "crps": "CRPS",
}
YEARS: Final[Mapping[str, str]] = {
    "mae": ".2f",
    "rmse": ".2f",
    "bias": "+.2f",
    "interval_width": ".1f",
    "crps": ".2f",
}  # the others are shares

SHARED: Final[Mapping[str, str]] = {"band_accuracy": "answers within the band", "gender_accuracy": "gender"}


def known_figures(whole: Mapping[str, Any]) -> list[str]:
    """Names of the figures that can be told of all faces, in the order of tables."""
    return [name for name in HEADINGS if whole[name] is not None]


def main_figure(whole: Mapping[str, Any]) -> str:
    """By which models are compared at a glance: the mean error, or the share within the band where bands are known."""
    return "mae" if whole["mae"] is not None else "band_accuracy"


def cell(figures: Mapping[str, Any], name: str) -> str:
    """A figure as text; empty where it is not known."""
    return "" if figures[name] is None else format(figures[name], YEARS.get(name, ".1%"))


def interval_text(figures: Mapping[str, Any], name: str) -> str:
    """The 95 % interval of a figure as text; empty where it is not known."""
    ends = figures["uncertainty"].get(name)
    return "" if ends is None else "–".join(format(end, YEARS.get(name, ".1%")) for end in ends)


def gap_text(figure: str, one: Mapping[str, Any]) -> str:
    """How far the best and the worst group lie apart in a figure."""
    scale, unit = unit_of(figure)
    what = f" in {SHARED[figure]}" if figure in SHARED else ""
    low, high = (scale * end for end in one["interval"])
    away = f"{scale * one['difference']:.1f} {unit}"
    return f"{one['worst']} {away} worse than {one['best']}{what} (95%: {low:.1f} to {high:.1f})"


def unit_of(figure: str) -> tuple[int, str]:
    """What differences of a figure are told in: by what to multiply them, and the unit."""
    return (1, "years") if figure in YEARS else (100, "points")


def against_cells(against: Mapping[str, Any] | None, figure: str) -> list[str]:
    """How far a model's figure lies from the first one's, with the interval of that, as texts; see ``unit_of``."""
    one = (against or {}).get(figure)
    if one is None:
        return ["", ""]
    scale, _ = unit_of(figure)
    told, *ends = (format(scale * value, "+.2f") for value in (one["difference"], *(one["interval"] or ())))
    return [told, " to ".join(ends)]
