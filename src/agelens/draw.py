"""Boxes and ages on a photo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from agelens.results import Face

__all__ = ["draw_faces", "label"]

COLOUR: Final = (16, 110, 190)
INK: Final = (255, 255, 255)


def label(face: Face) -> str:
    """What is written at a face: ``"34 (28-41) female"``."""
    low, high = face.interval
    return f"{face.age:.0f} ({low:.0f}-{high:.0f}) {face.gender or ''}".rstrip()


def draw_faces(image: npt.NDArray[np.uint8], faces: Iterable[Face]) -> npt.NDArray[np.uint8]:
    """A copy of an RGB (H, W, 3) uint8 image with a box and a label at each face, sized to the photo."""
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    side = max(canvas.size)
    line = max(2, round(side / 400))
    for face in faces:
        draw.rectangle(face.box, outline=COLOUR, width=line)
        _write_label(draw, face, line, canvas.size)
    return np.asarray(canvas)


def _write_label(draw: ImageDraw.ImageDraw, face: Face, line: int, canvas: tuple[int, int]) -> None:
    x1, y1, x2, _ = face.box
    height = min(max(11.0, (x2 - x1) / 8), max(1.0, max(canvas) / 24))  # readable on small faces, modest on large ones
    font = ImageFont.load_default(height)
    pad = max(2, round(height / 5))
    left, top, right, bottom = draw.textbbox((0, 0), label(face), font=font)
    width, tall = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(0.0, x1), max(0.0, canvas[0] - width))
    y = y1 - tall if y1 >= tall else y1 + line  # above the box; inside it where the photo ends
    draw.rectangle((x, y, x + width, y + tall), fill=COLOUR)
    draw.text((x + pad - left, y + pad - top), label(face), fill=INK, font=font)
