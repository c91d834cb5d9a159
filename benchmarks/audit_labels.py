"""Which score finds wrong labels best? Wrong ones are planted into a validation split and ranked.

    python benchmarks/audit_labels.py MANIFEST [--model BUNDLE]

MANIFEST is a prepared UTKFace whose split "val" the model did not learn. In 2 % of it ages are moved by 20 years or
more, or genders turned, twenty times over. Printed are the means of: precision among as many of the highest scores as
were planted, average precision, and the share found above a threshold that 2 % of the other labels reach; beside them
that threshold. The other labels are UTKFace's own, of which some are wrong, so that no score reaches 100 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.audit.scores import age_score, gender_score, spread
from agelens.bundle import Bundle
from agelens.data.manifest import read_manifest
from agelens.evaluate.evaluation import Predictions, predict_split

SEEDS = 20
SHARE = 0.02
YEARS = 20

Values = npt.NDArray[Any]
Score = Callable[[Values], Values]


def age_scores(probs: Values) -> dict[str, Score]:
    """Candidates, each from labels in whole years to scores."""
    expected, spreads = ages.expected_age(probs), spread(probs)
    rows = np.arange(len(probs))
    kernel = np.exp(-np.abs(np.arange(-ages.MAX_AGE, ages.NUM_BINS)) / 4)
    smooth = np.stack([np.convolve(one, kernel / kernel.sum(), "same") for one in np.pad(probs, ((0, 0), (100, 100)))])
    window = np.ones(11)
    near = np.stack([np.convolve(one, window, "same") for one in probs])
    return {
        "error / (spread + 4)": lambda labels: age_score(probs, labels, labels),
        "error": lambda labels: np.abs(expected - labels),
        "error / max(spread, 3)": lambda labels: np.abs(expected - labels) / np.maximum(spreads, 3),
        "-ln mass within 5 years": lambda labels: -np.log(near[rows, labels] + 1e-4),
        "-ln mass, smoothed by 4 years": lambda labels: -np.log(smooth[rows, labels + 100]),
        "tail of the distribution": lambda labels: np.abs(2 * ages.cdf(probs, labels) - 1),
    }


def gender_scores(found: Predictions) -> dict[str, Score]:
    """Candidates, each from genders to scores."""
    expected = found.age

    def surprise(labels: Values) -> Values:
        return gender_score(found.gender_probs, found.genders, labels.tolist())

    return {
        "-ln p": surprise,
        "-ln p, less for the young": lambda labels: surprise(labels) * expected / (expected + 10),
        "-ln p, but not below 10 years": lambda labels: np.where(expected < 10, 0, surprise(labels)),
    }


def move(labels: Values, chosen: Values, random: np.random.Generator) -> Values:
    """Ages of which some are moved by 20 years or more."""
    moved = labels.copy()
    for place in chosen:
        far = np.flatnonzero(np.abs(np.arange(ages.NUM_BINS) - labels[place]) >= YEARS)
        moved[place] = random.choice(far)
    return moved


def turn(labels: Values, chosen: Values, random: np.random.Generator) -> Values:
    """Genders of which some are turned."""
    turned = labels.copy()
    turned[chosen] = np.where(labels[chosen] == "male", "female", "male")
    return turned


def measure(score: Score, labels: Values, spoil: Callable[[Values, Values, np.random.Generator], Values]) -> Values:
    """Precision, average precision, share found, and the threshold, meaned over the seeds."""
    figures = []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        chosen = random.choice(len(labels), round(SHARE * len(labels)), replace=False)
        wrong = np.zeros(len(labels), dtype=bool)
        wrong[chosen] = True
        values = score(spoil(labels, chosen, random))
        hits = wrong[np.argsort(-values, kind="stable")]
        threshold = np.quantile(values[~wrong], 1 - SHARE)
        average = (np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()
        figures.append((hits[: len(chosen)].mean(), average, (values[wrong] > threshold).mean(), threshold))
    return np.mean(figures, axis=0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    found = predict_split(Bundle.load(arguments.model), read_manifest(arguments.manifest), "val")
    known = found.rows["gender"].notna().to_numpy()
    found = found.of(known)
    years = np.clip(np.round(found.true_age), 0, ages.MAX_AGE).astype(int)
    tables = {
        "age": (age_scores(found.age_probs.astype(np.float64)), years, move),
        "gender": (gender_scores(found), found.rows["gender"].to_numpy(dtype=object), turn),
    }
    for name, (scores, labels, spoil) in tables.items():
        print(f"| {name}, of {len(labels)} faces | precision | average precision | found | at |")
        print("|---|---:|---:|---:|---:|")
        for title, score in scores.items():
            precision, average, share, threshold = measure(score, labels, spoil)
            print(f"| {title} | {precision:.1%} | {average:.1%} | {share:.1%} | {threshold:.2f} |")
        print()


if __name__ == "__main__":
    main()
