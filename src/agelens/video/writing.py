"""Frames out: an H.264 file with the sound of the clip that they come from."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np
import numpy.typing as npt

from agelens.errors import OutputError
from agelens.files import atomic_path
from agelens.video.frames import FrameSource
from agelens.video.sound import Sound

__all__ = ["FORMATS", "ClipWriter", "write_clip"]

FORMATS: Final = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
CLOCK: Final = Fraction(1, 90_000)  # fine enough for any rate, and for those that vary
# Half the time of x264's own choice, for a file a fifth larger.
ENCODING: Final = {"preset": "veryfast", "crf": "21"}
WAITING: Final = 8  # frames at most

Pixels = npt.NDArray[np.uint8]


@contextmanager
def write_clip(path: Path, source: FrameSource) -> Iterator[ClipWriter]:
    """Write frames of a source into a file, which appears when the block ends, or is interrupted from the keyboard.

    Args:
        path: .mp4, .m4v, .mov or .mkv; ``OutputError`` otherwise.
        source: gives the rate, and the sound where it has one.

    Raises:
        OutputError: the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"{path}: no kind of video that can be written; wanted {', '.join(FORMATS)}")
    interrupted = None
    with atomic_path(path) as temporary:
        writer = ClipWriter(temporary, FORMATS[path.suffix.lower()], source)
        try:
            yield writer
        except KeyboardInterrupt as error:
            interrupted = error
        finally:
            writer.close()
        if not writer.frames:
            raise interrupted or OutputError(f"{path}: there is no frame to write")
    if interrupted is not None:
        raise interrupted


class ClipWriter:
    """Encodes in a thread of its own.

    Attributes:
        frames: how many were taken.
    """

    def __init__(self, target: Path | BytesIO, kind: str, source: FrameSource) -> None:
        """
        Args:
            target: the file, whatever its name, or memory.
            kind: FFmpeg's name of the file's format.
            source: gives the rate and the sound; its frames must not have been read yet.
        """
        self.frames = 0
        self._rate = Fraction(source.rate).limit_denominator(1001)
        in_memory = isinstance(target, BytesIO)
        options = {} if in_memory else {"movflags": "+faststart"}  # which reads the file again
        self._container: Any = av.open(target if in_memory else str(target), "w", format=kind, options=options)
        self._picture: Any = None
        self._sound = Sound.of(source)
        self._waiting: queue.Queue[tuple[Pixels, float] | None] = queue.Queue(WAITING)
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    def write(self, image: Pixels, time: float) -> None:
        """Add a frame.

        Args:
            image: (H, W, 3) uint8 RGB; all frames get the size of the first, less an odd row or column.
            time: in seconds, above that of the frame before.

        Raises:
            OutputError: the encoder failed, or the disk is full.
        """
        self._check()
        self.frames += 1
        self._waiting.put((image, time))

    def close(self) -> None:
        """Finish the file.

        Raises:
            OutputError: the encoder failed, or the disk is full.
        """
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            self._failed = self._failed or error
        self._check()

    def _check(self) -> None:
        if self._failed is not None:
            raise OutputError(f"the video cannot be written: {self._failed}") from self._failed

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._failed is None:
                try:
                    self._encode(*item)
                except Exception as error:  # told by the thread that writes
                    self._failed = error
        try:
            if self._failed is None and self._picture is not None:
                self._container.mux(self._picture.encode())
                self._sound.mux_until(self._container, float("inf"))
        except Exception as error:
            self._failed = error

    def _encode(self, image: Pixels, time: float) -> None:
        if self._picture is None:
            self._start(image)
        width, height = self._picture.width, self._picture.height
        frame = av.VideoFrame.from_ndarray(_sized(image, width, height), format="rgb24")
        frame.pts, frame.time_base = round(time / CLOCK), CLOCK
        self._container.mux(self._picture.encode(frame))
        self._sound.mux_until(self._container, time)

    def _start(self, image: Pixels) -> None:
        height, width = image.shape[:2]
        self._picture = self._container.add_stream("libx264", rate=self._rate, options=ENCODING)
        self._picture.width, self._picture.height = max(2, width - width % 2), max(2, height - height % 2)
        self._picture.pix_fmt = "yuv420p"
        self._picture.codec_context.time_base = CLOCK
        self._sound.start(self._container)


def _sized(image: Pixels, width: int, height: int) -> Pixels:
    """The image cut, or filled up by its last row and column."""
    image = image[:height, :width]
    missing = (height - image.shape[0], width - image.shape[1])
    if any(missing):
        image = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
