"""The page of photos: several at once, dropped, pasted or from the camera."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st
from PIL import Image

from agelens.app.choices import Choice, choose
from agelens.app.panel import face_panel, plain
from agelens.app.settings import settings
from agelens.draw import draw_faces
from agelens.errors import AgelensError, ImageError
from agelens.estimator import AgeEstimator
from agelens.faces.absence import why_no_face
from agelens.images import SUFFIXES, read_image
from agelens.results import Face

__all__ = ["page"]

MOST: Final = 50  # photos at once
SHOWN_SIDE: Final = 1280
COLUMNS: Final = 3  # of faces below a photo
BESIDE: Final = 2  # faces that stand beside it
RESULTS: Final = "photos"  # of this visit, in memory alone


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A photo that was looked at: as small as it is shown, with what was found."""

    name: str
    image: npt.NDArray[np.uint8]
    faces: tuple[Face, ...]
    reason: str | None = None
    error: str | None = None


def page() -> None:
    """Upload photos, see the faces."""
    st.title("Ages in photos")
    choice, estimator = choose()
    cropped = st.sidebar.toggle(
        "Close crops",
        key="cropped",
        help="Each picture is the crop of one face: where none is found, all of it counts.",
    )
    uploads = _uploads()
    if not uploads:
        st.info("Drop photos here, paste one, or take one. They are looked at in memory, and nothing is kept.")
    results = [_result(upload, choice, cropped, estimator) for upload in uploads]
    _forget_others(uploads)
    for number, result in enumerate(results):
        _show(result, number)
    if any(result.faces for result in results):
        _downloads(results)


def _uploads() -> list[Any]:
    kinds = sorted(suffix.removeprefix(".") for suffix in SUFFIXES)
    files, camera = st.tabs([":material/photo_library: Photos", ":material/photo_camera: Camera"])
    given = files.file_uploader("Photos", kinds, accept_multiple_files=True, key="files", label_visibility="collapsed")
    with camera:
        snapshot = (
            st.camera_input("Take a photo", key="camera") if st.toggle("Use the camera", key="use-camera") else None
        )
    if len(given) > MOST:
        st.warning(f"{len(given)} photos; the first {MOST} are looked at. For more there is: agelens predict FOLDER")
    return [*([snapshot] if snapshot is not None else []), *given[:MOST]]


def _result(upload: Any, choice: Choice, cropped: bool, estimator: AgeEstimator) -> Looked:
    """What was found in an upload, looked at once a visit and setting."""
    known = st.session_state.setdefault(RESULTS, {})
    key = (upload.file_id, choice, cropped)
    if key not in known:
        with st.spinner(f"Looking at {plain(upload.name)} …"):
            known[key] = look(upload.name, upload.getvalue(), cropped, estimator)
    looked: Looked = known[key]
    return looked


def _forget_others(uploads: list[Any]) -> None:
    there = {upload.file_id for upload in uploads}
    known = st.session_state.get(RESULTS, {})
    for key in [key for key in known if key[0] not in there]:
        del known[key]


def look(name: str, data: bytes, cropped: bool, estimator: AgeEstimator) -> Looked:
    """Read a photo, find its faces, and say why where there are none."""
    nothing = np.zeros((1, 1, 3), np.uint8)
    if len(data) > settings().max_megabytes * 2**20:
        return Looked(name, nothing, (), error=f"larger than {settings().max_megabytes} MB; scale it down first")
    try:
        image = read_image(data)
        faces = tuple(estimator.predict(image, cropped=cropped))
        reason = None if faces else why_no_face(image, estimator.detector)
    except ImageError as error:
        return Looked(name, nothing, (), error=str(error))
    except AgelensError as error:
        return Looked(name, nothing, (), error=f"could not be looked at: {error}")
    return Looked(name, *_shown(image, faces), reason)


def _shown(image: npt.NDArray[np.uint8], faces: tuple[Face, ...]) -> tuple[npt.NDArray[np.uint8], tuple[Face, ...]]:
    """A copy of at most 1280 pixels a side, with the faces' places in it."""
    scale = SHOWN_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image, faces
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), tuple(_scaled(face, scale) for face in faces)


def _scaled(face: Face, scale: float) -> Face:
    x1, y1, x2, y2 = (edge * scale for edge in face.box)
    landmarks = None if face.landmarks is None else face.landmarks * np.float32(scale)
    return replace(face, box=(x1, y1, x2, y2), landmarks=landmarks)


def _show(result: Looked, number: int) -> None:
    st.subheader(plain(result.name), divider="gray", anchor=False)
    if result.error is not None:
        st.error(plain(result.error), icon=":material/error:")
        return
    if not result.faces:
        st.image(result.image, width=320, alt=f"{result.name}, in which no face was found")
        st.warning(f"No face found. {result.reason}", icon=":material/face_retouching_off:")
        return
    alt = f"{result.name} with {len(result.faces)} faces marked"
    beside = len(result.faces) <= BESIDE
    picture, panels = st.columns([3, 2]) if beside else (st.container(), st.container())
    picture.image(draw_faces(result.image, result.faces), width="content", alt=alt)
    with panels:
        columns = [panels] if beside else st.columns(COLUMNS)
    for index, face in enumerate(result.faces):
        with columns[index % len(columns)]:
            face_panel(result.image, face, f"Face {index + 1}", f"face-{number}-{index}")


def _downloads(results: list[Looked]) -> None:
    st.subheader("Download", divider="gray", anchor=False)
    told = [{"name": one.name, "faces": [face.to_dict() for face in one.faces], "error": one.error} for one in results]
    rows = [
        {"name": one.name, "face": number, "age": round(face.age, 2), "low": low, "high": high, "level": face.level}
        | {"gender": face.gender, "gender_confidence": face.gender_confidence}
        | {f"at_least_{age}": face.at_least(age) for age in (18, 21, 25)}
        for one in results
        for number, face in enumerate(one.faces, start=1)
        for low, high in [face.interval]
    ]
    table, lines = pd.DataFrame(rows).to_csv(index=False), "\n".join(json.dumps(one) for one in told) + "\n"
    with st.container(horizontal=True):
        st.download_button("CSV", table, "ages.csv", "text/csv", on_click="ignore", icon=":material/download:")
        st.download_button(
            "JSON", lines, "ages.jsonl", "application/json", on_click="ignore", icon=":material/download:"
        )
        pictures = _pictures([one for one in results if one.faces])
        st.download_button(
            "Pictures", pictures, "ages.zip", "application/zip", on_click="ignore", icon=":material/download:"
        )


def _pictures(results: list[Looked]) -> bytes:
    """A zip file of the photos with their boxes and ages."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as pack:
        for number, one in enumerate(results, start=1):
            picture = io.BytesIO()
            Image.fromarray(draw_faces(one.image, one.faces)).save(picture, format="JPEG", quality=92)
            pack.writestr(f"{number:02}-{PurePath(one.name).stem[:60]}.jpg", picture.getvalue())
    return packed.getvalue()
