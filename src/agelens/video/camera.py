"""Frames of a camera, by OpenCV, which knows every system's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from agelens.errors import VideoError
from agelens.video.frames import RawFrame, usable_rate

__all__ = ["Camera"]

GIVE_UP: Final = 30  # frames in a row that the camera does not give


class Camera:
    """A camera; as ``FrameSource``. Its frames are those of the moment: none wait for who is slow."""

    live = True
    count = 0

    def __init__(self, number: int) -> None:
        """``number`` is the camera's, 0 for the first.

        Raises:
            VideoError: there is no such camera, or it is in use.
        """
        self.name = f"camera {number}"
        self.broken = 0
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would tell of every way that it tried
        try:
            self._capture = cv2.VideoCapture(number) if number >= 0 else cv2.VideoCapture()
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            self._capture.release()
            raise VideoError(f"{self.name}: is not there, or in use; cameras count from 0")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.rate = usable_rate(self._capture.get(cv2.CAP_PROP_FPS))

    def frames(self) -> Iterator[RawFrame]:
        """The frames, until the camera gives none for a while.

        Raises:
            VideoError: it never gives one.
        """
        start, index, missed = None, 0, 0
        while missed < GIVE_UP:
            read, image = self._capture.read()
            now = time.monotonic()
            if not read:
                missed, self.broken = missed + 1, self.broken + 1
                continue
            start, missed = now if start is None else start, 0
            yield RawFrame(index, now - start, np.ascontiguousarray(image[:, :, ::-1]))
            index += 1
        if index == 0:
            raise VideoError(f"{self.name}: gives no pictures")

    def close(self) -> None:
        """Give back the camera."""
        self._capture.release()
