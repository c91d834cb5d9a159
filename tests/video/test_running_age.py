"""Ages that settle: what is averaged away, and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens import ages
from agelens.results import Face
from agelens.video.running_age import LEAST_SHARE, HeldAge, RunningAge


def _face(age: float, deviation: float = 5.0, gender: str | None = "female", confidence: float = 0.9) -> Face:
    probs = ages.soft_labels([age], deviation)[0].astype(np.float32)
    facts: dict[str, Any] = {"box": (0, 0, 9, 9), "score": 0.9, "landmarks": None, "interval": (0, 0), "level": 0.9}
    known = None if gender is None else confidence
    return Face(age=float(ages.expected_age(probs)), gender=gender, gender_confidence=known, age_probs=probs, **facts)


def _pooled(*faces: Face, quality: float = 1.0, apart: float = 1.0) -> RunningAge:
    running = RunningAge()
    for number, face in enumerate(faces):
        running.add(face, quality, number * apart)
    return running


def test_one_frame_is_what_it_says() -> None:
    face = _face(33)
    np.testing.assert_allclose(_pooled(face).age_probs(), face.age_probs, atol=1e-6)


def test_a_face_that_stands_still_keeps_its_distribution() -> None:
    face = _face(33)
    np.testing.assert_allclose(_pooled(*[face] * 100).age_probs(), face.age_probs, atol=1e-4)


def test_frames_that_scatter_give_their_mean_and_lose_their_scatter() -> None:
    scatter = np.random.default_rng(0).normal(0, 3, 400)
    probs = _pooled(*[_face(40 + one) for one in scatter]).age_probs()
    assert float(ages.expected_age(probs)) == pytest.approx(40 + scatter.mean(), abs=0.05)
    assert float(ages.variance(probs)) == pytest.approx(25 - 9, rel=0.15)


def test_the_interval_narrows_from_frame_to_frame() -> None:
    scatter = np.random.default_rng(1).normal(0, 4, 200)
    running = RunningAge()
    widths = []
    for number, one in enumerate(scatter):
        running.add(_face(40 + one), 1.0, number * 0.5)
        low, high = ages.interval(running.age_probs(), 0.9)
        widths.append(float(high - low))
    assert widths[0] > np.mean(widths[20:40]) > np.mean(widths[-20:]) * 0.97
    assert np.mean(widths[-20:]) < 0.75 * widths[0]


def test_frames_close_in_time_count_as_few() -> None:
    faces = [_face(40 + one) for one in np.random.default_rng(2).normal(0, 4, 60)]
    near, far = (float(ages.variance(_pooled(*faces, apart=apart).age_probs())) for apart in (0.001, 1.0))
    assert near > far + 3


def test_something_always_stays_of_a_single_frames_doubt() -> None:
    faces = [_face(40 + one) for one in np.random.default_rng(3).normal(0, 15, 500)]
    assert float(ages.variance(_pooled(*faces).age_probs())) == pytest.approx(LEAST_SHARE * 25, rel=0.1)


def test_a_good_frame_counts_more_than_a_bad_one() -> None:
    running = RunningAge()
    running.add(_face(20), 0.9, 0)
    running.add(_face(60), 0.1, 1)
    assert float(ages.expected_age(running.age_probs())) == pytest.approx(24, abs=0.1)


def test_a_sure_frame_counts_more_than_one_in_doubt() -> None:
    running = _pooled(_face(30, deviation=2), _face(50, deviation=4))
    assert float(ages.expected_age(running.age_probs())) == pytest.approx(34, abs=0.1)


def test_the_gender_is_that_of_most_frames() -> None:
    faces = [_face(30, gender="male", confidence=0.6), *[_face(30, confidence=0.9)] * 3]
    gender = _pooled(*faces).gender()
    assert gender is not None
    assert gender[0] == "female"
    assert gender[1] == pytest.approx((3 * 0.9 + 0.4) / 4)


def test_without_genders_there_is_none() -> None:
    assert _pooled(_face(30, gender=None)).gender() is None


def test_nothing_seen_is_nothing_known() -> None:
    with pytest.raises(ValueError, match="no face"):
        RunningAge().age_probs()


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.3, 20), st.floats(0.05, 1)), min_size=1, max_size=8),
    st.floats(0, 2),
)
def test_the_answer_is_always_a_distribution_no_wider_than_the_mean(
    seen: list[tuple[float, float, float]], apart: float
) -> None:
    running, faces = RunningAge(), [_face(age, deviation) for age, deviation, _ in seen]
    for number, (face, one) in enumerate(zip(faces, seen, strict=True)):
        running.add(face, one[2], number * apart)
    probs = running.age_probs()
    assert probs.sum() == pytest.approx(1, abs=1e-4)
    assert (probs >= -1e-7).all()
    assert min(f.age for f in faces) - 0.3 <= float(ages.expected_age(probs)) <= max(f.age for f in faces) + 0.3


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20), st.floats(0, 20)), min_size=1, max_size=30))
def test_the_shown_age_stays_beside_that_of_all_frames(steps: list[tuple[float, float, float]]) -> None:
    held = HeldAge()
    for second, (age, below, above) in enumerate(steps):
        low, high = age - below, age + above
        shown = held.follow(age, (low, high), second)
        assert abs(shown - age) <= min(0.5, 0.05 * (high - low)) + 1e-9
        assert low <= shown <= high


def test_the_shown_age_stands_still_while_that_of_all_frames_wanders_about_it() -> None:
    held = HeldAge()
    shown = [held.follow(30 + 0.4 * np.sin(step), (22, 38), 2 + step / 30) for step in range(100)]
    assert len(set(shown)) < 10  # it moves until the band is about the wandering, and then no more
    assert len(set(shown[10:])) == 1


def test_the_shown_age_follows_outright_at_first_and_always_at_the_bands_edge() -> None:
    held = HeldAge()
    assert [held.follow(age, (20, 40), 0) for age in (30, 30.1, 29.9)] == [30, 30.1, 29.9]
    assert held.follow(35, (25, 45), 2) == pytest.approx(34.5)
    assert held.follow(33, (23, 43), 2) == pytest.approx(33.5)
    assert held.follow(3, (2, 4), 2) == pytest.approx(3.1)
