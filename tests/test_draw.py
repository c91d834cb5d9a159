"""Boxes and labels on a copy of the photo."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from agelens.draw import COLOUR, draw_faces, label
from agelens.results import Face

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]


def _face(box: Box, **changes: Any) -> Face:
    facts: dict[str, Any] = {
        "age": 33.6,
        "interval": (27.5, 41.2),
        "level": 0.9,
        "gender": "female",
        "gender_confidence": 0.97,
        "box": box,
        "score": 0.9,
        "landmarks": None,
        "age_probs": np.zeros(101, np.float32),
    }
    return Face(**facts | changes)


def _grey(width: int, height: int) -> Pixels:
    return np.full((height, width, 3), 128, np.uint8)


def test_the_label_says_age_interval_and_gender() -> None:
    assert label(_face((0, 0, 1, 1))) == "34 (28-41) female"


def test_only_the_box_and_the_label_differ() -> None:
    drawn = draw_faces(_grey(400, 300), [_face((150, 120, 250, 240))])
    assert drawn.shape == (300, 400, 3)
    assert drawn.dtype == np.uint8
    rows, columns = np.nonzero((drawn != 128).any(axis=2))
    assert (rows.min(), columns.min()) >= (90, 150)
    assert rows.max() == 240
    assert columns.max() <= 310
    assert (drawn[125:238, 155:248] == 128).all()


@pytest.mark.parametrize("point", [(240, 200), (180, 150), (180, 250)])
def test_the_box_is_drawn_where_the_face_is(point: tuple[int, int]) -> None:
    drawn = draw_faces(_grey(400, 300), [_face((150, 120, 250, 240))])
    assert drawn[point].tolist() == list(COLOUR)


def test_the_label_stands_above_the_box_in_a_readable_ink() -> None:
    drawn = draw_faces(_grey(400, 300), [_face((150, 120, 250, 240))])
    above = drawn[90:119]
    assert (above == COLOUR).all(axis=2).sum() > 200
    assert (above.min(axis=2) > 230).sum() > 20


def test_the_label_stands_in_the_box_where_the_photo_ends_above_it() -> None:
    drawn = draw_faces(_grey(400, 300), [_face((150, 2, 250, 140))])
    assert ((drawn[4:40, 155:245].min(axis=2)) > 230).any()


def test_a_label_at_the_right_edge_is_moved_into_the_photo() -> None:
    drawn = draw_faces(_grey(400, 300), [_face((380, 100, 400, 130))])
    assert ((drawn[60:100, 250:380].min(axis=2)) > 230).any()


def test_another_label_gives_another_drawing() -> None:
    box = (150.0, 120.0, 250.0, 240.0)
    one, other = (draw_faces(_grey(400, 300), [_face(box, gender=gender)]) for gender in ("female", "male"))
    assert (one != other).any()


def test_every_face_is_drawn() -> None:
    drawn = draw_faces(_grey(400, 300), [_face((20, 100, 80, 160)), _face((300, 200, 380, 280))])
    assert drawn[130, 20].tolist() == drawn[240, 380].tolist() == list(COLOUR)


def test_the_photo_itself_is_not_touched_and_may_be_read_only() -> None:
    image = _grey(100, 80)
    image.flags.writeable = False
    assert (draw_faces(image, [_face((20, 30, 60, 70))]) != 128).any()
    assert (image == 128).all()


def test_without_faces_the_copy_is_the_photo() -> None:
    np.testing.assert_array_equal(draw_faces(_grey(40, 30), []), _grey(40, 30))


@pytest.mark.parametrize(("width", "height"), [(8, 8), (1, 1), (2, 300), (300, 2), (1, 4000), (4000, 1), (30, 30)])
def test_tiny_and_thin_photos_are_drawn_on(width: int, height: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    drawn = draw_faces(image, [_face((0, 0, width, height))])
    assert drawn.shape == image.shape
    assert drawn.any()


@pytest.mark.parametrize(
    "box",
    [(0, 0, 90, 60), (0, 0, 0, 0), (90, 60, 90, 60), (85, 0, 90, 60), (0, 55.5, 90, 60), (40, 0, 40.2, 0.1)],
)
def test_boxes_at_the_edges_are_drawn(box: Box) -> None:
    assert (draw_faces(_grey(90, 60), [_face(box)]) != 128).any()
