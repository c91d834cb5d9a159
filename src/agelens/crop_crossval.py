"""Cross-validation of networks on crops: one run after another, each kept as soon as it is done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from agelens.bundle import Bundle
from agelens.crossval import PARTS, SCRATCH, CrossvalPlan, Run, RunBook
from agelens.data.folds import folds_of
from agelens.data.grouping import year_ends
from agelens.data.manifest import read_manifest
from agelens.embed.checks import fingerprint
from agelens.errors import DataError
from agelens.evaluate import metrics
from agelens.evaluate.answers import answers_of
from agelens.evaluate.evaluation import Predictions, predict_split
from agelens.export import export
from agelens.train.config import TrainConfig, changed
from agelens.train.run import BUNDLE, LAST, train

__all__ = ["crossvalidate_crops"]

LEAST: Final = 1e-12  # a probability


def crossvalidate_crops(
    config: TrainConfig,
    plan: CrossvalPlan,
    out: Path,
    *,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a network for every fold and seed, and measure its bundle on the faces of train, val and test.

    Called again after it was cut off, it goes on with the run that it was at. The checkpoints of a run are removed when
    its figures are known; its bundle stays.

    Args:
        config: of the trainings; its ``data.fold`` and seeds are set here.
        plan: which; ``together`` is not for crops.
        out: the folder of the results, see ``crossval``.
        progress: called with a name, the number of runs done and their total.
        say: called with what the trainings tell.

    Returns:
        What ``crossval.json`` holds.

    Raises:
        ConfigError, DataError, OutputError, ExportError: as ``train`` and ``export``.
    """
    manifest = read_manifest(config.data.manifest)
    rows = manifest.split("all")
    places = [(fold, seed) for fold in np.unique(folds_of(rows, plan.folds)).tolist() for seed in range(plan.seeds)]
    asked = {**plan._asdict(), "together": None, "faces": fingerprint(rows, manifest)}
    with closing(RunBook(out, config, asked)) as book:
        missing = book.missing(SCRATCH, places)
        for fold, seed in set(places) - set(missing):
            _remove_checkpoints(_folder(out, fold, seed))
        progress("cross-validating", len(places) - len(missing), len(places))
        for done, (fold, seed) in enumerate(missing, start=1):
            told = {"number": fold, "count": plan.folds, "val_share": plan.val_share, "seed": seed}
            run = _folder(out, fold, seed)
            figures = _trained(changed(config, data__fold=told, seed=seed), run, say)
            book.add(Run(SCRATCH, fold, seed, figures))
            _remove_checkpoints(run)
            progress("cross-validating", len(places) - len(missing) + done, len(places))
        return book.finish()


def _folder(out: Path, fold: int, seed: int) -> Path:
    return out / "runs" / f"fold-{fold}-seed-{seed}"


def _trained(config: TrainConfig, run: Path, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    train(config, run, resume=(run / LAST).is_file(), progress=False, say=say)
    manifest = export(run, run / BUNDLE, name=run.name).manifest
    bundle = Bundle.load(run / BUNDLE)
    return {part: _figures(predict_split(bundle, manifest, part)) for part in PARTS}


def _remove_checkpoints(run: Path) -> None:
    """Of a run whose figures are kept; ``LAST`` first, so that half a removal is not taken for a run to go on with."""
    (run / LAST).unlink(missing_ok=True)
    shutil.rmtree((run / LAST).parent, ignore_errors=True)


def _figures(found: Predictions) -> dict[str, float]:
    """Of a bundle's distributions: "loss" is the negative log-likelihood of the age, or of the band."""
    figures = {"loss": _loss(found), **_age_figures(found)}
    told = found.rows["gender"].notna().to_numpy()
    if found.genders:
        right = (found.gender == found.rows["gender"].to_numpy(dtype=object))[told]
        figures["gender"] = float(right.mean()) if told.any() else float("nan")
    return figures


def _loss(found: Predictions) -> float:
    low, high = year_ends(found.rows)
    years = np.arange(found.age_probs.shape[1])
    inside = (years >= np.rint(low)[:, None]) & (years <= np.rint(high)[:, None])
    return float(-np.log(np.maximum((found.age_probs * inside).sum(axis=1), LEAST)).mean())


def _age_figures(found: Predictions) -> dict[str, float]:
    """Classes are years where ages are exact, else the bands that the data set has."""
    exact = ~np.isnan(found.true_age)
    if exact.any():
        some = found.of(exact)
        likeliest, true = some.age_probs.argmax(axis=1), np.clip(np.rint(some.true_age), 0, 100)
        mae = metrics.mae(some.age, some.true_age)
    else:
        bands = answers_of(found, 0.9).bands
        known = bands.labelled >= 0
        if not known.any():
            raise DataError("no face has an age or one of several bands, by which answers could be right")
        likeliest, true, mae = bands.likeliest[known], bands.labelled[known], float("nan")
    return {
        "accuracy": metrics.accuracy(likeliest, true),
        "relaxed_accuracy": metrics.relaxed_accuracy(likeliest, true),
        "mae": mae,
    }
