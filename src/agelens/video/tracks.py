"""Which faces of successive frames are one person's, by where they are. norfair follows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from norfair import Detection, Tracker
from norfair.distances import ScalarDistance

from agelens.faces.detector import Box
from agelens.results import Face

__all__ = ["FaceTracker", "Place", "Track"]

FORGET_SECONDS: Final = 1.0  # a face that was long in sight is waited for that long
SHOWN_SECONDS: Final = 0.4  # and is shown for so long where it should be
COVERED_SECONDS: Final = 0.25  # and no longer where another's face is in its place
BESIDE: Final = 1.5  # of a face's width from one that was found, within which a lost one is not drawn
FAR: Final = 0.8  # of a face's width, further than which the next frame's is another's


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A person who is followed through a video, as of one frame.

    Attributes:
        id: 1, 2, …; the same from frame to frame, and after a return where that is recognised.
        face: where the face is in this frame, and what all frames so far say of its age and gender. ``age`` is held
            still while it is within half a year of the mean of ``age_probs``, as ``HeldAge`` has it. ``score`` and
            ``landmarks`` are this frame's, None where it was not looked at or the face is hidden for the moment.
        raw: this frame's own answer, without the others'; None likewise.
        frames: how many frames the answer comes from.
        since: time of the first of them, in seconds.
    """

    id: int
    face: Face
    raw: Face | None
    frames: int
    since: float

    def to_dict(self) -> dict[str, Any]:
        """The track as plain numbers and strings: what all frames so far say, and this one's own age as ``raw_age``."""
        return {
            "track": self.id,
            **self.face.to_dict(),
            "frames": self.frames,
            "since": round(self.since, 3),
            "raw_age": None if self.raw is None else round(self.raw.age, 2),
        }


class Place(NamedTuple):
    """Where a followed face is.

    Attributes:
        number: of the tracker.
        box: in pixels of the frame, as foreseen where there is no face.
        found: which of the frame's faces it is, None where none is.
        shown: whether it was found lately enough to be drawn; others are still waited for.
    """

    number: int
    box: Box
    found: int | None
    shown: bool


class FaceTracker:
    """Follows faces by where they are and how they move."""

    def __init__(self, rate: float, detect_every: int = 1) -> None:
        """
        Args:
            rate: frames a second.
            detect_every: of how many frames one is looked at.
        """
        self._period = detect_every
        self._rate = rate
        self._shown = max(SHOWN_SECONDS, 1.5 * detect_every / rate)
        self._forget = max(FORGET_SECONDS, 1.5 * detect_every / rate)
        self._time: float | None = None
        self._tracker = Tracker(
            distance_function="iou",
            distance_threshold=FAR,
            hit_counter_max=max(2 * detect_every, round(FORGET_SECONDS * rate)),
            initialization_delay=0,
        )
        self._tracker.distance_function = ScalarDistance(_apart)  # its constructor would warn of a slow one

    def update(self, faces: Sequence[Face] | None, time: float) -> list[Place]:
        """Go on by a frame.

        Args:
            time: of the frame, in seconds.
            faces: of this frame; None where it was not looked at.

        Returns:
            The faces that are followed or waited for, those of ``faces`` among them, by their numbers.
        """
        steps = self._steps_until(time)
        self._time = time
        # frames may come faster or slower than was thought: what counts is the time
        self._forget_before(time, self._forget, self._tracker.tracked_objects)
        if faces is None:
            followed = self._tracker.update()
        else:
            seen = [Detection(_corners(face.box), data=(time, index)) for index, face in enumerate(faces)]
            followed = self._tracker.update(seen, period=max(self._period, steps))
        found = [one for one in followed if one.last_detection.data[0] == time]
        lost = [one for one in followed if one not in found]
        self._forget_before(time, COVERED_SECONDS, [one for one in lost if _nearest(one, found) < FAR])
        hidden = {one.id for one in lost if _nearest(one, found) < BESIDE}
        places = sorted(self._place(one, faces) for one in followed)
        return [place._replace(shown=place.shown and place.number not in hidden) for place in places]

    def _steps_until(self, time: float) -> int:
        """How many frames' time has gone by; faces move on through those that did not come, as when a camera stalls."""
        steps = 1 if self._time is None else round((time - self._time) * self._rate)
        steps = min(max(1, steps), round(self._rate * self._forget) + 1)
        for _ in range(steps - 1):
            self._tracker.update()
        return steps

    def _forget_before(self, time: float, seconds: float, followed: Sequence[Any]) -> None:
        """Follow those no more who were not found for so long."""
        gone = {one.id for one in followed if time - one.last_detection.data[0] > seconds}
        self._tracker.tracked_objects = [one for one in self._tracker.tracked_objects if one.id not in gone]

    def _place(self, followed: Any, faces: Sequence[Face] | None) -> Place:
        seen, index = followed.last_detection.data
        if faces is not None and seen == self._time:
            return Place(followed.id, faces[index].box, index, True)
        (x1, y1), (x2, y2) = followed.estimate
        box = (float(x1), float(y1), float(x2), float(y2))
        return Place(followed.id, box, None, self._time - seen < self._shown)


def _nearest(one: Any, found: Sequence[Any]) -> float:
    """How near to one that was found a face should be that was not: hidden by it, or the same, taken up anew."""
    return min((_between(one.estimate, other.estimate) for other in found), default=math.inf)


def _corners(box: Box) -> npt.NDArray[np.float64]:
    return np.array([box[:2], box[2:]], dtype=np.float64)


def _apart(seen: Any, followed: Any) -> float:
    """How far a face lies from where a followed one should be, in its width; another size counts as distance."""
    return _between(seen.points, followed.estimate)


def _between(here: npt.NDArray[np.float64], there: npt.NDArray[np.float64]) -> float:
    """Distance of two boxes, (2, 2) corners each, in the wider one's width, and the logarithm of their sizes' ratio."""
    size, foreseen = max(float(np.ptp(here[:, 0])), 1.0), max(float(np.ptp(there[:, 0])), 1.0)
    way = float(np.hypot(*(here.mean(axis=0) - there.mean(axis=0))))
    return way / max(size, foreseen) + abs(float(np.log(size / foreseen)))
