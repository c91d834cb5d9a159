"""Groups of faces: labels, crossings, and how far the best and the worst lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from agelens import ages
from agelens.evaluate import metrics
from agelens.evaluate.answers import answers_of
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.figures import figures
from agelens.evaluate.groups import gap, group_labels

NOTHING = {"age_low": np.nan, "age_high": np.nan, "apparent_age": np.nan, "apparent_std": np.nan}


def _rows(count: int, **columns: Any) -> pd.DataFrame:
    known = {"age": 30.0, "gender": None, "race": None, "dataset": "one", "subject": None, "score": np.nan}
    return pd.DataFrame({**NOTHING, **known, **columns}, index=range(count))


def _predictions(rows: pd.DataFrame, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    middle = rows["age"].fillna((rows["age_low"] + rows["age_high"]) / 2).to_numpy(dtype=float)
    guess = np.clip(middle + rng.normal(0, 5, len(rows)), 0, 100)
    share = rng.uniform(0, 1, len(rows))
    return Predictions(rows, ages.soft_labels(guess, 4), np.stack([share, 1 - share], axis=1), ("male", "female"))


def test_faces_fall_into_the_groups_of_their_labels_and_of_two_at_once() -> None:
    rows = _rows(3, age=[25.0, 34.0, 31.0], gender=["male", "female", None], race=["Asian", "White", "White"])
    found = {kind: labels.tolist() for kind, labels in group_labels(rows).items()}
    assert found == {
        "decade": ["20-29", "30-39", "30-39"],
        "gender": ["male", "female", None],
        "race": ["Asian", "White", "White"],
        "decade × gender": ["20-29, male", "30-39, female", None],
        "decade × race": ["20-29, Asian", "30-39, White", "30-39, White"],
        "gender × race": ["male, Asian", "female, White", None],
    }


def test_scores_are_thirds_and_left_out_where_they_do_not_differ() -> None:
    labels = group_labels(_rows(7, score=[0.1, 0.9, 0.5, np.nan, 0.2, 0.6, 0.95]))["score"].tolist()
    low, middle, high = "lowest scores", "middle scores", "highest scores"
    assert labels == [low, high, middle, None, low, middle, high]
    assert "score" not in group_labels(_rows(9, score=0.7))


def test_the_gap_is_that_of_the_best_and_the_worst_group_that_are_large_enough() -> None:
    rng = np.random.default_rng(0)
    errors = {name: rng.exponential(mean, count) for name, mean, count in [("a", 3, 400), ("b", 5, 400), ("c", 1, 29)]}
    found = gap(errors)
    assert found is not None
    assert (found["best"], found["worst"]) == ("a", "b")
    assert found["difference"] == pytest.approx(errors["b"].mean() - errors["a"].mean())
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    assert gap({"a": errors["a"], "c": errors["c"]}) is None


def test_small_groups_are_marked_and_two_kinds_at_once_told_where_wanted() -> None:
    rows = _rows(60, age=np.repeat([25.0, 55.0], [45, 15]), gender=["male", "female"] * 30)
    found = _predictions(rows)
    assert [one["few"] for one in figures(answers_of(found, 0.9), 0.9)["decades"].values()] == [False, True]
    assert set(figures(answers_of(found, 0.9), 0.9)["groups"]) == {"gender"}
    crossed = figures(answers_of(found, 0.9), 0.9, crossings=True)["groups"]["decade × gender"]
    assert {name: one["faces"] for name, one in crossed.items()} == {
        "20-29, female": 22,
        "20-29, male": 23,
        "50-59, female": 8,
        "50-59, male": 7,
    }


def test_figures_of_all_faces_are_those_of_the_metrics() -> None:
    rows = _rows(
        80, age=np.arange(80.0), gender=["male", "female"] * 40, apparent_age=np.arange(80.0), apparent_std=2.0
    )
    found = _predictions(rows)
    whole = figures(answers_of(found, 0.9), 0.9)["all"]
    assert whole["crps"] == pytest.approx(metrics.crps(found.age_probs, found.true_age))
    assert whole["nll"] == pytest.approx(metrics.negative_log_likelihood(found.age_probs, found.true_age))
    assert whole["emd"] == pytest.approx(metrics.earth_movers_distance(found.age_probs, found.true_age))
    assert whole["mse"] == pytest.approx(whole["rmse"] ** 2)
    assert whole["cs"][5] == whole["cs5"]
    assert whole["gender_auc"] == pytest.approx(roc_auc_score(rows["gender"] == "female", found.gender_probs[:, 1]))
    assert whole["epsilon"] == pytest.approx(metrics.epsilon_error(found.age, np.arange(80.0), np.full(80, 2.0)))
    assert whole["one_off"] is None
    of_age = ages.prob_at_least(found.age_probs, 21)
    assert whole["at_least"]["21"]["brier"] == pytest.approx(metrics.brier(of_age, found.true_age >= 21))


def test_bands_beside_the_right_one_count_as_one_off() -> None:
    rows = _rows(4, age=np.nan, age_low=[0.0, 10, 20, 0], age_high=[9.0, 19, 29, 9])
    probs = ages.soft_labels([5, 5, 5, 25], 1)
    found = Predictions(rows, probs, np.zeros((4, 0)), ())
    assert figures(answers_of(found, 0.9), 0.9)["all"]["one_off"] == 0.5
    assert figures(answers_of(found, 0.9), 0.9)["gaps"] == {}


def test_one_gender_has_no_area() -> None:
    assert figures(answers_of(_predictions(_rows(10, gender="male")), 0.9), 0.9)["all"]["gender_auc"] is None


def test_people_of_whom_there_are_several_pictures_widen_the_interval() -> None:
    alone = _predictions(_rows(100))
    errors = np.abs(alone.age - 30)
    order = np.argsort(errors)  # the same person, the same error
    people = pd.Series(index=range(100), dtype=object)
    people[order] = [str(one) for one in np.repeat(np.arange(10), 10)]
    known = Predictions(alone.rows.assign(subject=people), alone.age_probs, alone.gender_probs, alone.genders)
    narrow, wide = (figures(answers_of(one, 0.9), 0.9)["all"]["uncertainty"]["mae"] for one in (alone, known))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
