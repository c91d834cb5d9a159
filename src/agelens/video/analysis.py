"""From a video to frames with the persons in them: decoding, looking and following at once."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

from agelens.ahead import map_ahead
from agelens.estimator import AgeEstimator
from agelens.faces.embedder import Embedder
from agelens.video.follower import Follower, Frame, Looked, look
from agelens.video.frames import FrameSource, RawFrame, VideoSource
from agelens.video.sources import open_video

__all__ = ["Analysis", "Frame", "analyze"]


def analyze(
    source: VideoSource | FrameSource,
    *,
    estimator: AgeEstimator | None = None,
    detect_every: int = 1,
    recognise: Embedder | None = None,
    workers: int | None = None,
) -> Analysis:
    """The frames of a video, in order, with the persons in them, whose ages settle from frame to frame.

    Frames are decoded and looked at by threads while earlier ones are used; memory does not grow with their number.
    The source is opened at once and closed at the end, also where the caller stops early.

    Args:
        source: as ``video.sources.open_video`` takes it, or what that returned.
        estimator: the model and detector; None for the built-in ones. On many cores one whose network has a single
            thread is fastest here: ``AgeEstimator.load(threads=1)``.
        detect_every: of how many frames one is looked at, at least 1; in the others faces are where they should be by
            now.
        recognise: an embedder, as ``embedders.open_embedder`` opens it, that knows persons again who were out of sight
            for more than a second; None: who returns is somebody new.
        workers: threads that look for faces; None for as many as there are cores, at most 4.

    Raises:
        VideoError: the video cannot be read, or the camera is not there.
        ValueError: ``detect_every`` or ``workers`` is below 1.
        TypeError: the source is none of these.
    """
    workers = min(4, os.cpu_count() or 1) if workers is None else workers
    if not (isinstance(detect_every, int) and isinstance(workers, int)) or detect_every < 1 or workers < 1:
        raise ValueError(f"detect_every is {detect_every} and workers {workers}; both must be whole and at least 1")
    estimator = AgeEstimator.load(threads=1) if estimator is None else estimator
    opened = source if isinstance(source, FrameSource) else open_video(source)
    follower = Follower(estimator, opened.rate, detect_every=detect_every, recognise=recognise)
    return Analysis(opened, estimator, follower, detect_every, workers)


class Analysis:
    """The frames of a video as they come; ``close`` ends the work and gives back the source, as the last frame does."""

    def __init__(
        self, source: FrameSource, estimator: AgeEstimator, follower: Follower, detect_every: int, workers: int
    ) -> None:
        """See ``analyze``."""
        self._source = source
        self._closed = False
        self._frames = _frames(source, estimator, follower, detect_every, workers)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        try:
            return next(self._frames)
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing running and nothing open."""
        if not self._closed:
            self._closed = True
            self._frames.close()
            self._source.close()


def _frames(
    source: FrameSource, estimator: AgeEstimator, follower: Follower, detect_every: int, workers: int
) -> Generator[Frame]:
    def seen(raw: RawFrame) -> Looked:
        return look(estimator, raw) if raw.index % detect_every == 0 else Looked(raw, None)

    ahead = workers if source.live else 2 * workers
    for looked in map_ahead(seen, source.frames(), workers, ahead):
        yield follower.follow(looked)
