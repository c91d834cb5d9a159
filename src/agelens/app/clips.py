"""The page of videos: upload, follow, play, chart, download."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd
import streamlit as st

from agelens.app.charts import track_chart
from agelens.app.choices import choose
from agelens.app.panel import face_crop, face_details, face_numbers, plain
from agelens.app.settings import settings
from agelens.errors import AgelensError
from agelens.estimator import AgeEstimator
from agelens.faces.absence import why_no_face
from agelens.video import Frame, analyze
from agelens.video.annotated import annotate
from agelens.video.clip import ClipReader
from agelens.video.summary import Persons, Seen
from agelens.video.writing import ClipWriter

__all__ = ["page"]

KINDS: Final = ("mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mpg", "mpeg", "gif", "3gp", "wmv", "flv")
RESULT: Final = "video"
SHOWN_EVERY: Final = 0.4  # seconds, between pictures while the work goes on
MOST_PERSONS: Final = 30


@dataclass(slots=True)
class Followed:
    """What came of a video; in memory, for this visit alone."""

    key: Any
    video: bytes = b""
    lines: list[str] = field(default_factory=list)
    persons: Persons = field(default_factory=lambda: Persons(keep_ages=True))
    crops: dict[int, Any] = field(default_factory=dict)
    seconds: float = 0.0
    speed: float = 0.0
    broken: int = 0
    cut: bool = False
    reason: str = ""
    sound_lost: str | None = None


def page() -> None:
    """Upload a video, see who is in it."""
    st.title("Ages in a video")
    choice, estimator = choose()
    every = st.sidebar.slider("Look at one of … frames", 1, 10, 1, key="every", help="Larger is faster.")
    upload = st.file_uploader("Video", KINDS, key="clip", label_visibility="collapsed")
    known: Followed | None = st.session_state.get(RESULT)
    if upload is None:
        _earlier(known)
        return
    key = (upload.file_id, choice, every)
    if known is None or known.key != key:
        original = st.empty()
        original.video(upload)
        if not st.button("Follow the faces", type="primary", icon=":material/play_arrow:", key="follow"):
            return
        original.empty()
        known = _follow(upload, key, estimator, every)
        if known is None:
            return
        st.session_state[RESULT] = known
        st.rerun()
    _show(known)


def _earlier(known: Followed | None) -> None:
    """Without an upload: what was found before the user went to another page, until it is to be forgotten."""
    if known is None:
        st.info("Drop a video here. Each face is followed, and its age settles. Nothing is kept.")
        return
    if st.button("Forget this video", icon=":material/delete:", key="forget"):
        del st.session_state[RESULT]
        st.rerun()
    _show(known)


def _follow(upload: Any, key: Any, estimator: AgeEstimator, every: int) -> Followed | None:
    """What comes of a video, with a picture of it while the work goes on; None, and the reason on the page."""
    data = upload.getvalue()
    if len(data) > settings().max_megabytes * 2**20:
        st.error(f"{plain(upload.name)}: larger than {settings().max_megabytes} MB; cut it, or use: agelens video FILE")
        return None
    try:
        with closing(ClipReader(data)) as clip:
            return _followed(clip, key, estimator, every)
    except AgelensError as error:
        st.error(plain(str(error).replace("the video:", f"{upload.name}:", 1)), icon=":material/error:")
        return None


def _followed(clip: ClipReader, key: Any, estimator: AgeEstimator, every: int) -> Followed:
    found, target, began = Followed(key), io.BytesIO(), time.monotonic()
    first = None
    writer = ClipWriter(target, "mp4", clip)
    try:
        with _progress(clip) as tell, closing(analyze(clip, estimator=estimator, detect_every=every)) as frames:
            for frame in frames:
                if frame.time > settings().max_seconds:
                    found.cut = True
                    break
                if frame.index == 0:
                    first = frame.image
                drawn = annotate(frame)
                writer.write(drawn, frame.time)
                _count(found, frame)
                tell(frame, drawn)
    finally:
        writer.close()
    if first is not None and not found.persons.seen:
        found.reason = why_no_face(first, estimator.detector)
    found.video, found.broken, found.sound_lost = target.getvalue(), clip.broken, writer.sound_lost
    found.speed = len(found.lines) / (time.monotonic() - began)
    return found


def _count(found: Followed, frame: Frame) -> None:
    found.persons.add(frame)
    found.lines.append(json.dumps(frame.to_dict()))
    found.seconds = frame.time
    for track in frame.tracks:
        if track.id not in found.crops and track.face.landmarks is not None:
            found.crops[track.id] = face_crop(frame.image, track.face)


@contextmanager
def _progress(clip: ClipReader) -> Iterator[Any]:
    """A bar with frames a second and the time left, and the latest picture."""
    bar, picture = st.progress(0.0, "Opening …"), st.empty()
    began, shown = time.monotonic(), 0.0

    def tell(frame: Frame, drawn: Any) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < SHOWN_EVERY:
            return
        shown, done = now, frame.index + 1
        speed = done / max(now - began, 1e-3)
        total = min(clip.count, settings().max_seconds * clip.rate) if clip.count else 0
        left = f", {max(0, total - done) / speed:.0f} s left" if total else ""
        bar.progress(min(1.0, done / total) if total else 0.0, f"{done} frames, {speed:.0f} a second{left}")
        picture.image(drawn, width=640, output_format="JPEG", alt=f"the video at {frame.time:.1f} s")

    yield tell
    bar.empty()
    picture.empty()


def _show(found: Followed) -> None:
    st.video(found.video)
    broken = f"; {found.broken} broken pieces were left out" if found.broken else ""
    cut = f"; only the first {settings().max_seconds} s were looked at" if found.cut else ""
    st.caption(f"{len(found.lines)} frames, {found.seconds:.1f} s, {found.speed:.1f} frames a second{broken}{cut}")
    if found.sound_lost:
        st.caption(plain(f"Its sound could not be written ({found.sound_lost})."))
    persons = [one for _, one in sorted(found.persons.seen.items())]
    if not persons:
        st.warning(f"No face found. Of the first frame: {found.reason}", icon=":material/face_retouching_off:")
    for person in sorted(persons, key=lambda one: -one.frames)[:MOST_PERSONS]:
        _show_person(person, found.crops.get(person.id))
    if len(persons) > MOST_PERSONS:
        st.caption(f"{len(persons)} persons; those {MOST_PERSONS} who are seen longest are shown.")
    _downloads(found)


def _show_person(person: Seen, crop: Any) -> None:
    with st.container(border=True, key=f"person-{person.id}"):
        left, right = st.columns([2, 3])
        with left:
            with st.container(horizontal=True, vertical_alignment="center"):
                if crop is not None:
                    st.image(crop, width=120, alt=f"Person {person.id}")
                with st.container(width="stretch"):
                    face_numbers(person.face, f"Person {person.id}")
            face_details(person.face, f"person-{person.id}")
        right.altair_chart(track_chart(person), width="stretch", key=f"chart-{person.id}")
        right.caption(f"Seen {person.first:.1f} to {person.last:.1f} s. Dots: what single frames say.")


def _downloads(found: Followed) -> None:
    table, icon = pd.DataFrame(found.persons.rows()).to_csv(index=False), ":material/download:"
    with st.container(horizontal=True):
        st.download_button("MP4", found.video, "ages.mp4", "video/mp4", on_click="ignore", icon=icon)
        st.download_button("CSV", table, "ages.csv", "text/csv", on_click="ignore", icon=icon)
        lines = "\n".join(found.lines) + "\n"
        st.download_button("JSON", lines, "ages.jsonl", "application/json", on_click="ignore", icon=icon)
