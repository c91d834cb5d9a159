"""The page of the webcam: the browser's camera, live."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import streamlit as st
from streamlit_webrtc import VideoProcessorBase, WebRtcMode, webrtc_streamer

from agelens.app.choices import choose
from agelens.app.panel import face_panel
from agelens.draw import write_note
from agelens.estimator import AgeEstimator
from agelens.results import Face
from agelens.video.annotated import annotate
from agelens.video.follower import Follower, Frame, look
from agelens.video.frames import RawFrame

__all__ = ["LiveFaces", "page"]

RATE: Final = 25.0
SHOWN: Final = 3  # persons, with their charts
SMOOTHED: Final = 0.1  # weight of the latest frame in the speed that is shown


def page() -> None:
    """Start the camera, see the ages."""
    st.title("Live")
    _, estimator = choose()
    st.caption("Pictures go from the browser to the machine on which agelens runs, and nowhere else. Nothing is kept.")
    context = webrtc_streamer(
        key="webcam",
        mode=WebRtcMode.SENDRECV,
        video_processor_factory=lambda: LiveFaces(estimator),
        media_stream_constraints={"video": {"width": {"ideal": 960}, "frameRate": {"ideal": 25}}, "audio": False},
        rtc_configuration={"iceServers": []},  # no server of others is asked for this machine's address
        async_processing=True,  # frames that come while one is looked at are left out
    )
    if context.state.playing:
        _persons(context)
    else:
        st.info("Press START and allow the camera. A browser gives it to pages of this machine, or by https, alone.")


@st.fragment(run_every=1.0)
def _persons(context: Any) -> None:
    """Who is there, anew each second."""
    processor = context.video_processor
    rows = [] if processor is None else processor.latest()
    if not rows:
        st.caption("No face yet.")
        return
    st.dataframe(rows, hide_index=True, width="stretch")
    faces = processor.faces()[:SHOWN]
    for column, (person, image, face) in zip(st.columns(SHOWN), faces, strict=False):
        with column:
            face_panel(image, face, f"Person {person}", f"live-{person}")


class LiveFaces(VideoProcessorBase):
    """Draws ages on the frames of a camera. The latest persons can be asked for from another thread."""

    def __init__(self, estimator: AgeEstimator) -> None:
        """``estimator`` is shared by all visits."""
        self._estimator = estimator
        self._follower = Follower(estimator, RATE)
        self._began: float | None = None
        self._index = 0
        self._last = 0.0
        self._speed = 0.0
        self._lock = threading.Lock()
        self._seen: Frame | None = None

    def recv(self, frame: av.VideoFrame) -> av.VideoFrame:
        """A frame of the camera to one with the ages drawn on."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        image = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
        seen = self._follower.follow(look(self._estimator, RawFrame(self._index, now - self._began, image)))
        self._index += 1
        self._speed += SMOOTHED * (1 / max(now - self._last, 1e-3) - self._speed)
        self._last = now
        drawn = annotate(seen)
        write_note(drawn, f"{self._speed:.0f} frames a second")
        with self._lock:
            self._seen = seen
        shown = av.VideoFrame.from_ndarray(drawn, format="rgb24")
        shown.pts, shown.time_base = frame.pts, frame.time_base
        return shown

    def latest(self) -> list[dict[str, Any]]:
        """The persons of the latest frame, a row each."""
        return [_row(person, face) for person, _, face in self.faces()]

    def faces(self) -> list[tuple[int, npt.NDArray[np.uint8], Face]]:
        """The persons of the latest frame: number, the frame's image, and the face in it."""
        with self._lock:
            seen = self._seen
        return [] if seen is None else [(track.id, seen.image, track.face) for track in seen.tracks]


def _row(person: int, face: Face) -> dict[str, Any]:
    low, high = face.interval
    return {
        "person": person,
        "age": round(face.age, 1),
        f"{face.level:.0%} interval": f"{low:.0f} to {high:.0f}",
        "gender": face.gender,
        "18 or older": f"{face.at_least(18):.0%}",
        "21 or older": f"{face.at_least(21):.0%}",
        "25 or older": f"{face.at_least(25):.0%}",
    }
