"""Figures as tables on the terminal."""

from __future__ import annotations

from typing import Any

from agelens.cli.console import print_line, print_table
from agelens.evaluate.groups import CROSSED, FEW

__all__ = ["show_comparison", "show_figures"]

OFF = "mae_interval"
FIGURES = {"mae": "MAE", OFF: "95%", "rmse": "RMSE", "bias": "bias", "cs5": "CS@5", "band_accuracy": "in band"}
FIGURES |= {"gender_accuracy": "gender", "coverage": "coverage", "interval_width": "width"}
FEW_MARK = "*"
FORMATS = {"mae": ".2f", OFF: "", "rmse": ".2f", "bias": "+.2f", "interval_width": ".1f"}


def show_figures(measured: dict[str, Any]) -> None:
    """The figures of all faces and of each group as a table on stdout, without those that are not known.

    Groups of two kinds at once are in the JSON only; small ones have a mark. The gaps follow, a line each.
    """
    shown = [one for kind, one in measured["groups"].items() if CROSSED not in kind]
    named = [{"all": measured["all"]}, measured["decades"], *shown]
    groups = [(name + (FEW_MARK if group["few"] else ""), _flat(group)) for one in named for name, group in one.items()]
    known = {name: heading for name, heading in FIGURES.items() if groups[0][1][name] is not None}
    columns = {"group": "left", "faces": "right"} | dict.fromkeys(known.values(), "right")
    print_table(columns, [[name, str(group["faces"]), *_cells(group, list(known))] for name, group in groups])
    for kind, one in measured["gaps"].items():
        if CROSSED not in kind:
            ends = "{:.1f} to {:.1f}".format(*one["interval"])
            print_line(f"by {kind}: {one['worst']} {one['years']:.1f} years worse than {one['best']} (95%: {ends})")
    if any(group["few"] for _, group in groups):
        print_line(f"{FEW_MARK} fewer than {FEW} faces")


def _flat(group: dict[str, Any]) -> dict[str, Any]:
    """Figures with the interval of the mean error as a cell."""
    ends = group["uncertainty"].get("mae")
    return group | {OFF: None if ends is None else "{:.2f}–{:.2f}".format(*ends)}


def _cells(group: dict[str, Any], names: list[str]) -> list[str]:
    return ["" if group[name] is None else format(group[name], FORMATS.get(name, ".1%")) for name in names]


def show_comparison(place: str, compared: dict[str, Any]) -> None:
    """Figures of several models on one manifest as a table on stdout, a line each."""
    first = next(iter(compared))
    rows = {name: _flat(one["all"]) for name, one in compared.items()}
    known = {name: heading for name, heading in FIGURES.items() if rows[first][name] is not None}
    columns = {"model": "left", "faces": "right", **dict.fromkeys(known.values(), "right")}
    told = any(one["against_first"] for one in compared.values())
    columns |= {f"against {first}": "right", "95% ": "right"} if told else {}
    cells = []
    for name, row in rows.items():
        distance = _distance(compared[name]["against_first"]) if told else []
        cells.append([name, str(row["faces"]), *_cells(row, list(known)), *distance])
    print_line(f"{place}:")
    print_table(columns, cells)


def _distance(against: dict[str, Any] | None) -> list[str]:
    if against is None:
        return ["", ""]
    return [f"{against['years']:+.2f}", "{:+.2f} to {:+.2f}".format(*against["interval"])]
