"""Clips with faces that move, made on the spot, and a detector that finds those faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from agelens.faces.detector import Detection

Pixels = npt.NDArray[np.uint8]
SIDE = 40

GREY = 110


class BrightPatchDetector:
    """Finds the squares of 40 pixels that are brighter than the grey around them, by their columns."""

    def __init__(self, make_detection: Callable[..., Detection]) -> None:
        self._make = make_detection

    def detect(self, image: Pixels) -> list[Detection]:
        bright = image.astype(int).mean(axis=2) > GREY + 30
        columns = np.flatnonzero(bright.sum(axis=0) > SIDE // 2)
        if not len(columns):
            return []
        runs = np.split(columns, np.flatnonzero(np.diff(columns) > 3) + 1)
        return [self._of(run, bright) for run in runs if len(run) > SIDE // 2]

    def _of(self, run: npt.NDArray[np.intp], bright: npt.NDArray[np.bool_]) -> Detection:
        rows = np.flatnonzero(bright[:, run].sum(axis=1) > SIDE // 2)
        return self._make(float(run.mean()), float(rows.mean()), SIDE)


def face_frame(places: Sequence[tuple[float, float]], width: int = 320, height: int = 240, value: int = 200) -> Pixels:
    """A grey frame with a textured bright square about each of the places."""
    frame = np.full((height, width, 3), GREY, np.uint8)
    for x, y in places:
        left, top = round(x) - SIDE // 2, round(y) - SIDE // 2
        patch = np.full((SIDE, SIDE, 3), value, np.uint8)
        patch[::4] = value - 20
        frame[top : top + SIDE, left : left + SIDE] = patch
    return frame


def write_frames(
    path: Path,
    frames: Sequence[Pixels],
    *,
    rate: int = 25,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int | None = None,
    sound: str | None = None,
    sound_rate: int = 44_100,
    **options: str,
) -> Path:
    """A clip of these frames, at these times in seconds, with a sound of this codec."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, options={"g": "5", **options})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        tone: Any = None if sound is None else out.add_stream(sound, rate=sound_rate)
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            seconds = index / rate if times is None else times[index]
            frame.pts, frame.time_base = round(seconds * 1000), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if tone is not None:
            _add_tone(out, tone, len(frames) / rate)
    return path


def _add_tone(out: Any, tone: Any, seconds: float) -> None:
    wave = (0.2 * np.sin(2 * np.pi * 440 * np.arange(int(44_100 * seconds)) / 44_100)).astype(np.float32)
    for start in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44_100, start, Fraction(1, 44_100)
        out.mux(tone.encode(frame))
    out.mux(tone.encode(None))
