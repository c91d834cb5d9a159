"""``agelens webcam``: the camera in a window, with ages."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.bundle import DEFAULT
from agelens.cli.console import note
from agelens.cli.estimators import open_estimator
from agelens.cli.signals import ended_by_the_system
from agelens.cli.window import Window
from agelens.faces.detectors import DetectorName
from agelens.files import check_file
from agelens.video import analyze
from agelens.video.annotated import annotate
from agelens.video.sources import open_video
from agelens.video.writing import write_clip

__all__ = ["webcam"]


def webcam(
    camera: int = 0,
    /,
    *,
    out: Path | None = None,
    detect_every: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 1,
    model: Path = Path(DEFAULT),
    level: float = 0.9,
    detector: DetectorName = "yunet",
) -> None:
    """Show the camera in a window, with the ages of who is in front of it. Q or Escape ends it.

    Needs a screen; without one there is agelens video 0 OUT.mp4, and agelens app for a browser elsewhere.

    Example:  agelens webcam

    Parameters
    ----------
    camera
        Number of the camera, 0 for the first.
    out
        Write what is shown here too: .mp4, .m4v, .mov or .mkv.
    detect_every
        Look at one of so many frames; in the others faces are where they should be by then.
    model
        A built-in model, as agelens models lists them, or a bundle.
    level
        Share of the true ages that the intervals hold: 0.5, 0.8, 0.9 or 0.95.
    detector
        What finds the faces: yunet, or mtcnn, which is slower and needs the extra mtcnn.
    """
    estimator = open_estimator(model, level, detector=detector, threads=1)
    if out is not None:
        check_file(out)
    opened = open_video(camera)
    with ended_by_the_system(), ExitStack() as stack:
        stack.callback(opened.close)
        window = stack.enter_context(closing(Window(f"agelens: {opened.name}")))
        clip = None if out is None else stack.enter_context(write_clip(out, opened))
        frames = stack.enter_context(closing(analyze(opened, estimator=estimator, detect_every=detect_every)))
        for frame in frames:
            drawn = annotate(frame)
            if clip is not None:
                clip.write(drawn, frame.time)
            if not window.show(drawn):
                break
    if out is not None:
        note(f"wrote {out}")
