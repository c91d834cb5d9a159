"""Challenge ages let through what they claim, on faces that they were not chosen on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import beta, binomtest

from agelens import ages
from agelens.data.manifest import Manifest
from agelens.errors import DataError
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.people import effective_count
from agelens.evaluate.thresholds import (
    choose_threshold,
    crossfitted_rates,
    group_rates,
    rates,
    sides,
    threshold_curve,
    thresholds,
)

Floats = npt.NDArray[np.float64]
Run = Callable[..., Any]
MISSING = np.nan


def _predictions(true: Floats, estimated: Floats, **columns: Any) -> Predictions:
    rows = pd.DataFrame(
        {
            "age": true,
            "age_low": MISSING,
            "age_high": MISSING,
            "gender": None,
            "race": None,
            "dataset": "one",
            "score": MISSING,
            "subject": None,
            **columns,
        }
    )
    return Predictions(rows, ages.binomial_probs(estimated), np.zeros((len(true), 0)), ())


def _crowd(seed: int, count: int = 4000) -> Predictions:
    rng = np.random.default_rng(seed)
    true = rng.integers(10, 40, count).astype(np.float64)
    return _predictions(true, np.clip(true + rng.normal(2, 4, count), 0, 100))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_new_minors_pass_as_seldom_as_was_wanted(share: float) -> None:
    chosen = choose_threshold(sides(_crowd(0), 18), share)
    fresh = rates(sides(_crowd(1), 18), chosen)
    assert fresh["false_pass"]["share"] <= 1.5 * share
    assert fresh["false_pass"]["share"] >= share / 3
    judged = crossfitted_rates(sides(_crowd(0), 18), share)
    assert judged is not None
    assert judged["false_pass"] == pytest.approx(share, rel=0.4)
    assert judged["lowest"] <= chosen <= judged["highest"]


@pytest.mark.parametrize(("minors", "share", "passing"), [(99, 0.01, 0), (199, 0.01, 1), (9, 0.1, 0), (39, 0.05, 1)])
def test_the_challenge_age_lies_right_above_the_minor_that_must_not_pass(
    minors: int, share: float, passing: int
) -> None:
    true = np.append(np.full(minors, 15.0), [30.0, 30.0])
    faces = sides(_predictions(true, np.append(np.linspace(5, 40, minors), [20.0, 60.0])), 18)
    chosen = choose_threshold(faces, share)
    assert int((faces.age[faces.minor] >= chosen).sum()) == passing
    assert chosen == round(chosen, 1)
    assert int((faces.age[faces.minor] >= chosen - 0.1).sum()) > passing  # no lower one would do


@pytest.mark.parametrize(("minors", "share", "needed"), [(98, 0.01, 99), (8, 0.1, 9), (1, 0.05, 19)])
def test_too_few_minors_are_told_with_the_number_that_is_needed(minors: int, share: float, needed: int) -> None:
    true = np.append(np.full(minors, 15.0), 30.0)
    with pytest.raises(DataError, match=rf"{minors} people below 18: too few .* at least {needed} are needed"):
        choose_threshold(sides(_predictions(true, true), 18), share)


def test_rates_are_shares_of_each_side_with_exact_intervals() -> None:
    faces = sides(_predictions(np.array([10.0, 17, 17, 18, 40]), np.array([9.0, 26, 20, 22, 41])), 18)
    found = rates(faces, 25)
    assert found["false_pass"]["share"] == pytest.approx(1 / 3)
    assert found["false_pass"]["interval"] == pytest.approx([beta(1, 3).ppf(0.025), beta(2, 2).ppf(0.975)])
    assert found["false_fail"] == {"share": 0.5, "faces": 2, "interval": pytest.approx([0.01258, 0.98742], abs=1e-4)}
    assert rates(faces.of(~faces.minor), 25)["false_pass"] is None


def test_bands_count_where_they_tell_the_side() -> None:
    low, high = np.array([10.0, 15, 20, MISSING]), np.array([17.0, 20, 29, MISSING])
    true = np.array([MISSING, MISSING, MISSING, 18])
    faces = sides(_predictions(true, np.full(4, 30.0), age_low=low, age_high=high), 18)
    assert faces.minor.tolist() == [True, False, False]
    assert faces.unclear == 1
    assert faces.rows["age_low"].tolist()[:2] == [10, 20]


def test_the_youngest_are_left_out_where_that_is_wanted() -> None:
    crowd = _predictions(np.array([1.0, 12, 13, 17, 18]), np.full(5, 20.0))
    assert sides(crowd, 18, youngest=13).rows["age"].tolist() == [13, 17, 18]
    for legal, youngest in ((0, 0), (101, 0), (18, 18), (18, -1)):
        with pytest.raises(ValueError, match="wanted"):
            sides(crowd, legal, youngest=youngest)


def test_where_a_part_is_too_small_nothing_is_told_of_faces_that_were_not_chosen_on() -> None:
    true = np.append(np.full(99, 15.0), np.full(30, 30.0))
    faces = sides(_predictions(true, true), 18)
    assert choose_threshold(faces, 0.01) == pytest.approx(15.1)
    assert crossfitted_rates(faces, 0.01) is None


@pytest.mark.parametrize("count", [9, 19, 29])
def test_the_rank_is_not_one_too_high_by_rounding(count: int) -> None:
    true = np.append(np.full(count, 15.0), 30.0)
    faces = sides(_predictions(true, np.append(np.arange(1.0, count + 1), 60.0)), 18)
    passing = (faces.age[faces.minor] >= choose_threshold(faces, 0.7)).sum()
    assert passing == count - round((count + 1) * 0.3)


@pytest.mark.parametrize("true", [[30.0, 40.0], [10.0, 17.9]])
def test_one_side_alone_is_refused(true: list[float]) -> None:
    with pytest.raises(DataError, match="both kinds are needed"):
        sides(_predictions(np.array(true), np.array(true)), 18)


def test_the_curve_has_the_rates_of_each_challenge_age() -> None:
    faces = sides(_crowd(3, 300), 18)
    challenges = np.array([0.0, 15.0, 22.5, 30.0, 100.0])
    for at, (false_pass, false_fail) in zip(challenges, threshold_curve(faces, challenges), strict=True):
        found = rates(faces, at)
        assert (false_pass, false_fail) == (
            pytest.approx(found["false_pass"]["share"]),
            pytest.approx(found["false_fail"]["share"]),
        )


def test_groups_are_years_around_the_age_and_labels_where_there_are_two() -> None:
    true = np.array([9.0, 10, 17, 18, 30, 31, 90])
    crowd = _predictions(true, true, gender=["male", "female", None, "male", "female", "male", "male"], race="one")
    found = group_rates(sides(crowd, 18), 25)
    assert list(found) == ["age", "gender"]
    assert list(found["age"]) == ["10", "17", "18", "30"]
    assert found["gender"]["male"]["false_fail"]["faces"] == 3
    assert found["gender"]["female"]["false_pass"]["faces"] == 1


def test_the_command_shows_writes_and_draws(bundle_path: Path, manifest: Manifest, tmp_path: Path, run: Run) -> None:
    plot, out = tmp_path / "curve.png", tmp_path / "rates.json"
    asked = ("threshold", bundle_path, manifest.folder, "--split", "all", "--max-false-pass", "0.3")
    shown = run(*asked, "--plot", plot, "--out", out).out
    written = json.loads(out.read_text())
    assert f"challenge age {written['challenge_age']:.1f}" in shown
    assert written["all"]["false_pass"]["share"] <= 0.3
    assert written == json.loads(run(*asked, "--json").out)
    at = round(written["challenge_age"] * 2) / 2 + 0.5
    (point,) = (one for one in written["curve"] if one["challenge"] == at)
    assert point["false_pass"] <= 0.3
    with Image.open(plot) as picture:
        assert picture.size == (1024, 608)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--age", "0"], "--age"),
        (["--max-false-pass", "1"], "--max-false-pass"),
        (["--youngest", "20"], "--youngest 20 is not below --age 18"),
        (["--max-false-pass", "0.0001"], "at least 9,999 are needed"),
        (["--age", "100"], "40 faces, of whom none is known to be 100 and over"),
    ],
)
def test_wrong_wishes_are_told_in_a_line(
    options: list[str], says: str, bundle_path: Path, manifest: Manifest, run: Run
) -> None:
    result = run("threshold", bundle_path, manifest.folder, "--split", "all", *options)
    assert result.status == 2
    assert says in result.err


def test_a_card_tells_the_legal_ages_that_can_be_told() -> None:
    found = thresholds(_crowd(0), 0.01)
    assert set(found) == {"18", "21", "25"}
    for legal, one in found.items():
        assert one["challenge_age"] == choose_threshold(sides(_crowd(0), int(legal)), 0.01)
        assert one["false_pass"] <= 0.015
        assert 0 <= one["false_fail"] <= 1
    assert found["18"]["challenge_age"] < found["21"]["challenge_age"] < found["25"]["challenge_age"]
    assert thresholds(_crowd(0, 60), 0.01) == {}  # too few below any
    exact = _crowd(0)
    bands = _predictions(np.full(4000, MISSING), exact.age, age_low=10.0, age_high=39.0)
    assert thresholds(bands, 0.01) == {}
    rows = pd.concat([exact.rows, bands.rows], ignore_index=True)
    mixed = Predictions(rows, np.tile(exact.age_probs, (2, 1)), np.zeros((8000, 0)), ())
    assert thresholds(mixed, 0.01) == found


def test_a_persons_faces_count_as_one() -> None:
    """Ten faces each give the same challenge age, intervals and folds as one each."""
    once = _crowd(3, 600)
    people = [f"{number:04d}" for number in range(len(once.rows))]
    alone = sides(once, 18)
    rows = pd.concat([once.rows.assign(subject=people)] * 10, ignore_index=True)
    tenfold = sides(Predictions(rows, np.tile(once.age_probs, (10, 1)), np.zeros((len(rows), 0)), ()), 18)
    challenge = choose_threshold(alone, 0.05)
    assert choose_threshold(tenfold, 0.05) == challenge
    for name, one in rates(alone, challenge).items():
        assert rates(tenfold, challenge)[name]["interval"] == pytest.approx(one["interval"])
    assert crossfitted_rates(tenfold, 0.05) == pytest.approx(crossfitted_rates(alone, 0.05))
    with pytest.raises(DataError, match="people below 18: too few"):
        choose_threshold(tenfold, 0.001)


def test_intervals_of_whole_numbers_are_those_of_the_binomial_test() -> None:
    faces = sides(_crowd(5, 300), 18)
    for side, wrong in (("false_pass", faces.age[faces.minor] >= 20), ("false_fail", faces.age[~faces.minor] < 20)):
        ends = binomtest(int(wrong.sum()), len(wrong)).proportion_ci(0.95, method="exact")
        assert rates(faces, 20)[side]["interval"] == pytest.approx([ends.low, ends.high])


def test_unequal_people_count_for_fewer() -> None:
    """One person with half of the faces: nearly four people's worth, by (Σm)² / Σm²."""
    rows = _crowd(6, 200).rows.assign(subject=["one"] * 100 + [f"{number}" for number in range(100)])
    assert effective_count(rows) == pytest.approx(200**2 / (100**2 + 100))
    assert effective_count(rows.assign(subject=None)) == 200
    faces = sides(_predictions(np.full(200, 10.0) + 20 * (np.arange(200) % 2), np.full(200, 20.0)), 18)
    alone = rates(faces, 18)["false_pass"]["interval"]
    one = faces._replace(rows=faces.rows.assign(subject=["one"] * 100 + [f"{number}" for number in range(100)]))
    low, high = rates(one, 18)["false_pass"]["interval"]
    assert low < alone[0]
    assert high == alone[1] == 1
