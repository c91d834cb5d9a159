"""What a model said of each face, and the faces that it did best and worst on, to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.data.manifest import MANIFEST_NAME, Manifest
from agelens.data.overview import age_text
from agelens.evaluate.answers import Answers
from agelens.evaluate.face_grid import draw_faces
from agelens.evaluate.figures import figures
from agelens.evaluate.figures_csv import figures_table
from agelens.evaluate.page import draw_page
from agelens.evaluate.reported import LEVEL, Reported
from agelens.files import real_path, staged_folder, write_text

__all__ = ["PAGE", "per_image", "short_name", "write_report"]

PAGE: Final = "report.html"
SHOWN: Final = 24
SUBTITLE: Final = "below each face its label, then the answer, with its 90 % interval where it has one"


def per_image(answers: Answers) -> pd.DataFrame:
    """A row for each face, in the manifest's order.

    Columns: "path", the original's; "age", NaN where only a band is known; "age_low" and "age_high", the band;
    "predicted_age", NaN where there is no answer; "error", predicted less true age, or the distance from the band;
    "low" and "high", the interval; "gender" and "predicted_gender". What is not known or not told is NaN or None.
    """
    rows = answers.rows
    predicted, true = answers.age, answers.true
    intervals = np.full((len(rows), 2), np.nan) if answers.intervals is None else answers.intervals
    low, high = (rows[end].to_numpy(dtype=np.float64) for end in ("age_low", "age_high"))
    beyond = np.where(predicted > high, predicted - high, np.minimum(predicted - low, 0))
    return pd.DataFrame(
        {
            "path": rows["source_path"],
            "age": true,
            "age_low": low,
            "age_high": high,
            "predicted_age": predicted.round(2),
            "error": np.where(np.isnan(true), beyond, predicted - true).round(2),
            "low": intervals[:, 0].round(2),
            "high": intervals[:, 1].round(2),
            "gender": rows["gender"],
            "predicted_gender": answers.gender,
        }
    )


def write_report(
    model: Reported, manifest: Manifest, place: str, folder: Path, *, measured: Mapping[str, Any] | None = None
) -> None:
    """Write ``report.html``, ``figures.json`` and ``.csv``, ``predictions.csv``, ``best.png`` and ``worst.png``.

    They take their places together, when all are made. Of vectors there are no pictures.

    Args:
        model: whose answers are to faces of ``manifest``, at least one.
        manifest: whose crops are drawn.
        place: the manifest's path, as figures name it.
        folder: where they go; made where it is missing.
        measured: its ``figures`` with crossings, where they are known already.

    Raises:
        DataError: a crop is missing or damaged.
        OutputError: the folder cannot be written in.
    """
    with staged_folder(folder) as stage:
        _write_files(model, manifest, place, stage, measured)


def _write_files(
    model: Reported, manifest: Manifest, place: str, folder: Path, measured: Mapping[str, Any] | None
) -> None:
    answers = model.answers.of(model.answers.known)
    measured = figures(model.answers, LEVEL, crossings=True) if measured is None else measured
    table = per_image(model.answers)
    write_text(folder / "figures.json", json.dumps({**measured, "intervals": model.held}, indent=1) + "\n")
    write_text(folder / "figures.csv", figures_table({place: {model.name: measured}}).to_csv(index=False))
    write_text(folder / "predictions.csv", table.to_csv(index=False))
    table = table[model.answers.known]
    pictures = {} if manifest.embedder is not None else _draw_extremes(manifest, answers.rows, table, folder)
    write_text(folder / PAGE, draw_page(measured, model, short_name(place), pictures))


def _draw_extremes(manifest: Manifest, rows: pd.DataFrame, table: pd.DataFrame, folder: Path) -> dict[str, bytes]:
    """``best.png`` and ``worst.png``, by their titles."""
    order = np.argsort(table["error"].abs().to_numpy(), kind="stable")
    pictures = {}
    for name, title, chosen in (
        ("best", "Closest answers", order[:SHOWN]),
        ("worst", "Farthest answers", order[::-1][:SHOWN]),
    ):
        captions = [_caption(table.iloc[one]) for one in chosen]
        heading, path = f"{title} of {len(table):,}", folder / f"{name}.png"
        draw_faces(manifest, rows.iloc[chosen], captions, heading, SUBTITLE, path)
        pictures[title] = path.read_bytes()
    return pictures


def short_name(place: str) -> str:
    """What a manifest is called on a page: the last part of its path that tells it from others."""
    path = real_path(Path(place))
    return path.parent.name if path.name == MANIFEST_NAME else path.name


def _caption(face: pd.Series[Any]) -> tuple[str, str]:
    label = age_text(face["age"], face["age_low"], face["age_high"])
    interval = "" if pd.isna(face["low"]) else f" ({face['low']:.0f}–{face['high']:.0f})"
    return label, f"{face['predicted_age']:.0f}{interval}"
