"""The page of one model: its figures, plots, and best and worst answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agelens.evaluate.figure_texts import HEADINGS, cell, gap_text, interval_text, known_figures
from agelens.evaluate.figures import COMPARED
from agelens.evaluate.groups import CROSSED, FEW
from agelens.evaluate.html import embedded, render
from agelens.evaluate.plots import plot_ages, plot_calibration, plot_cumulative_scores, plot_decades
from agelens.evaluate.reported import Reported

__all__ = ["draw_page"]


def draw_page(measured: Mapping[str, Any], model: Reported, manifest: str, pictures: Mapping[str, bytes]) -> str:
    """The page as HTML; whatever comes from the data set or the bundle is escaped.

    Args:
        measured: by ``figures``, with crossings.
        model: whose figures they are.
        manifest: how the data set is to be called.
        pictures: PNG by title, which are shown below the figures.
    """
    known = known_figures(measured["all"])
    kinds = {"all": {"all faces": measured["all"]}, "decade": measured["decades"], **measured["groups"]}
    return render(
        "page.html.j2",
        name=model.name,
        terms=model.terms,
        manifest=manifest,
        few=FEW,
        headings=_headings(known),
        kinds=[_kind(kind, groups, known, measured["gaps"].get(kind, {})) for kind, groups in kinds.items()],
        whole=measured["all"],
        unanswered=measured["unanswered"],
        held=model.held,
        plots=embedded(_plots(measured, model)),
        pictures=embedded(pictures),
    )


def _kind(
    kind: str, groups: Mapping[str, Any], known: list[str], gaps: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    rows = [{"name": name, "few": one["few"], "cells": _cells(one, known)} for name, one in groups.items()]
    told = [gap_text(figure, one) for figure, one in gaps.items()]
    return {"name": kind, "rows": rows, "gaps": told, "folded": CROSSED in kind}


def _headings(known: list[str]) -> list[str]:
    found = ["faces"]
    for name in known:
        found += [HEADINGS[name], "95 %"] if name in COMPARED else [HEADINGS[name]]
    return found


def _cells(group: Mapping[str, Any], known: list[str]) -> list[str]:
    found = [f"{group['faces']:,}"]
    for name in known:
        found += [cell(group, name), interval_text(group, name)] if name in COMPARED else [cell(group, name)]
    return found


def _plots(measured: Mapping[str, Any], model: Reported) -> dict[str, bytes]:
    answers = model.answers.of(model.answers.known & ~np.isnan(model.answers.true))
    if not len(answers.age):
        return {}
    plots = {
        "Estimated against true age, with the middle half of each decade": plot_ages(answers.age, answers.true),
        "Error by age, with 95 % intervals": plot_decades(measured["decades"]),
        "Share of the answers that are near enough": plot_cumulative_scores({model.name: measured["all"]["cs"]}),
    }
    if model.held:
        plots["What the intervals claim and what they hold"] = plot_calibration(model.held)
    return plots
