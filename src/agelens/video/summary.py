"""Who was in a video: one line for each person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agelens.results import Face
from agelens.video.follower import Frame

__all__ = ["Persons", "Seen"]


@dataclass(slots=True)
class Seen:
    """A person of a video.

    Attributes:
        id: of the track.
        first: time of the first frame with this person, in seconds.
        last: of the last one.
        frames: how many frames the answer comes from.
        face: where the person was last, and what all those frames say.
        ages: (time, settled age, low, high, this frame's own age or None) of each frame; empty unless they are kept.
    """

    id: int
    first: float
    last: float
    frames: int
    face: Face
    ages: list[tuple[float, float, float, float, float | None]]

    def to_dict(self) -> dict[str, Any]:
        """The person as plain numbers and strings: one line of ``agelens video --csv``."""
        whole = self.face.to_dict()
        low, high = whole["interval"]
        times = {"first": round(self.first, 3), "last": round(self.last, 3), "frames": self.frames}
        kept = {key: whole[key] for key in ("level", "gender", "gender_confidence")}
        return {"track": self.id, **times, "age": whole["age"], "low": low, "high": high, **kept}


class Persons:
    """Collects the persons of a video from its frames."""

    def __init__(self, *, keep_ages: bool = False) -> None:
        """``keep_ages``: each frame's ages too, for charts; memory grows with the video's length."""
        self.seen: dict[int, Seen] = {}
        self._keep_ages = keep_ages

    def add(self, frame: Frame) -> None:
        """Count a frame."""
        for track in frame.tracks:
            one = self.seen.setdefault(track.id, Seen(track.id, track.since, frame.time, 0, track.face, []))
            one.last, one.frames, one.face = frame.time, track.frames, track.face
            if self._keep_ages:
                raw = None if track.raw is None else track.raw.age
                one.ages.append((frame.time, track.face.age, *track.face.interval, raw))

    def rows(self) -> list[dict[str, Any]]:
        """Each person as ``Seen.to_dict`` gives it, by number."""
        return [one.to_dict() for _, one in sorted(self.seen.items())]
