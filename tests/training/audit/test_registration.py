"""Crops of one photo, found by thumbnails and laid over each other."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from agelens.data import nearest
from agelens.data.nearest import grey, nearest_pairs, thumbnails
from agelens.data.registration import SAME_PHOTO, registered_pairs, registration

Picture = npt.NDArray[np.uint8]
Draw = Callable[[int, int], Picture]


def _moved(picture: Picture, turn: float, zoom: float, shift: float = 0) -> Picture:
    middle = (picture.shape[1] / 2, picture.shape[0] / 2)
    matrix = cv2.getRotationMatrix2D(middle, turn, zoom)
    matrix[:, 2] += shift
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_CONSTANT), dtype=np.uint8)


def _encoded(picture: Picture, quality: int) -> Picture:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "same": lambda picture: picture,
    "encoded": lambda picture: _encoded(picture, 30),
    "brighter": lambda picture: np.clip(picture * 1.3 + 10, 0, 255).astype(np.uint8),
    "turned": lambda picture: _moved(picture, 5, 1),
    "larger": lambda picture: _moved(picture, 0, 1.08),
    "shifted": lambda picture: _moved(picture, -2, 0.95, 2),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "smaller": lambda picture: cv2.resize(cv2.resize(picture, (32, 32)), (64, 64)).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_among_others_and_others_are_not(change: str, made_up_face: Draw) -> None:
    faces = [made_up_face(seed, 60) for seed in range(30)]
    greys = np.stack([grey(face) for face in [*faces, *map(CHANGES[change], faces[:10])]])
    first, second = nearest_pairs(greys)
    found = {
        (int(one), int(other))
        for part in registered_pairs(greys, first, second)
        for one, other in zip(*part[:2], strict=True)
    }
    assert found == {(number, 30 + number) for number in range(10)}


def test_registration_is_one_for_the_same_and_below_for_others(made_up_face: Draw) -> None:
    one, other = grey(made_up_face(0, 60)), grey(made_up_face(1, 60))
    assert registration(one, one) == pytest.approx(1, abs=1e-3)
    assert registration(one, other) < SAME_PHOTO - 0.1


def test_blank_crops_are_like_nothing() -> None:
    blank = np.full((5, 64, 64), 200, dtype=np.uint8)
    assert registration(blank[0], blank[0]) == 0
    assert len(nearest_pairs(blank)[0]) == 0


@pytest.mark.parametrize("count", [0, 1])
def test_one_crop_or_none_has_no_pairs(count: int) -> None:
    first, second = nearest_pairs(np.zeros((count, 64, 64), dtype=np.uint8))
    assert len(first) == len(second) == 0


@pytest.mark.parametrize("most", [1, 33, 1000])
def test_nearest_are_the_largest_products(most: int, made_up_face: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "MOST_PRODUCTS", most)
    monkeypatch.setattr(nearest, "LEAST_ALIKE", -1.0)
    monkeypatch.setattr(nearest, "NEAREST", 2)
    greys = np.stack([grey(made_up_face(seed, 60)) for seed in range(11)])
    wanted = set()
    for middle in (False, True):
        ours, turned = thumbnails(greys, middle=middle), thumbnails(greys[:, :, ::-1], middle=middle)
        alike = np.maximum(ours @ ours.T, turned @ ours.T)
        np.fill_diagonal(alike, -2)
        for row, best in enumerate(np.argsort(-alike, axis=1)[:, :2]):
            wanted |= {(min(row, int(one)), max(row, int(one))) for one in best}
    first, second = nearest_pairs(greys)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == wanted


def test_progress_counts_to_the_total(made_up_face: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "MOST_PRODUCTS", 24)
    greys = np.stack([grey(made_up_face(seed, 60)) for seed in range(6)])
    seen: list[tuple[int, int]] = []
    nearest_pairs(greys, lambda done, total: seen.append((done, total)))
    assert seen == [(4, 12), (6, 12), (10, 12), (12, 12)]
