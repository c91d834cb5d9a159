"""Photos in, faces out: one at a time, many at a time, and where some are bad."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from agelens import AgeEstimator, BundleError, ImageError, Photo, ages
from agelens.faces.detector import Detection, FixedDetector

Pixels = npt.NDArray[np.uint8]
MakeBundle = Callable[..., Path]
MakeDetection = Callable[..., Detection]
MakeImage = Callable[..., Pixels]


class WidthDetector:
    """Finds a face for every full 60 pixels of a photo's width."""

    def __init__(self, make_detection: MakeDetection) -> None:
        self._make = make_detection

    def detect(self, image: Pixels) -> list[Detection]:
        return [self._make(30 + 60 * number, 40, 30) for number in range(image.shape[1] // 60)]


@pytest.fixture
def estimator(make_bundle: MakeBundle, make_detection: MakeDetection) -> AgeEstimator:
    """Of the tiny bundle and the width detector."""
    return AgeEstimator.load(make_bundle(), detector=WidthDetector(make_detection), threads=1)


@pytest.fixture
def photos(make_image: MakeImage, tmp_path: Path) -> list[Path]:
    """Nine files with 0 to 3 faces each."""
    paths = []
    for number, faces in enumerate([1, 0, 3, 2, 0, 0, 1, 2, 1]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(make_image(60 * faces + 10, 80, seed=number)).save(paths[-1])
    return paths


def _patches(values: list[int]) -> Pixels:
    """Grey squares, 60 pixels wide, side by side."""
    return np.repeat(np.repeat(np.array(values, np.uint8), 60)[None, :, None], 80, axis=0).repeat(3, axis=2)


def _facts(faces: Any) -> list[Any]:
    return [(face.box, round(face.age, 3), face.gender, np.round(face.interval, 3).tolist()) for face in faces]


def test_each_face_gets_the_age_of_its_own_pixels_left_to_right(estimator: AgeEstimator) -> None:
    faces = estimator.predict(_patches([34, 170, 85]))  # the tiny network sees 90 years times the brightness
    assert [face.age for face in faces] == pytest.approx([12, 60, 30], abs=0.1)
    assert [face.box[0] for face in faces] == [15, 75, 135]


def test_the_gender_is_the_likelier_one(estimator: AgeEstimator) -> None:
    image = _patches([80, 80])
    image[:, :60, 0], image[:, 60:, 2] = 200, 200  # red means the first of the card's genders
    one, other = estimator.predict(image)
    assert (one.gender, other.gender) == ("female", "male")
    assert one.gender_confidence == pytest.approx(1 / (1 + np.exp(-5 * 120 / 255)), abs=1e-3)
    assert other.gender_confidence == pytest.approx(one.gender_confidence, abs=1e-3)


def test_a_bundle_without_gender_gives_faces_without_one(
    make_bundle: MakeBundle, make_network: Callable[..., Any], make_detection: MakeDetection, estimator: AgeEstimator
) -> None:
    path = make_bundle("bare.onnx", network=make_network(gender=False), genders=())
    bare = AgeEstimator.load(path, detector=WidthDetector(make_detection))
    image = _patches([80, 160])
    faces = bare.predict(image)
    assert [(face.gender, face.gender_confidence) for face in faces] == [(None, None)] * 2
    assert [face.age for face in faces] == pytest.approx([face.age for face in estimator.predict(image)], abs=1e-3)
    assert faces[0].to_dict().keys() == estimator.predict(image)[0].to_dict().keys()
    assert json.loads(json.dumps(faces[0].to_dict()))["gender"] is None


def test_a_face_carries_what_the_detector_found(estimator: AgeEstimator, make_detection: MakeDetection) -> None:
    (face,) = estimator.predict(_patches([85]))
    assert face.score == 0.9
    assert face.landmarks is not None
    np.testing.assert_array_equal(face.landmarks, make_detection(30, 40, 30).landmarks)
    assert face.age_probs.shape == (101,)
    assert face.age_probs.dtype == np.float32


def test_boxes_are_cut_off_at_the_edges_of_the_photo(make_bundle: MakeBundle, make_detection: MakeDetection) -> None:
    found = [make_detection(2, 3, 40), make_detection(58, 79, 40), make_detection(500, -90, 40)]
    estimator = AgeEstimator.load(make_bundle(), detector=FixedDetector(found))
    boxes = [face.box for face in estimator.predict(_patches([9]))]
    assert boxes == [(0, 0, 22, 23), (38, 59, 60, 80), (60, 0, 60, 0)]


@pytest.mark.parametrize(("level", "mass"), [(0.9, 0.8), (0.5, 0.4)])
def test_the_interval_holds_the_mass_that_the_card_gives_its_level(
    level: float, mass: float, make_bundle: MakeBundle, make_detection: MakeDetection
) -> None:
    estimator = AgeEstimator.load(make_bundle(), detector=WidthDetector(make_detection), level=level)
    (face,) = estimator.predict(_patches([130]))
    low, high = face.interval
    assert face.level == level
    assert low < face.age < high
    assert ages.cdf(face.age_probs, high) - ages.cdf(face.age_probs, low) == pytest.approx(mass, abs=1e-6)


def test_a_level_that_the_bundle_does_not_have_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(ValueError, match=r"this bundle has: 0\.5, 0\.9"):
        AgeEstimator.load(make_bundle(), detector=FixedDetector(), level=0.7)


def test_at_least_sums_the_years_from_a_birthday_on(estimator: AgeEstimator) -> None:
    (face,) = estimator.predict(_patches([51]))  # 18 years
    assert face.at_least(18) == pytest.approx(float(face.age_probs[18:].sum()), abs=1e-6)
    assert 0.5 < face.at_least(18) < 0.7
    with pytest.raises(ValueError, match="0…100"):
        face.at_least(101)


def test_a_face_as_a_dictionary_is_what_the_issue_promises(estimator: AgeEstimator) -> None:
    (face,) = estimator.predict(_patches([85]))
    plain = json.loads(json.dumps(face.to_dict()))
    assert list(plain) == ["box", "score", "age", "interval", "level", "gender", "gender_confidence"]
    assert plain["box"] == [15, 25, 45, 55]
    assert plain["score"] == 0.9
    assert plain["age"] == round(face.age, 2)
    assert plain["interval"] == [round(end, 2) for end in face.interval]
    assert plain["level"] == 0.9
    assert plain["gender"] == "female"
    assert plain["gender_confidence"] == 0.5


def test_a_photo_as_a_dictionary_is_what_the_issue_promises(estimator: AgeEstimator, photos: list[Path]) -> None:
    (photo,) = estimator.photos(photos[2:3])
    plain = json.loads(json.dumps(photo.to_dict()))
    assert list(plain) == ["path", "width", "height", "faces", "error"]
    assert plain == {
        "path": str(photos[2]),
        "width": 190,
        "height": 80,
        "faces": [face.to_dict() for face in photo.faces],
        "error": None,
    }
    assert len(plain["faces"]) == 3


def test_an_unread_photo_as_a_dictionary_says_why() -> None:
    plain = Photo(Path("a.jpg"), error=ImageError("a.jpg: no such file")).to_dict()
    assert plain == {"path": "a.jpg", "width": 0, "height": 0, "faces": [], "error": "a.jpg: no such file"}


def test_a_photo_without_a_face_gives_no_faces(estimator: AgeEstimator) -> None:
    assert estimator.predict(np.zeros((50, 50, 3), np.uint8)) == []


def test_a_crop_without_a_detected_face_is_the_face(estimator: AgeEstimator) -> None:
    (face,) = estimator.predict(np.full((30, 50, 3), 85, np.uint8), cropped=True)
    assert face.box == (0, 0, 50, 30)
    assert face.score is None
    assert face.landmarks is None
    assert face.age == pytest.approx(30, abs=0.1)
    assert json.loads(json.dumps(face.to_dict()))["score"] is None


def test_of_several_faces_in_a_crop_the_main_one_counts(estimator: AgeEstimator) -> None:
    (face,) = estimator.predict(_patches([34, 85, 170]), cropped=True)
    assert face.box[0] == 75
    assert face.age == pytest.approx(30, abs=0.1)


def test_a_photo_that_cannot_be_read_is_an_image_error(estimator: AgeEstimator, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        estimator.predict(tmp_path / "gone.jpg")


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("cropped", [False, True])
def test_many_at_a_time_are_the_same_as_one_at_a_time(
    batch_size: int, workers: int, cropped: bool, estimator: AgeEstimator, photos: list[Path]
) -> None:
    many = list(estimator.predict_many(photos, cropped=cropped, batch_size=batch_size, workers=workers))
    assert [source for source, _ in many] == photos
    for source, faces in many:
        assert _facts(faces) == _facts(estimator.predict(source, cropped=cropped))


def test_the_defaults_take_everything_in_one_batch(estimator: AgeEstimator, photos: list[Path]) -> None:
    assert [len(faces) for _, faces in estimator.predict_many(photos)] == [1, 0, 3, 2, 0, 0, 1, 2, 1]


def test_no_sources_give_no_photos(estimator: AgeEstimator) -> None:
    assert list(estimator.photos([])) == []


def test_every_kind_of_source_can_be_mixed(estimator: AgeEstimator, photos: list[Path], make_image: MakeImage) -> None:
    pixels = make_image(70, 80)
    sources = [photos[0], str(photos[0]), photos[0].read_bytes(), pixels, Image.fromarray(pixels)]
    results = [_facts(photo.faces) for photo in estimator.photos(sources)]
    assert results == [results[0]] * 5
    assert len(results[0]) == 1


@pytest.mark.parametrize("batch_size", [1, 4])
def test_photos_go_on_past_bad_files(
    batch_size: int, estimator: AgeEstimator, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    sources = [tmp_path / "text.jpg", photos[0], tmp_path / "gone.jpg", photos[3]]
    results = list(estimator.photos(sources, batch_size=batch_size))
    assert [photo.source for photo in results] == sources
    assert [len(photo.faces) for photo in results] == [0, 1, 0, 2]
    assert [type(photo.error) for photo in results] == [ImageError, type(None), ImageError, type(None)]
    assert "text.jpg" in str(results[0].error)
    assert (results[2].width, results[1].width) == (0, 70)


def test_predict_many_raises_at_the_bad_photo_and_not_before(
    estimator: AgeEstimator, photos: list[Path], tmp_path: Path
) -> None:
    results = estimator.predict_many([photos[0], photos[1], tmp_path / "gone.jpg", photos[2]])
    assert [next(results)[0], next(results)[0]] == photos[:2]
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        next(results)
    assert list(results) == []


def _endless(image: Pixels, read: list[int]) -> Iterator[Pixels]:
    while True:
        read.append(len(read))
        yield image


@pytest.mark.parametrize("width", [70, 20])
def test_sources_are_read_a_few_ahead(width: int, estimator: AgeEstimator, make_image: MakeImage) -> None:
    read: list[int] = []
    results = estimator.photos(_endless(make_image(width, 80), read), batch_size=4, workers=2)
    next(results)
    assert len(read) <= 4 + 2 * 2 + 1
    for _ in range(20):
        next(results)
    assert len(read) <= 24 + 2 * 2 + 1
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("many", [False, True])
def test_stopping_early_leaves_no_threads(many: bool, estimator: AgeEstimator, make_image: MakeImage) -> None:
    before = threading.active_count()
    method: Callable[..., Any] = estimator.predict_many if many else estimator.photos
    results = method(_endless(make_image(70, 80), []), batch_size=2, workers=3)
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before


def test_sources_that_fail_end_the_iteration_and_leave_no_threads(
    estimator: AgeEstimator, make_image: MakeImage
) -> None:
    def sources() -> Iterator[Pixels]:
        yield make_image(70, 80)
        raise KeyError("the list of photos broke off")

    before = threading.active_count()
    with pytest.raises(KeyError, match="broke off"):
        list(estimator.photos(sources(), workers=2))
    assert threading.active_count() == before


class FailingDetector:
    """Fails, or finds landmarks that coincide, in pictures less than 60 pixels wide."""

    def __init__(self, sound: Detection, fault: Exception | None) -> None:
        self._sound, self._fault = sound, fault

    def detect(self, image: Pixels) -> list[Detection]:
        if image.shape[1] >= 60:
            return [self._sound]
        if self._fault:
            raise self._fault
        return [Detection(self._sound.box, np.full((5, 2), 9, np.float32), 0.9)]


@pytest.mark.parametrize("fault", [RuntimeError("no luck"), KeyError("x"), MemoryError(), None], ids=repr)
def test_photos_go_on_past_one_that_the_detector_fails_on(
    fault: Exception | None, make_bundle: MakeBundle, make_detection: MakeDetection, photos: list[Path]
) -> None:
    detector = FailingDetector(make_detection(30, 40, 30), fault)
    estimator = AgeEstimator.load(make_bundle(), detector=detector)
    good, bad, also_good = estimator.photos(photos[:3])
    assert (good.error, also_good.error) == (None, None)
    assert [len(photo.faces) for photo in (good, bad, also_good)] == [1, 0, 1]
    assert isinstance(bad.error, ImageError)
    assert str(bad.error).startswith(f"{photos[1]}: the face detector failed (")
    assert (bad.width, bad.height) == (10, 80)
    with pytest.raises(ImageError, match="the face detector failed"):
        estimator.predict(photos[1])


@pytest.mark.parametrize("kind", ["bytes", "array", "pil"])
def test_a_source_that_is_no_path_has_none_in_its_dictionary(
    kind: str, estimator: AgeEstimator, photos: list[Path], make_image: MakeImage
) -> None:
    pixels = make_image(70, 80)
    source = {"bytes": photos[0].read_bytes(), "array": pixels, "pil": Image.fromarray(pixels)}[kind]
    (photo,) = estimator.photos([source])
    assert json.loads(json.dumps(photo.to_dict()))["path"] is None


@pytest.mark.parametrize("source", ["photo.jpg", Path("photo.jpg"), b"photo"], ids=repr)
def test_one_source_where_several_are_wanted_is_refused(source: Any, estimator: AgeEstimator) -> None:
    with pytest.raises(TypeError, match=r"for one photo there is predict\(\)"):
        estimator.photos(source)
    with pytest.raises(TypeError, match=r"for one photo there is predict\(\)"):
        next(estimator.predict_many(source))


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": 0}, {"batch_size": -3}])
def test_batches_and_workers_below_one_are_refused(options: dict[str, int], estimator: AgeEstimator) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        estimator.photos([], **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        list(estimator.predict_many([], **options))  # type: ignore[arg-type]


def test_one_estimator_serves_several_threads(estimator: AgeEstimator, photos: list[Path]) -> None:
    alone = [_facts(estimator.predict(path)) for path in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: _facts(estimator.predict(path)), photos * 3))
    assert together == alone * 3


def test_a_bundle_that_cannot_be_loaded_is_a_bundle_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"gone\.onnx: no such model file"):
        AgeEstimator.load(tmp_path / "gone.onnx")


def test_the_built_in_model_finds_the_face_of_the_portrait(portrait: Path) -> None:
    (face,) = AgeEstimator.load().predict(portrait)
    x1, y1, x2, y2 = face.box
    assert x1 < 200 < 247 < x2  # her eyes, in pixels of the picture
    assert y1 < 102 < 143 < y2  # eyes and mouth
    assert face.score is not None
    assert face.score > 0.9
    assert face.interval[0] < face.age < face.interval[1]
