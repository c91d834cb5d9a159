"""One face on the page: its crop, age, interval, distribution, gender, and whether it is of age."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt
import streamlit as st

from agelens.app.charts import distribution_chart
from agelens.faces.align import CropSpec, align
from agelens.results import Face

__all__ = ["face_crop", "face_details", "face_numbers", "face_panel", "plain"]

MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#!$|<>~:])")
LEGAL_AGES: Final = (18, 21, 25)
SHOWN: Final = CropSpec(224, 0.2)


def face_panel(image: npt.NDArray[np.uint8], face: Face, title: str, key: str) -> None:
    """Show a face.

    Args:
        image: the photo, (H, W, 3) uint8 RGB.
        face: found in it.
        title: above it.
        key: of the page's parts; another for each face.
    """
    with st.container(border=True, key=key):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.image(face_crop(image, face), caption=title, width=120, alt=title)
            with st.container(width="stretch"):
                face_numbers(face, "Age")
        face_details(face, key)


def face_numbers(face: Face, label: str) -> None:
    """The age with its interval, and the gender, under a label."""
    low, high = face.interval
    st.metric(
        label,
        f"{face.age:.0f} years",
        f"{face.level:.0%}: {low:.0f} to {high:.0f}",
        delta_color="off",
        delta_arrow="off",
        help="The estimate, and the interval that holds the true age of this share of faces. No proof of age.",
    )
    if face.gender is not None:
        st.caption(f"Perceived gender: **{face.gender}** ({face.gender_confidence:.0%})")


def face_details(face: Face, key: str) -> None:
    """The distribution, and whether the face is of age; ``key`` as of ``face_panel``."""
    st.altair_chart(distribution_chart(face), width="stretch", key=f"{key}-chart")
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for age in LEGAL_AGES:
            st.metric(f"{age} or older", f"{face.at_least(age):.0%}", width="content")


def plain(text: str) -> str:
    """Text of others, such as a file's name, that Markdown is to leave alone."""
    return MARKDOWN.sub(r"\\\1", text)


def face_crop(image: npt.NDArray[np.uint8], face: Face) -> npt.NDArray[np.uint8]:
    """The face, upright where its landmarks are known, else what is in its box."""
    if face.landmarks is not None:
        try:
            return align(image, face.landmarks, SHOWN)
        except ValueError:
            pass
    x1, y1, x2, y2 = (round(edge) for edge in face.box)
    return np.ascontiguousarray(image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)])
