"""What every face detector keeps to, on a real photo and odd pictures; and detectors by name."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from agelens.errors import ConfigError, MissingExtraError
from agelens.faces.detector import Detection, Detector
from agelens.faces.detectors import DETECTORS, open_detector
from agelens.faces.mtcnn import Mtcnn
from agelens.images import read_image

Pixels = npt.NDArray[np.uint8]

NEEDS = {"mtcnn": ("mtcnn", "tensorflow")}  # modules that an extra brings
MIRRORED = [1, 0, 2, 4, 3]  # the landmarks in a mirror: the viewer's left first again
BLANK = [(1, 1), (2, 2), (1, 4000), (4000, 1), (19, 21), (31, 33), (20, 640), (65, 17), (700, 3), (640, 640)]


def _need(name: str) -> None:
    for module in NEEDS.get(name, ()):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> Detector:
    _need(request.param)
    return open_detector(request.param)


@pytest.fixture
def photo(portrait: Path) -> Pixels:
    return read_image(portrait)


def _plain(faces: list[Detection]) -> list[tuple[Any, ...]]:
    return [(face.box, face.landmarks.tolist(), face.score) for face in faces]


def _apart(one: Detection, other: Detection) -> float:
    """The largest distance between two faces' edges and landmarks, as a share of the first one's width."""
    edges = np.abs(np.subtract(other.box, one.box)).max()
    return float(max(edges, np.abs(other.landmarks - one.landmarks).max()) / (one.box[2] - one.box[0]))


def _iou(one: Detection, other: Detection) -> float:
    x1, y1 = np.maximum(one.box[:2], other.box[:2])
    x2, y2 = np.minimum(one.box[2:], other.box[2:])
    common = Detection((x1, y1, x2, y2), one.landmarks, 1).area
    return common / (one.area + other.area - common)


class TestEveryDetector:
    def test_finds_the_one_face_of_a_portrait(self, detector: Detector, photo: Pixels) -> None:
        (face,) = detector.detect(photo)
        assert all(type(edge) is float for edge in face.box)
        assert type(face.score) is float
        assert 0.5 < face.score <= 1
        assert face.landmarks.shape == (5, 2)
        assert face.landmarks.dtype == np.float32
        assert ((face.landmarks >= face.box[:2]) & (face.landmarks <= face.box[2:])).all()

    def test_landmarks_are_eyes_nose_and_mouth_the_viewers_left_first(self, detector: Detector, photo: Pixels) -> None:
        left_eye, right_eye, nose, left_mouth, right_mouth = detector.detect(photo)[0].landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < nose[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])

    def test_finds_the_face_where_the_others_do(self, detector: Detector, photo: Pixels) -> None:
        (face,) = detector.detect(photo)
        (default,) = open_detector(DETECTORS[0]).detect(photo)
        assert _iou(face, default) > 0.6
        width = default.box[2] - default.box[0]
        assert np.abs(face.landmarks - default.landmarks).max() < 0.1 * width

    @pytest.mark.parametrize("scale", [0.6, 3])
    def test_a_scaled_photo_gives_a_scaled_face(self, detector: Detector, photo: Pixels, scale: float) -> None:
        (one,) = detector.detect(photo)
        scaled = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else 1)
        (other,) = detector.detect(np.asarray(scaled, np.uint8))
        x1, y1, x2, y2 = (edge / scale for edge in other.box)
        assert _apart(one, Detection((x1, y1, x2, y2), other.landmarks / np.float32(scale), other.score)) < 0.12

    def test_a_mirrored_photo_gives_a_mirrored_face(self, detector: Detector, photo: Pixels) -> None:
        (one,) = detector.detect(photo)
        (other,) = detector.detect(np.ascontiguousarray(photo[:, ::-1]))
        last = photo.shape[1] - 1
        x1, y1, x2, y2 = other.box
        marks = (other.landmarks * [-1, 1] + [last, 0])[MIRRORED].astype(np.float32)
        assert _apart(one, Detection((last - x2, y1, last - x1, y2), marks, other.score)) < 0.1

    def test_faces_come_left_to_right(self, detector: Detector, photo: Pixels) -> None:
        edges = [face.box[0] for face in detector.detect(np.tile(photo, (1, 3, 1)))]
        assert len(edges) == 3
        assert edges == sorted(edges)

    @pytest.mark.parametrize("shape", BLANK)
    @pytest.mark.parametrize("level", [0, 128, 255])
    def test_finds_nothing_in_a_blank_image(self, detector: Detector, level: int, shape: tuple[int, int]) -> None:
        assert detector.detect(np.full((*shape, 3), level, np.uint8)) == []

    @pytest.mark.parametrize("shape", BLANK)
    @pytest.mark.parametrize("seed", [0, 1])
    def test_finds_nothing_in_noise(self, detector: Detector, seed: int, shape: tuple[int, int]) -> None:
        assert detector.detect(np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)) == []

    @pytest.mark.parametrize("width", [1, 7, 40, 200])
    def test_a_photo_squeezed_flat_gives_finite_numbers_or_nothing(
        self, detector: Detector, photo: Pixels, width: int
    ) -> None:
        for size in ((width, 600), (600, width)):
            for face in detector.detect(np.asarray(cv2.resize(photo, size), np.uint8)):
                assert np.isfinite(face.landmarks).all()
                assert np.isfinite([*face.box, face.score]).all()

    def test_a_grey_photo_is_as_good(self, detector: Detector, photo: Pixels) -> None:
        grey = np.repeat(photo.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
        assert _iou(detector.detect(photo)[0], detector.detect(grey)[0]) > 0.7

    def test_takes_a_read_only_view_and_leaves_it_as_it_was(self, detector: Detector, photo: Pixels) -> None:
        view = np.repeat(photo, 2, axis=1)[:, ::2]
        view.flags.writeable = False
        assert _plain(detector.detect(view)) == _plain(detector.detect(photo))
        assert (view == photo).all()

    def test_several_threads_get_the_same_answers(self, detector: Detector, photo: Pixels) -> None:
        images = [np.ascontiguousarray(photo[: 300 + 30 * step, : 512 - 20 * step]) for step in range(5)]
        alone = [_plain(detector.detect(image)) for image in images]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda image: _plain(detector.detect(image)), images * 2))
        assert all(alone)
        assert together == alone * 2


class TestMtcnn:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        _need("mtcnn")

    def test_answers_as_its_package_does(self, photo: Pixels) -> None:
        """The package's own search, an independent one, on the same networks; it rounds to pixels."""
        from mtcnn import MTCNN

        (theirs,) = MTCNN().detect_faces(photo, box_format="xyxy")
        names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
        marks = np.array([theirs["keypoints"][name] for name in names], np.float32)
        (ours,) = Mtcnn().detect(photo)
        assert _apart(Detection(tuple(theirs["box"]), marks, 1.0), ours) < 0.08
        assert ours.score == pytest.approx(float(theirs["confidence"]), abs=0.01)

    def test_finds_a_crowd(self, photo: Pixels) -> None:
        (face,) = Mtcnn().detect(photo)
        x1, y1, x2, _ = map(int, face.box)
        side = x2 - x1 + 40
        one = cv2.resize(photo[y1 - 10 : y1 - 10 + side, x1 - 20 : x1 - 20 + side], (40, 40), interpolation=3)
        assert len(Mtcnn().detect(np.asarray(np.tile(one, (16, 16, 1)), np.uint8))) > 200

    def test_leaves_out_faces_below_the_threshold_and_of_small_size(self, photo: Pixels) -> None:
        assert Mtcnn(score_threshold=1).detect(photo) == []
        assert len(Mtcnn(min_face=60).detect(photo)) == 1
        assert Mtcnn(min_face=400).detect(photo) == []
        assert all(face.score >= 0.2 for face in Mtcnn(score_threshold=0.2).detect(photo))

    def test_does_not_read_weights_from_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: Pixels
    ) -> None:
        for name in ("pnet", "rnet", "onet"):
            (tmp_path / f"{name}.lz4").write_bytes(b"not weights")
        monkeypatch.chdir(tmp_path)
        assert len(Mtcnn().detect(photo)) == 1

    def test_is_silent(self, portrait: Path) -> None:
        code = (
            "import sys; from agelens.faces.mtcnn import Mtcnn; from agelens.images import read_image;"
            "print(len(Mtcnn().detect(read_image(sys.argv[1]))))"
        )
        run = subprocess.run([sys.executable, "-W", "always", "-c", code, portrait], capture_output=True, text=True)
        assert (run.returncode, run.stdout, run.stderr) == (0, "1\n", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_threshold": -0.1}, "score_threshold is -0.1"),
        ({"score_threshold": float("nan")}, "score_threshold is nan"),
        ({"max_side": 63}, "max_side is 63"),
        ({"max_side": 4097}, "max_side is 4097"),
        ({"min_face": 11}, "min_face is 11"),
        ({"min_face": 4097}, "min_face is 4097"),
    ],
)
def test_mtcnn_refuses_what_is_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mtcnn(**options)


@pytest.mark.parametrize("module", ["mtcnn", "tensorflow"])
def test_a_missing_package_is_told_with_the_line_that_installs_it(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    if module != "mtcnn" and find_spec("mtcnn") is None:
        module = "mtcnn"
    with pytest.raises(MissingExtraError, match=rf"needs '{module}'.*\[mtcnn\]"):
        open_detector("mtcnn")


@pytest.mark.parametrize("name", ["", "YuNet", "retinaface", "x" * 1000])
def test_an_unknown_detector_is_told_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match="there are: yunet, mtcnn") as caught:
        open_detector(name)
    assert len(str(caught.value)) < 200


def test_the_default_detector_does_not_import_tensorflow() -> None:
    code = (
        "import sys; from agelens.faces.detectors import open_detector; open_detector('yunet');"
        "print(sorted({'tensorflow', 'mtcnn', 'agelens.faces.mtcnn'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
