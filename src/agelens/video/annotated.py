"""A frame with who is in it drawn on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agelens.draw import draw_faces, draw_interval
from agelens.video.follower import Frame

__all__ = ["annotate"]


def annotate(frame: Frame) -> npt.NDArray[np.uint8]:
    """A copy of the frame's image, (H, W, 3) uint8 RGB, with each person's box, age, interval and gender."""
    faces = [track.face for track in frame.tracks]
    canvas = draw_faces(frame.image, faces)
    for face in faces:
        draw_interval(canvas, face)
    return canvas
