"""Faces followed from frame to frame: gaps, returns, crossings, and frames that are not looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import agelens.video
from agelens import AgeEstimator, VideoError
from agelens.embedders import open_embedder
from agelens.faces.detector import Detection
from agelens.video import Frame
from agelens.video.frames import RawFrame

from .clips import SIDE, face_frame

Pixels = npt.NDArray[np.uint8]


class Frames:
    """A source of frames that are given."""

    name = "frames"
    live = False
    broken = 0

    def __init__(self, images: Sequence[Pixels], rate: float = 25) -> None:
        self.rate, self.count, self.closed = rate, len(images), False
        self._images = images

    def frames(self):  # type: ignore[no-untyped-def]
        for index, image in enumerate(self._images):
            yield RawFrame(index, index / self.rate, image)

    def close(self) -> None:
        self.closed = True


def _analyze(estimator: AgeEstimator, images: Sequence[Pixels], **options: object) -> list[Frame]:
    return list(agelens.video.analyze(Frames(images), estimator=estimator, workers=2, **options))  # type: ignore[arg-type]


def _ids(frames: Sequence[Frame]) -> list[list[int]]:
    return [[track.id for track in frame.tracks] for frame in frames]


def test_a_face_that_moves_stays_the_same_person(estimator: AgeEstimator, walking: list[Pixels]) -> None:
    frames = _analyze(estimator, walking)
    assert _ids(frames) == [[1]] * 30
    assert [frame.index for frame in frames] == list(range(30))
    assert frames[-1].tracks[0].frames == 30
    assert frames[-1].tracks[0].since == 0


def test_raw_and_settled_stand_side_by_side(estimator: AgeEstimator) -> None:
    images = [face_frame([(100, 100)], value=value) for value in (180, 220) * 10]
    frames = _analyze(estimator, images)
    raw = [frame.tracks[0].raw.age for frame in frames if frame.tracks[0].raw]
    settled = [frame.tracks[0].face.age for frame in frames]
    assert np.std(raw) > 4
    assert np.std(settled[10:]) < 1
    assert settled[0] == pytest.approx(raw[0], abs=0.01)
    assert frames[0].faces[0].age == raw[0]


def test_two_people_are_two(estimator: AgeEstimator) -> None:
    images = [face_frame([(60 + 2 * index, 80), (260 - 2 * index, 180)]) for index in range(20)]
    assert _ids(_analyze(estimator, images)) == [[1, 2]] * 20


def test_a_short_gap_is_bridged_where_the_face_should_be(estimator: AgeEstimator) -> None:
    images = [face_frame([] if 15 <= index < 20 else [(60 + 4 * index, 120)]) for index in range(30)]
    frames = _analyze(estimator, images)
    assert _ids(frames) == [[1]] * 30
    hidden = frames[17].tracks[0]
    assert hidden.raw is None
    assert hidden.face.score is None
    middle = (hidden.face.box[0] + hidden.face.box[2]) / 2
    assert middle == pytest.approx(60 + 4 * 17, abs=6)
    assert hidden.frames == 15


def test_a_face_that_is_gone_is_not_shown_for_long_but_waited_for(estimator: AgeEstimator) -> None:
    images = [face_frame([] if 30 <= index < 48 else [(100, 120)]) for index in range(60)]
    ids = _ids(_analyze(estimator, images))
    assert ids[45] == []
    assert ids[50] == [1]


def test_who_returns_much_later_is_somebody_new(estimator: AgeEstimator) -> None:
    images = [face_frame([] if 20 <= index < 80 else [(100, 120)]) for index in range(100)]
    ids = _ids(_analyze(estimator, images))
    assert (ids[10], ids[60], ids[95]) == ([1], [], [2])


def test_who_returns_is_known_again_by_an_embedder(
    estimator: AgeEstimator, write_embedder: Callable[..., Path]
) -> None:
    there, gone = [face_frame([(100, 120)])] * 20, [face_frame([])] * 60
    elsewhere = [face_frame([(220, 100)])] * 20
    frames = _analyze(estimator, there + gone + elsewhere, recognise=open_embedder(write_embedder()))
    assert _ids(frames)[95] == [1]
    assert frames[95].tracks[0].frames == 36
    assert frames[95].tracks[0].since == 0


def test_a_face_goes_on_moving_while_no_frames_come(estimator: AgeEstimator) -> None:
    class Stalled(Frames):
        def frames(self):  # type: ignore[no-untyped-def]
            for raw in super().frames():
                if not 20 <= raw.index < 30:
                    yield raw

    images = [face_frame([(40 + 5 * index, 120)]) for index in range(50)]
    found = list(agelens.video.analyze(Stalled(images), estimator=estimator))
    assert _ids(found) == [[1]] * 40


def test_where_another_face_was_found_none_is_foreseen(estimator: AgeEstimator) -> None:
    jump = [(80, 120)] * 20 + [(118, 120)] * 20  # by a little more than what counts as the same face
    frames = _analyze(estimator, [face_frame([place]) for place in jump])
    assert [len(frame.tracks) for frame in frames] == [1] * 40


def test_times_count_and_not_frames_where_the_rate_is_wrong(estimator: AgeEstimator) -> None:
    images = [face_frame([] if 20 <= index < 80 else [(100, 120)]) for index in range(100)]
    source = Frames(images)
    source.rate = 200.0  # of what comes 25 times a second
    ids = _ids(list(agelens.video.analyze(source, estimator=estimator)))
    assert (ids[25], ids[45], ids[95]) == ([1], [], [2])


def test_after_a_long_gap_between_two_frames_it_is_somebody_new(estimator: AgeEstimator) -> None:
    class Gap(Frames):
        def frames(self):  # type: ignore[no-untyped-def]
            for raw in super().frames():
                yield RawFrame(raw.index, raw.time + (8 if raw.index >= 20 else 0), raw.image)

    found = list(agelens.video.analyze(Gap([face_frame([(100, 120)])] * 40), estimator=estimator))
    assert _ids(found)[19] == [1]
    assert _ids(found)[20] == [2]


def test_two_at_once_are_never_one_person(estimator: AgeEstimator, write_embedder: Callable[..., Path]) -> None:
    images = [face_frame([(80, 120), (220, 120)])] * 10
    assert _ids(_analyze(estimator, images, recognise=open_embedder(write_embedder())))[-1] == [1, 2]


@pytest.mark.parametrize("every", [2, 5])
def test_frames_between_are_foreseen(estimator: AgeEstimator, walking: list[Pixels], every: int) -> None:
    frames = _analyze(estimator, walking, detect_every=every)
    assert [bool(frame.faces) for frame in frames] == [index % every == 0 for index in range(30)]
    assert _ids(frames) == [[1]] * 30
    for index in range(15, 30):
        box = frames[index].tracks[0].face.box
        assert (box[0] + box[2]) / 2 == pytest.approx(60 + 4 * index, abs=8)


def test_boxes_stay_within_the_frame(estimator: AgeEstimator) -> None:
    images = [face_frame([(min(60 + 12 * index, 299), 120)] if index < 20 else []) for index in range(26)]
    for frame in _analyze(estimator, images):
        for track in frame.tracks:
            x1, y1, x2, y2 = track.face.box
            assert 0 <= x1 <= x2 <= 320
            assert 0 <= y1 <= y2 <= 240


def test_a_frame_that_fails_does_not_end_the_video(make_bundle: Callable[..., Path], walking: list[Pixels]) -> None:
    class Failing:
        def detect(self, image: Pixels) -> list[Detection]:
            raise RuntimeError("broken")

    frames = _analyze(AgeEstimator.load(make_bundle(), detector=Failing()), walking[:3])
    assert len(frames) == 3
    assert all("the face detector failed" in str(frame.error) and not frame.tracks for frame in frames)


def test_the_source_is_closed_at_the_end_and_when_the_caller_stops(
    estimator: AgeEstimator, walking: list[Pixels]
) -> None:
    for stop in (5, 100):
        source = Frames(walking)
        found = agelens.video.analyze(source, estimator=estimator)
        for frame in found:
            if frame.index == stop:
                break
        found.close()
        assert source.closed


@pytest.mark.parametrize("options", [{"detect_every": 0}, {"workers": 0}, {"detect_every": 1.5}])
def test_what_cannot_be_is_said_before_the_work(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        agelens.video.analyze("missing.mp4", **options)  # type: ignore[arg-type]


def test_a_missing_file_is_said_at_once(estimator: AgeEstimator) -> None:
    with pytest.raises(VideoError, match="no such file"):
        agelens.video.analyze("missing.mp4", estimator=estimator)


def test_a_source_is_closed_even_where_nothing_was_read(estimator: AgeEstimator, walking: list[Pixels]) -> None:
    source = Frames(walking)
    agelens.video.analyze(source, estimator=estimator).close()
    assert source.closed
    other = Frames(walking)
    found = agelens.video.analyze(other, estimator=estimator)
    del found
    assert other.closed


def test_the_box_of_a_frame_that_was_looked_at_is_the_detectors(estimator: AgeEstimator, walking: list[Pixels]) -> None:
    for frame in _analyze(estimator, walking):
        x1, _, x2, _ = frame.tracks[0].face.box
        assert x2 - x1 == SIDE
        assert frame.tracks[0].face.box == frame.faces[0].box
