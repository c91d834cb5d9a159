"""Ways to make intervals that hold, compared on the validation faces of a manifest.

    python benchmarks/intervals.py CROPS [MODEL ...] [--record]

CROPS is what ``agelens prepare utkface`` wrote; MODELs are built-in ones or bundles, base by default. Each half of the
faces is judged by what the other half gave, five times with other halves. A row tells the share of true ages within the
90 % intervals, over all faces and in the worst decade of those with 100 faces and more, and their mean width. With
``--record`` the table is written into benchmarks/intervals.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.bundle import DEFAULT, Bundle
from agelens.data.decades import DECADES, decade_of
from agelens.data.manifest import read_manifest
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.intervals import calibrated_mass, calibrated_masses, reaching_mass
from recording import record

Values = npt.NDArray[Any]
# Calibration faces' distributions and ages, a level, and the distributions to be judged, to intervals of these.
Way = Callable[[Values, Values, float, Values], Values]
LEVEL = 0.9
REPEATS = 5
LEAST = 100  # faces of a decade that counts
WIDTH = 8.0  # years of predicted age that count as near
PAGE = Path(__file__).with_suffix(".md")
MARKS = ("<!-- ways -->", "<!-- end of ways -->")


def plain(_probs: Values, _true: Values, level: float, judged: Values) -> Values:
    """The network's own quantiles."""
    return ages.interval(judged, level)


def one_mass(probs: Values, true: Values, level: float, judged: Values) -> Values:
    """One central mass for all ages."""
    return ages.interval(judged, calibrated_mass(probs, true, level))


def one_mass_for_the_worst(probs: Values, true: Values, level: float, judged: Values) -> Values:
    """One central mass, so large that the worst decade holds five points less than the level, as bundles do."""
    decades = decade_of(true)
    large = [decades == place for place in range(len(DECADES)) if (decades == place).sum() >= LEAST / 2]
    return ages.interval(judged, max(calibrated_mass(probs[one], true[one], level - 0.05) for one in large))


def by_predicted_age(probs: Values, true: Values, level: float, judged: Values) -> Values:
    """The central mass that reaches enough of the faces whose predicted age is near."""
    masses, predicted = np.sort(reaching_mass(probs, true)), ages.expected_age(probs)
    predicted = predicted[np.argsort(reaching_mass(probs, true), kind="stable")]
    intervals = []
    for row, age in zip(judged, ages.expected_age(judged), strict=True):
        near = np.exp(-0.5 * ((predicted - age) / WIDTH) ** 2)
        rank = np.searchsorted(near.cumsum(), level * (near.sum() + near.max()))
        intervals.append(ages.interval(row, 1.0 if rank == len(masses) else float(masses[rank])))
    return np.array(intervals)


def quantiles_moved(probs: Values, true: Values, level: float, judged: Values) -> Values:
    """Conformalised quantiles: the network's own, both moved by the same years (Romano et al., 2019)."""
    low, high = ages.interval(probs, level).T
    beyond = np.sort(np.maximum(low - true, true - high))
    years = beyond[min(len(beyond), math.ceil((len(beyond) + 1) * level)) - 1]
    return np.clip(ages.interval(judged, level) + np.array([-years, years]), 0, ages.MAX_AGE)


def by_year(probs: Values, true: Values, level: float, judged: Values) -> Values:
    """A central mass for each year, by the faces of about that age: how bundles are calibrated by exact ages."""
    return ages.interval(judged, calibrated_masses(probs, true, level))


WAYS: Mapping[str, Way] = {
    "the network's own quantiles": plain,
    "one mass for all ages": one_mass,
    "one mass that holds 85 % in every decade": one_mass_for_the_worst,
    "a mass by the predicted age": by_predicted_age,
    "conformalised quantiles": quantiles_moved,
    "a mass for each year of true age": by_year,
}


def judged(way: Way, probs: Values, true: Values) -> tuple[float, float, float, str]:
    """Coverage, mean width, and coverage and name of the worst decade."""
    covered, widths = [], []
    for repeat in range(REPEATS):
        halves = np.array_split(np.random.default_rng(repeat).permutation(len(true)), 2)
        intervals = np.zeros((len(true), 2))
        for fit, judge in (halves, halves[::-1]):
            intervals[judge] = way(probs[fit], true[fit], LEVEL, probs[judge])
        covered.append((intervals[:, 0] <= true) & (true <= intervals[:, 1]))
        widths.append(np.diff(intervals, axis=1).mean())
    share, decades = np.mean(covered, axis=0), decade_of(true)
    large = [place for place in range(len(DECADES)) if (decades == place).sum() >= LEAST]
    worst = min(large, key=lambda place: share[decades == place].mean())
    return float(share.mean()), float(np.mean(widths)), float(share[decades == worst].mean()), DECADES[worst]


def main() -> None:
    """Compare the ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("model", nargs="*", default=[DEFAULT])
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    lines = ["| model | 90 % intervals by | coverage | worst decade | mean width |", "|---|---|---:|---:|---:|"]
    for model in arguments.model:
        bundle = Bundle.load(model)
        found = predict_split(bundle, read_manifest(arguments.crops), "val")
        held = bundle.card.interval_mass(LEVEL)
        ways = {
            **WAYS,
            "what the bundle holds": lambda _probs, _true, _level, rows, held=held: ages.interval(rows, held),
        }
        exact = ~np.isnan(found.true_age)
        probs, true = found.age_probs[exact], np.clip(found.true_age[exact], 0, ages.MAX_AGE)
        for name, way in ways.items():
            share, width, least, decade = judged(way, probs, true)
            lines.append(f"| {model} | {name} | {share:.1%} | {least:.1%} ({decade}) | {width:.1f} |")
            print(lines[-1], flush=True)
    if arguments.record:
        record(PAGE, MARKS, "\n".join(lines))


if __name__ == "__main__":
    main()
