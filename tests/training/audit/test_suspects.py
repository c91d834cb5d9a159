"""Labels that a model finds unlikely: the scores, who judges whom, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens import ages
from agelens.audit.findings import Finding, Kind
from agelens.audit.scores import FLOOR_YEARS, UNLIKELY_AGE, age_score, gender_score, spread
from agelens.bundle import Bundle
from agelens.errors import ConfigError, DataError
from agelens.faces.align import CropSpec

Make = Callable[..., Path]
Look = Callable[..., list[Finding]]
MakeBundle = Callable[..., Path]


def _flat(brightness: int, red: int = 0) -> np.ndarray:
    """A crop of one colour: the tiny bundle sees an age of 90 x its brightness, and a woman where it is red."""
    crop = np.full((64, 64, 3), brightness, dtype=np.uint8)
    crop[..., 0] = np.clip(brightness + red, 0, 255)
    crop[..., 2] = np.clip(brightness - red, 0, 255)
    return crop


@given(st.floats(10, 90), st.floats(0.5, 12))
def test_spread_is_the_deviation_of_a_normal_distribution(age: float, deviation: float) -> None:
    # bins beyond the axis are missing, and a whole year wide: both only matter at the ends and below a year
    probs = ages.soft_labels([age], deviation=deviation)
    if 5 * deviation < min(age, 100 - age) and deviation > 1:
        assert spread(probs)[0] == pytest.approx(deviation, rel=0.01)


@given(st.floats(0, 122), st.floats(0, 30))
def test_age_score_is_the_distance_in_spreads(label: float, width: float) -> None:
    probs = ages.soft_labels([40], deviation=3)
    low, high = np.array([label]), np.array([label + width])
    nearest = min(max(40.0, min(label, 100)), min(label + width, 100))
    assert age_score(probs, low, high)[0] == pytest.approx(abs(40 - nearest) / (3 + FLOOR_YEARS), abs=1e-3)


def test_a_surer_model_finds_the_same_error_less_likely() -> None:
    probs = ages.soft_labels([40, 40], deviation=2)
    probs[1] = ages.soft_labels([40], deviation=9)[0]
    scores = age_score(probs, np.full(2, 65.0), np.full(2, 65.0))
    assert scores[0] > UNLIKELY_AGE
    assert scores[1] < scores[0]


def test_gender_score_is_the_surprise_and_unknown_genders_have_none() -> None:
    probs = np.array([[0.9, 0.1]] * 4, dtype=np.float32)
    scores = gender_score(probs, ("female", "male"), ["female", "male", None, "m"])
    assert scores[:2] == pytest.approx([-np.log(0.9), -np.log(0.1)], rel=1e-5)
    assert np.isnan(scores[2:]).all()


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    """Sees an age of 90 x brightness, and "female" where there is more red than blue."""
    return Bundle.load(make_bundle())


def test_unlikely_labels_outside_training_are_found_the_worst_first(make: Make, look: Look, bundle: Bundle) -> None:
    rows = [
        {"face": _flat(85), "age": 30},  # 90 x 85 / 255 = 30
        {"face": _flat(85), "age": 55},
        {"face": _flat(85), "age": 80},
        {"face": _flat(85), "age": None, "age_low": 60, "age_high": 69},
        {"face": _flat(85), "age": None, "age_low": 25, "age_high": 32},
        {"face": _flat(85), "age": 200},  # implausible by itself: no opinion is needed
        {"face": _flat(85, 60), "gender": "male"},
        {"face": _flat(85, 60), "gender": "female"},
        {"face": _flat(85, 60), "gender": None},
    ]
    path = make({"face": _flat(85), "age": 90}, *({"split": "val", **row} for row in rows))
    findings = look(path, "model", bundles=[bundle])
    ages_found = [found for found in findings if found.kind == Kind.WRONG_AGE]
    assert [found.rows for found in ages_found] == [(3,), (4,), (2,)]
    assert ages_found[0].what == "labelled 80, but looks 30 ± 3"
    assert ages_found[1].what == "labelled 60–69, but looks 30 ± 3"
    genders = [found for found in findings if found.kind == Kind.WRONG_GENDER]
    assert [found.rows for found in genders] == [(7,)]
    assert genders[0].what.startswith("labelled male, but female with 9")
    assert all(found.severity == "warning" for found in findings)


def test_in_sample_findings_are_marked(make: Make, look: Look, bundle: Bundle) -> None:
    rows = [{"face": _flat(85), "age": 80, "split": split} for split in ("train", "val")]
    findings = look(make(*rows), "model", bundles=[bundle], in_sample=True)
    assert [found.rows for found in findings] == [(0,), (1,)]
    assert [found.details.get("in_sample") for found in findings] == [True, None]
    assert "may have learnt" in findings[0].what


def test_each_fold_is_judged_by_its_own_model(make: Make, look: Look, make_bundle: MakeBundle) -> None:
    # the first model always says 0 years, the second as it is
    young = Bundle.load(make_bundle("young.onnx"))
    other = Bundle.load(make_bundle("other.onnx"))
    said: dict[str, list[int]] = {"young": [], "other": []}
    for name, one in (("young", young), ("other", other)):
        run = one.run
        one.run = lambda crops, name=name, run=run: (said[name].append(len(crops)), run(crops))[1]  # type: ignore
    rows = [{"face": _flat(85), "age": 80, "fold": fold} for fold in (0, 1, 1, None)]
    findings = look(make(*rows), "model", bundles=[young, other])
    assert [found.rows for found in findings] == [(0,), (1,), (2,)]
    assert said == {"young": [1], "other": [2]}
    assert not any("in_sample" in found.details for found in findings)


@pytest.mark.parametrize("folds", [(None, None), (0, 2), (1, 2), (0, 0)])
def test_as_many_models_as_folds_are_wanted(
    make: Make, look: Look, bundle: Bundle, folds: tuple[int | None, ...]
) -> None:
    path = make(*({"fold": fold} for fold in folds))
    with pytest.raises(ConfigError, match="2 models judge the folds 0…1, but"):
        look(path, "model", bundles=[bundle, bundle])


def test_nothing_but_training_samples_is_refused_with_the_way_out(make: Make, look: Look, bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="has the split train only; --in-sample judges it all the same"):
        look(make({}, {}), "model", bundles=[bundle])


def test_crops_that_do_not_fit_the_bundle_are_refused(make: Make, look: Look, make_bundle: MakeBundle) -> None:
    wide = Bundle.load(make_bundle("wide.onnx", crop=CropSpec(16, 0.5)))
    with pytest.raises(DataError, match="prepare the data set again for this bundle"):
        look(make({"split": "val"}), "model", bundles=[wide])
