"""Boxes and ages on a photo, or on a video's frame."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from agelens.ages import MAX_AGE
from agelens.results import Face

__all__ = ["draw_faces", "draw_interval", "label", "write_note"]

COLOUR: Final = (16, 110, 190)
PALE: Final = (170, 195, 215)
INK: Final = (255, 255, 255)

Pixels = npt.NDArray[np.uint8]


def label(face: Face) -> str:
    """What is written at a face: ``"34 (28-41) female"``."""
    low, high = face.interval
    return f"{face.age:.0f} ({low:.0f}-{high:.0f}) {face.gender or ''}".rstrip()


def draw_faces(image: Pixels, faces: Iterable[Face]) -> Pixels:
    """A copy of an RGB (H, W, 3) uint8 image with a box and a label at each face, sized to the photo."""
    canvas = np.array(image, copy=True)
    line = _line(canvas)
    for face in faces:
        _draw_box(canvas, face, line)
        _write_label(canvas, face, line)
    return canvas


def draw_interval(canvas: Pixels, face: Face) -> None:
    """Draw into an RGB (H, W, 3) uint8 image, under a face, the years 0 to 100 as a line, the interval on it, and the
    age."""
    line = _line(canvas)
    x1, _, x2, y2 = face.box
    top = round(min(y2 + 2 * line, len(canvas) - 3 * line))
    places = [round(x1 + (x2 - x1) * years / MAX_AGE) for years in (*face.interval, face.age)]
    _fill(canvas, round(x1), top, round(x2), top + line, PALE)
    _fill(canvas, places[0], top - line // 2, places[1] + 1, top + line + line // 2, COLOUR)
    _fill(canvas, places[2] - line // 2, top - line, places[2] + line - line // 2, top + 2 * line, INK)


def write_note(canvas: Pixels, text: str) -> None:
    """Write a line into the lower left corner of an RGB (H, W, 3) uint8 image."""
    note = _written(text, max(11.0, min(canvas.shape[:2]) / 36))
    _paste(canvas, note, 0, len(canvas) - len(note))


def _line(canvas: Pixels) -> int:
    return max(2, round(float(max(canvas.shape[:2])) / 400))


def _draw_box(canvas: Pixels, face: Face, line: int) -> None:
    x1, y1, x2, y2 = (round(edge) for edge in face.box)
    x2, y2 = max(x1, x2) + 1, max(y1, y2) + 1  # the edge's own pixel is drawn too
    _fill(canvas, x1, y1, x2, y1 + line, COLOUR)
    _fill(canvas, x1, y2 - line, x2, y2, COLOUR)
    _fill(canvas, x1, y1, x1 + line, y2, COLOUR)
    _fill(canvas, x2 - line, y1, x2, y2, COLOUR)


def _write_label(canvas: Pixels, face: Face, line: int) -> None:
    x1, y1, x2, _ = face.box
    rows, columns = canvas.shape[:2]
    height = min(
        max(11.0, (x2 - x1) / 8), max(1.0, max(rows, columns) / 24)
    )  # readable on small faces, modest on large
    text = _written(label(face), round(height))
    x = min(max(0.0, x1), max(0.0, columns - text.shape[1]))
    y = y1 - len(text) if y1 >= len(text) else y1 + line  # above the box; inside it where the photo ends
    _paste(canvas, text, round(x), round(y))


@lru_cache(maxsize=256)
def _written(text: str, height: float) -> Pixels:
    """A line of text on its ground, as an image; of frame after frame of a video mostly the same ones."""
    font = ImageFont.load_default(height)
    pad = max(2, round(height / 5))
    left, top, right, bottom = font.getbbox(text)
    ground = Image.new("RGB", (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad), COLOUR)
    ImageDraw.Draw(ground).text((pad - left, pad - top), text, fill=INK, font=font)
    return np.asarray(ground)


def _fill(canvas: Pixels, x1: int, y1: int, x2: int, y2: int, colour: tuple[int, int, int]) -> None:
    canvas[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)] = colour


def _paste(canvas: Pixels, patch: Pixels, x: int, y: int) -> None:
    """Put an image on the canvas, as far as it lies on it; ``x`` and ``y`` of its upper left corner."""
    x, y = max(0, x), max(0, y)
    room = canvas[y : y + len(patch), x : x + patch.shape[1]]
    room[:] = patch[: room.shape[0], : room.shape[1]]
