"""Figures as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agelens.cli.console import note, print_line, print_table
from agelens.evaluate.figure_texts import (
    HEADINGS,
    against_cells,
    cell,
    gap_text,
    interval_text,
    known_figures,
    main_figure,
    unit_of,
)
from agelens.evaluate.groups import CROSSED, FEW

__all__ = ["show_comparison", "show_figures", "show_matrix"]

FEW_MARK = "*"


def show_figures(measured: dict[str, Any]) -> None:
    """The figures of all faces and of each group as a table on stdout, without those that are not known.

    Groups of two kinds at once are in the JSON only; small ones have a mark. The gaps follow, a line each.
    """
    shown = [one for kind, one in measured["groups"].items() if CROSSED not in kind]
    named = [{"all": measured["all"]}, measured["decades"], *shown]
    groups = [(name + (FEW_MARK if group["few"] else ""), group) for one in named for name, group in one.items()]
    known = known_figures(measured["all"])
    rows = [[name, *_cells(group, known)] for name, group in groups]
    print_table({"group": "left", **_columns(known)}, rows)
    for kind, figures in measured["gaps"].items():
        if CROSSED not in kind:
            for figure, one in figures.items():
                if figure == main_figure(measured["all"]):
                    print_line(f"by {kind}: {gap_text(figure, one)}")
    if any(group["few"] for _, group in groups):
        print_line(f"{FEW_MARK} fewer than {FEW} people")
    if measured["unanswered"]:
        note(f"{measured['unanswered']} faces without an answer are left out")


def _columns(known: list[str]) -> dict[str, str]:
    """Headings of the figures, the interval of the first one behind it."""
    first, *others = known
    return dict.fromkeys(["faces", HEADINGS[first], "95%", *(HEADINGS[name] for name in others)], "right")


def _cells(group: Mapping[str, Any], known: list[str]) -> list[str]:
    first, *others = known
    texts = [cell(group, first), interval_text(group, first), *(cell(group, name) for name in others)]
    return [str(group["faces"]), *texts]


def show_comparison(place: str, compared: dict[str, Any]) -> None:
    """Figures of several models on one manifest as a table on stdout, a line each."""
    first = next(iter(compared))
    known = [name for name in HEADINGS if any(name in known_figures(one["all"]) for one in compared.values())]
    figure = main_figure(compared[first]["all"])
    told = any(figure in (one["against_first"] or {}) for one in compared.values())
    columns = {"model": "left", **_columns(known)}
    columns |= {f"against {first}, {unit_of(figure)[1]}": "right", "95% ": "right"} if told else {}
    rows = [
        [name, *_cells(one["all"], known), *(against_cells(one["against_first"], figure) if told else [])]
        for name, one in compared.items()
    ]
    print_line(f"{place}:")
    print_table(columns, rows)
    for name, one in compared.items():
        if one["unanswered"]:
            note(f"{name} said nothing of {one['unanswered']} faces on {place}; they are left out for all models")


def show_matrix(measured: Mapping[str, Mapping[str, Any]]) -> None:
    """The main figure of every model on every manifest as a table on stdout."""
    names = list(dict.fromkeys(name for models in measured.values() for name in models))
    rows = [
        [name, *(_main(models[name]["all"]) if name in models else "" for models in measured.values())]
        for name in names
    ]
    print_line("MAE in years, or the share within the band where only bands are known:")
    print_table({"model": "left", **dict.fromkeys(measured, "right")}, rows)


def _main(whole: Mapping[str, Any]) -> str:
    return cell(whole, main_figure(whole))
