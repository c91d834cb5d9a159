"""The page of several models on several data sets: who is nearer, on whom, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from agelens.evaluate.html import embedded, render
from agelens.evaluate.plots import plot_cumulative_scores, plot_decade_lines, plot_differences

__all__ = ["draw_comparison"]

Models = Mapping[str, Mapping[str, Any]]


def draw_comparison(measured: Mapping[str, Models], reports: Mapping[tuple[str, str], str]) -> str:
    """The page as HTML; whatever comes from a data set or a bundle is escaped.

    Args:
        measured: what ``compare`` gives, by data set; a model may be missing from some.
        reports: where the page of one model on one data set lies, from this one's folder, by data set and model.
    """
    names = list(dict.fromkeys(name for models in measured.values() for name in models))
    return render(
        "comparison.html.j2",
        names=names,
        manifests=list(measured),
        matrix=[{"name": name, "cells": [_corner(models, name) for models in measured.values()]} for name in names],
        places=[_place(manifest, models, reports) for manifest, models in measured.items()],
        few=FEW,
    )


def _corner(models: Models, name: str) -> Mapping[str, Any]:
    """A cell of the matrix: a model's main figure on a data set."""
    if name not in models:
        return {"text": "", "interval": "", "best": False}
    figure = main_figure(models[name]["all"])
    whole = models[name]["all"]
    best = _best({other: one["all"] for other, one in models.items()}, figure)
    return {"text": cell(whole, figure), "interval": interval_text(whole, figure), "best": name in best}


def _place(manifest: str, models: Models, reports: Mapping[tuple[str, str], str]) -> Mapping[str, Any]:
    first = next(iter(models.values()))
    known = [name for name in HEADINGS if any(name in known_figures(one["all"]) for one in models.values())]
    figure = main_figure(first["all"])
    told = any(figure in (one["against_first"] or {}) for one in models.values())
    against = [f"against {next(iter(models))}, {unit_of(figure)[1]}", "95%"] if told else []
    rows = []
    for name, one in models.items():
        cells = [cell(one["all"], figure) for figure in known]
        cells += against_cells(one["against_first"], figure) if told else []
        rows.append({"name": name, "cells": cells, "report": reports.get((manifest, name))})
    return {
        "name": manifest,
        "faces": first["all"]["faces"],
        "unanswered": {name: one["unanswered"] for name, one in models.items() if one["unanswered"]},
        "headings": [*(HEADINGS[name] for name in known), *against],
        "rows": rows,
        "figure": HEADINGS[figure],
        "kinds": _kinds(models, figure),
        "plots": embedded(_plots(models, figure)),
    }


def _kinds(models: Models, figure: str) -> list[Mapping[str, Any]]:
    """The main figure of every group, a column for each model."""
    first = next(iter(models.values()))
    found: list[Mapping[str, Any]] = []
    for kind, groups in {"decade": first["decades"], **first["groups"]}.items():
        rows = []
        for group in groups:
            of_models = {
                name: (one["decades"] if kind == "decade" else one["groups"][kind])[group]
                for name, one in models.items()
            }
            best = set() if groups[group]["few"] else _best(of_models, figure)
            rows.append(
                {
                    "name": group,
                    "few": groups[group]["few"],
                    "cells": [f"{groups[group]['faces']:,}", *(cell(one, figure) for one in of_models.values())],
                    "best": [1 + place for place, name in enumerate(of_models) if name in best],
                }
            )
        gaps = [
            f"{name}: {gap_text(figure, one['gaps'][kind][figure])}"
            for name, one in models.items()
            if figure in one["gaps"].get(kind, {})
        ]
        found.append({"name": kind, "rows": rows, "gaps": gaps, "folded": CROSSED in kind})
    return found


def _best(figures: Models, figure: str) -> set[str]:
    """The names of the models with the best figure, as it is written; none where they are all alike."""
    known = {name: one[figure] for name, one in figures.items() if one[figure] is not None}
    if len({cell(figures[name], figure) for name in known}) < 2:
        return set()
    best = (min if figure == "mae" else max)(known, key=known.__getitem__)
    return {name for name in known if cell(figures[name], figure) == cell(figures[best], figure)}


def _plots(models: Models, figure: str) -> dict[str, bytes]:
    first, *_ = models
    plots = {}
    if figure == "mae":
        decades = {name: one["decades"] for name, one in models.items()}
        scores = {name: one["all"]["cs"] for name, one in models.items()}
        plots["Error by age, with 95 % intervals"] = plot_decade_lines(decades)
        plots["Share of the answers that are near enough"] = plot_cumulative_scores(scores)
    apart = {name: (one["against_first"] or {}).get(figure) for name, one in models.items()}
    paired = {name: one for name, one in apart.items() if one and one["interval"]}
    if paired:
        what = "Mean error" if figure == "mae" else "Share within the band"
        title = f"{what} beside the first model's, with the 95 % interval of pairs"
        plots[title] = plot_differences(first, paired, unit_of(figure))
    return plots
