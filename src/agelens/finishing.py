"""The last steps of every bundle: fewer bits, figures and calibration on validation faces, and the card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnx

from agelens import ages
from agelens.bundle import Bundle
from agelens.card import CARD_KEY, Card, dump_card
from agelens.compression import Bits, compressed
from agelens.data.grouping import year_ends
from agelens.data.manifest import Manifest
from agelens.errors import DataError, ExportError
from agelens.evaluate.answers import answers_of
from agelens.evaluate.evaluation import Predictions, predict_split, read_crops
from agelens.evaluate.figures import figures
from agelens.evaluate.intervals import banded_mass, calibrated_masses, crossfitted_coverage
from agelens.evaluate.thresholds import thresholds
from agelens.files import atomic_path

__all__ = ["LEVELS", "PARITY_CROPS", "Finished", "check_faces", "finish"]

LEVELS: Final = (0.5, 0.8, 0.9, 0.95)
MAX_ROUNDING: Final = 0.5  # years that fewer bits may move an age by, on average
PARITY_CROPS: Final = 128
MIN_FACES: Final = 2
MAX_FALSE_PASS: Final = 0.01  # of which the card's challenge ages speak


class Finished(NamedTuple):
    """A bundle's card, and what it says of the validation faces of a manifest.

    ``moved`` is by how many years fewer bits a weight move an age, on average; 0 where the weights stay as they are.
    """

    card: Card
    predictions: Predictions
    manifest: Manifest
    moved: float


def check_faces(manifest: Manifest) -> None:
    """See that a manifest has validation faces enough.

    Raises:
        DataError: it has not.
    """
    if len(manifest.split("val")) < MIN_FACES:
        raise DataError(f"{manifest.folder}: fewer than {MIN_FACES} validation faces; intervals need more to go by")


def finish(
    model: onnx.ModelProto,
    card: Card,
    manifest: Manifest,
    out: Path,
    *,
    bits: Bits = 32,
    check: Callable[[Bundle], None] = lambda bundle: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Finished:
    """Write a network as a bundle, its card with calibration and figures of the validation faces of a manifest.

    Args:
        model: the network, float32.
        card: all but the calibration and the figures.
        manifest: one that ``check_faces`` let through.
        out: the bundle to write.
        bits: that each weight takes.
        check: called with the bundle before its weights are made smaller; what it raises ends the work.
        progress: called with the number of validation faces measured and their total.

    Raises:
        DataError: a crop is missing or damaged.
        ExportError: fewer bits move the ages too far.
        OutputError: ``out`` cannot be written.
    """
    with atomic_path(out) as temporary:
        _write(model, card, temporary)
        bundle, moved = Bundle.load(temporary), 0.0
        check(bundle)
        if bits < 32:
            exact, model = bundle, compressed(model, bits)
            _write(model, card, temporary)
            bundle = Bundle.load(temporary)
            moved = _check_rounding(exact, bundle, manifest)
        predictions = predict_split(bundle, manifest, "val", progress=progress)
        card = _calibrated(card, predictions)
        _write(model, card, temporary)
        Bundle.load(temporary)  # as a user will open it
    return Finished(card, predictions, manifest, moved)


def _write(model: onnx.ModelProto, card: Card, path: Path) -> None:
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {CARD_KEY: dump_card(card)})
    path.write_bytes(model.SerializeToString())


def _check_rounding(exact: Bundle, rounded: Bundle, manifest: Manifest) -> float:
    crops = read_crops(manifest, manifest.split("val").iloc[:PARITY_CROPS], exact)
    years = [ages.expected_age(bundle.run(crops).age_probs) for bundle in (exact, rounded)]
    moved = float(np.abs(years[1] - years[0]).mean())
    if not moved <= MAX_ROUNDING:
        raise ExportError(
            f"weights in fewer bits move the age by {moved:.2f} years on average; at most {MAX_ROUNDING} is let "
            "through, so nothing was written: take more bits"
        )
    return moved


def _calibrated(card: Card, predictions: Predictions) -> Card:
    exact = ~np.isnan(predictions.true_age)
    probs, true = predictions.age_probs[exact], predictions.true_age[exact]
    if len(true) < MIN_FACES:  # bands only
        ends = year_ends(predictions.rows)
        by_bands = {str(level): round(banded_mass(predictions.age_probs, *ends, level), 4) for level in LEVELS}
        card = replace(card, interval_masses=by_bands)
        measured = figures(answers_of(predictions, card.interval_mass(0.9)), 0.9)
    else:
        masses = [calibrated_masses(probs, true, level) for level in LEVELS]
        rising = np.maximum.accumulate(masses).round(4)  # those of rare ages may cross by chance
        by_year = {str(level): tuple(one.tolist()) for level, one in zip(LEVELS, rising, strict=True)}
        card = replace(card, interval_masses=by_year)
        measured = figures(answers_of(predictions, card.interval_mass(0.9)), 0.9)
        measured["crossfitted_coverage"] = {str(level): crossfitted_coverage(probs, true, level) for level in LEVELS}
    found = thresholds(predictions, MAX_FALSE_PASS)
    return replace(card, figures={"val": _rounded(measured)}, thresholds=found)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value
