"""Frames out: an H.264 file with the sound of the clip that they come from."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

from agelens.errors import OutputError
from agelens.files import atomic_path
from agelens.video.frames import FrameSource
from agelens.video.sound import Sound

__all__ = ["FORMATS", "ClipWriter", "write_clip"]

FORMATS: Final = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
CLOCK: Final = Fraction(1, 90_000)  # fine enough for any rate, and for those that vary
# Half the time of x264's own choice, for a file a fifth larger.
ENCODING: Final = {"preset": "veryfast", "crf": "21"}
HD: Final = 720  # rows, from which players take colours for BT.709's
BT709, BT601 = 1, 6  # in FFmpeg's tables
WAITING: Final = 8  # frames at most

Pixels = npt.NDArray[np.uint8]


@contextmanager
def write_clip(path: Path, source: FrameSource) -> Iterator[ClipWriter]:
    """Write frames of a source into a file, which appears when the block ends, or is interrupted.

    From the keyboard, that is, by whoever reads standard output, or by ``SystemExit``. While the file is finished
    further interruptions are not heard.

    Args:
        path: .mp4, .m4v, .mov or .mkv; ``OutputError`` otherwise.
        source: gives the rate, and the sound where it has one.

    Raises:
        OutputError: the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"{path}: no kind of video that can be written; wanted {', '.join(FORMATS)}")
    interrupted: BaseException | None = None
    with atomic_path(path) as temporary:
        writer = ClipWriter(temporary, FORMATS[path.suffix.lower()], source)
        try:
            yield writer
        except (KeyboardInterrupt, BrokenPipeError, SystemExit) as error:
            interrupted = error
        finally:
            with _undisturbed():
                writer.close()
        if not writer.frames:
            raise interrupted or OutputError(f"{path}: there is no frame to write")
    if interrupted is not None:
        raise interrupted


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal from the keyboard or the system ends the block; other threads get none anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


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
        self._sound.start(self._container, kind)  # now: the source may be closed before the last frame is encoded
        self._waiting: queue.Queue[tuple[Pixels, float] | None] = queue.Queue(WAITING)
        self._failed: Exception | None = None
        self._colours = Colorspace.ITU601
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    def write(self, image: Pixels, time: float) -> None:
        """Add a frame.

        Args:
            image: (H, W, 3) uint8 RGB; all frames get the size of the first, less an odd row or
                column; others are scaled to it.
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
        finally:
            self._sound.close()
        self._check()

    @property
    def sound_lost(self) -> str | None:
        """Why the sound could not be written, or None."""
        return self._sound.lost

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
        frame = frame.reformat(format="yuv420p", dst_colorspace=self._colours)
        frame.pts, frame.time_base = round(time / CLOCK), CLOCK
        self._container.mux(self._picture.encode(frame))
        self._sound.mux_until(self._container, time)

    def _start(self, image: Pixels) -> None:
        height, width = image.shape[:2]
        self._picture = self._container.add_stream("libx264", rate=self._rate, options=ENCODING)
        self._picture.width, self._picture.height = max(2, width - width % 2), max(2, height - height % 2)
        self._picture.pix_fmt = "yuv420p"
        coder = self._picture.codec_context
        coder.time_base = CLOCK
        self._colours = Colorspace.ITU709 if height >= HD else Colorspace.ITU601
        coder.colorspace = coder.color_primaries = coder.color_trc = BT709 if height >= HD else BT601
        coder.color_range = ColorRange.MPEG


def _sized(image: Pixels, width: int, height: int) -> Pixels:
    """The image less an odd row or column; one of another size is scaled."""
    rows, columns = image.shape[:2]
    if (rows - rows % 2, columns - columns % 2) == (height, width):
        return np.ascontiguousarray(image[:height, :width])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
