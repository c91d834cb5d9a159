"""Labels that models which did not learn from them find unlikely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens import ages
from agelens.audit.crops import CropReader, Progress, silent
from agelens.audit.findings import Finding, Kind
from agelens.audit.labels import OLDEST_PERSON
from agelens.audit.samples import Samples
from agelens.audit.scores import UNLIKELY_AGE, UNLIKELY_GENDER, age_score, gender_score, spread
from agelens.bundle import Bundle, Output
from agelens.errors import ConfigError, DataError
from agelens.faces.align import CropSpec, recrop_matrix, warp

__all__ = ["choose_judges", "find_suspects"]


def choose_judges(samples: Samples, count: int, *, in_sample: bool) -> list[npt.NDArray[np.int64]]:
    """The rows that each of some models judges.

    Args:
        samples: of the manifest.
        count: of models. One judges all samples but those of the split "train"; of several, the first judges fold 0,
            the second fold 1, and so on.
        in_sample: one model judges the split "train" too.

    Raises:
        ConfigError: there is nothing to judge, or there are not as many models as folds.
    """
    kept = samples.kept
    if count == 1:
        rows = kept if in_sample else kept[kept["split"] != "train"]
        if rows.empty:
            raise ConfigError(f"{samples.file}: has the split train only; --in-sample judges it all the same")
        return [rows.index.to_numpy(dtype=np.int64)]
    folds = sorted(kept["fold"].dropna().astype(int).unique())
    if folds != list(range(count)):
        known = ", ".join(map(str, folds)) or "none"
        raise ConfigError(f"{count} models judge the folds 0…{count - 1}, but {samples.file} has the folds: {known}")
    return [kept.index[kept["fold"] == fold].to_numpy(dtype=np.int64) for fold in folds]


def find_suspects(
    reader: CropReader, bundles: Sequence[Bundle], judged: Sequence[npt.NDArray[np.int64]], progress: Progress = silent
) -> Iterator[Finding]:
    """Labels that are likely wrong.

    Args:
        reader: of the samples' crops.
        bundles: the models.
        judged: the rows that each judges, see ``choose_judges``.
        progress: called with the number of faces judged and their total.

    Raises:
        DataError: the crops do not fit a bundle.
        BundleError: a network fails.
    """
    total, before = sum(map(len, judged)), 0
    for bundle, rows in zip(bundles, judged, strict=True):
        turn = _turn(reader.samples, bundle.card.crop)

        def advance(done: int, _: int, before: int = before) -> None:
            progress(before + done, total)

        for found, crops in reader.batches(rows, turn, advance):
            labels = reader.samples.table.iloc[found]
            output = bundle.run(crops)
            learnt = (labels["split"] == "train") & (len(bundles) == 1)
            for finding in (*_wrong_ages(labels, output), *_wrong_genders(labels, output, bundle.card.genders)):
                yield _mark(finding) if learnt[finding.rows[0]] else finding
        before += len(rows)


def _turn(samples: Samples, wanted: CropSpec) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]:
    try:
        matrix = recrop_matrix(samples.manifest.crop, wanted)
    except ValueError as error:
        raise DataError(f"{samples.file}: {error}; prepare the data set again for this bundle") from error
    return (lambda crop: crop) if samples.manifest.crop == wanted else (lambda crop: warp(crop, matrix, wanted.size))


def _wrong_ages(labels: pd.DataFrame, output: Output) -> Iterator[Finding]:
    low = labels["age"].fillna(labels["age_low"]).to_numpy(dtype=np.float64)
    high = labels["age"].fillna(labels["age_high"]).to_numpy(dtype=np.float64)
    possible = (low >= 0) & (low <= OLDEST_PERSON) & (low <= high)  # others are found by themselves
    scores = np.where(possible, age_score(output.age_probs, low, high), np.nan)
    expected, spreads = ages.expected_age(output.age_probs), spread(output.age_probs)
    for place in np.flatnonzero(scores > UNLIKELY_AGE):
        label = f"{low[place]:g}" if low[place] == high[place] else f"{low[place]:g}–{high[place]:g}"
        what = f"labelled {label}, but looks {expected[place]:.0f} ± {spreads[place]:.0f}"
        details = {"predicted": round(float(expected[place]), 2), "spread": round(float(spreads[place]), 2)}
        yield _suspect(Kind.WRONG_AGE, labels.iloc[place], what, scores[place], details)


def _wrong_genders(labels: pd.DataFrame, output: Output, genders: tuple[str, ...]) -> Iterator[Finding]:
    if not genders:  # a network that tells none
        return
    scores = gender_score(output.gender_probs, genders, labels["gender"].tolist())
    likeliest = output.gender_probs.argmax(axis=1)
    for place in np.flatnonzero(scores > UNLIKELY_GENDER):
        share = float(output.gender_probs[place, likeliest[place]])
        said = genders[likeliest[place]]
        what = f"labelled {labels['gender'].iloc[place]}, but {said} with {share:.0%}"
        details = {"predicted": said, "confidence": round(share, 4)}
        yield _suspect(Kind.WRONG_GENDER, labels.iloc[place], what, scores[place], details)


def _suspect(kind: Kind, label: pd.Series[Any], what: str, score: float, details: dict[str, Any]) -> Finding:
    return Finding(kind, (int(str(label.name)),), what, float(score), details)


def _mark(finding: Finding) -> Finding:
    what = f"{finding.what} (in the training split: the model may have learnt the label)"
    return replace(finding, what=what, details={**finding.details, "in_sample": True})
