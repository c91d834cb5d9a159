"""The page: a model's figures, plots, and best and worst answers, in one file that needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from agelens import ages
from agelens._version import VERSION
from agelens.bundle import Card
from agelens.data.decades import DECADES, decade_of
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.groups import CROSSED, FEW
from agelens.evaluate.metrics import coverage
from agelens.evaluate.plots import plot_ages, plot_calibration, plot_cumulative_scores, plot_decades

__all__ = ["draw_page", "held_by_level"]

COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "faces": ("faces", "{:,}"),
    "mae": ("MAE", "{:.2f}"),
    "rmse": ("RMSE", "{:.2f}"),
    "bias": ("bias", "{:+.2f}"),
    "cs5": ("CS@5", "{:.1%}"),
    "band_accuracy": ("in band", "{:.1%}"),
    "gender_accuracy": ("gender", "{:.1%}"),
    "coverage": ("coverage", "{:.1%}"),
    "interval_width": ("width", "{:.1f}"),
}
LEAST: Final = 100  # faces of a decade whose coverage is told by itself


def held_by_level(predictions: Predictions, card: Card) -> dict[float, dict[str, float]]:
    """For each level of a bundle: ``coverage`` of faces with exact ages, of the ``worst`` decade, and mean ``width``.

    Decades of fewer than a hundred faces are not looked at by themselves. Empty where no face has an exact age.
    """
    exact = ~np.isnan(predictions.true_age)
    probs, true = predictions.age_probs[exact], np.clip(predictions.true_age[exact], 0, ages.MAX_AGE)
    decades = decade_of(true)
    large = [decades == place for place in range(len(DECADES)) if (decades == place).sum() >= LEAST]
    held = {}
    for level in sorted(map(float, card.interval_masses)) if len(true) else ():
        intervals = ages.interval(probs, card.interval_mass(level))
        whole = coverage(intervals, true)
        held[level] = {
            "coverage": whole,
            "worst": min([coverage(intervals[one], true[one]) for one in large], default=whole),
            "width": float(np.diff(intervals, axis=1).mean()),
        }
    return held


def draw_page(
    measured: Mapping[str, Any],
    predictions: Predictions,
    card: Card,
    held: Mapping[float, Mapping[str, float]],
    manifest: str,
    pictures: Mapping[str, bytes],
) -> str:
    """The page as HTML; whatever comes from the data set or the bundle is escaped.

    Args:
        measured: by ``figures``, with crossings.
        predictions: that they come from.
        card: the bundle's.
        held: by ``held_by_level``.
        manifest: how the data set is to be called.
        pictures: PNG by title, which are shown below the figures.
    """
    environment = Environment(
        loader=PackageLoader("agelens.evaluate", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    columns = {name: one for name, one in COLUMNS.items() if measured["all"][name] is not None}
    kinds = {"all": {"all faces": measured["all"]}, "decade": measured["decades"], **measured["groups"]}
    return environment.get_template("page.html.j2").render(
        version=VERSION,
        name=card.name,
        terms=card.terms,
        manifest=manifest,
        few=FEW,
        headings=[heading for heading, _ in columns.values()],
        kinds=[_kind(kind, groups, columns, measured["gaps"].get(kind)) for kind, groups in kinds.items()],
        interval=measured["all"]["uncertainty"].get("mae"),
        whole=measured["all"],
        held=held,
        plots={title: _embedded(data) for title, data in _plots(measured, predictions, held).items()},
        pictures={title: _embedded(data) for title, data in pictures.items()},
    )


def _kind(
    kind: str, groups: Mapping[str, Any], columns: Mapping[str, tuple[str, str]], gap: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    rows = [{"name": name, "few": group["few"], "cells": _cells(group, columns)} for name, group in groups.items()]
    return {"name": kind, "rows": rows, "gap": gap, "folded": CROSSED in kind}


def _cells(group: Mapping[str, Any], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    return ["" if group[name] is None else text.format(group[name]) for name, (_, text) in columns.items()]


def _plots(
    measured: Mapping[str, Any], predictions: Predictions, held: Mapping[float, Mapping[str, float]]
) -> dict[str, bytes]:
    exact = ~np.isnan(predictions.true_age)
    if not exact.any():
        return {}
    return {
        "Estimated against true age, with the middle half of each decade": plot_ages(
            predictions.age[exact], predictions.true_age[exact]
        ),
        "Error by age, with 95 % intervals": plot_decades(measured["decades"]),
        "Share of the answers that are near enough": plot_cumulative_scores(measured["all"]["cs"]),
        "What the intervals claim and what they hold": plot_calibration(held),
    }


def _embedded(data: bytes) -> str:
    return b64encode(data).decode()
