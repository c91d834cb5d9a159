"""What a model said of each face, and the faces that it did best and worst on, to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens import ages
from agelens.bundle import Card
from agelens.data.manifest import Manifest
from agelens.data.overview import age_text
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.face_grid import draw_faces
from agelens.evaluate.figures import figures
from agelens.evaluate.page import draw_page, held_by_level
from agelens.files import make_folder, write_text

__all__ = ["per_image", "write_report"]

LEVEL: Final = 0.9
SHOWN: Final = 24
SUBTITLE: Final = "below each face its label, then the answer with its 90 % interval"


def per_image(predictions: Predictions, mass: ages.Mass) -> pd.DataFrame:
    """A row for each face, in the manifest's order.

    Columns: "path", the original's; "age", NaN where only a band is known; "age_low" and "age_high", the band;
    "predicted_age"; "error", predicted less true age, or the distance from the band; "low" and "high", the interval
    that holds the central ``mass``; "gender" and "predicted_gender", None where it is not known or not told.
    """
    rows = predictions.rows
    predicted = predictions.age
    intervals = ages.interval(predictions.age_probs, mass)
    true = predictions.true_age
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
            "predicted_gender": predictions.gender if predictions.genders else None,
        }
    )


def write_report(predictions: Predictions, card: Card, manifest: Manifest, folder: Path) -> None:
    """Write ``report.html``, ``figures.json``, ``predictions.csv``, ``best.png`` and ``worst.png`` into a folder.

    Args:
        predictions: of at least one face of ``manifest``.
        card: of the bundle that made them, calibrated at 90 %.
        manifest: whose crops are drawn.
        folder: made where it is missing.

    Raises:
        DataError: a crop is missing or damaged.
        OutputError: the folder cannot be written in.
    """
    make_folder(folder)
    mass = card.interval_mass(LEVEL)
    table, measured = per_image(predictions, mass), figures(predictions, LEVEL, mass, crossings=True)
    held = held_by_level(predictions, card)
    write_text(folder / "figures.json", json.dumps({**measured, "intervals": held}, indent=1) + "\n")
    write_text(folder / "predictions.csv", table.to_csv(index=False))
    order = np.argsort(table["error"].abs().to_numpy(), kind="stable")
    pictures = {}
    for name, title, chosen in (
        ("best", "Closest answers", order[:SHOWN]),
        ("worst", "Farthest answers", order[::-1][:SHOWN]),
    ):
        captions = [_caption(table.iloc[place]) for place in chosen]
        heading, path = f"{title} of {len(table):,}", folder / f"{name}.png"
        draw_faces(manifest, predictions.rows.iloc[chosen], captions, heading, SUBTITLE, path)
        pictures[title] = path.read_bytes()
    page = draw_page(measured, predictions, card, held, manifest.folder.name, pictures)
    write_text(folder / "report.html", page)


def _caption(face: pd.Series[Any]) -> tuple[str, str]:
    label = age_text(face["age"], face["age_low"], face["age_high"])
    return label, f"{face['predicted_age']:.0f} ({face['low']:.0f}–{face['high']:.0f})"
