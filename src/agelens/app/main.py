"""The web page that ``agelens app`` serves; Streamlit runs this file for each visit and each change."""

from __future__ import annotations

import streamlit as st

from agelens.app import clips, model, photos, training, webcam
from agelens.bundle import ASSETS

__all__ = ["main"]

ICON = ASSETS / "icon.svg"
# a table wider than a phone scrolls by itself, and not the page
STYLE = """<style>
[data-testid=stMarkdownContainer] table {display: block; overflow-x: auto}
[data-testid=stMainBlockContainer] {padding-top: 4.5rem}
</style>"""
NOTE = (
    "An estimate is no proof of age or identity. What you upload stays in memory on the machine that runs this page, "
    "and is gone when you leave."
)


def main() -> None:
    """Draw the page that is chosen."""
    st.set_page_config("agelens", str(ICON), layout="wide")  # a symbol by name would be fetched from elsewhere
    pages = [
        st.Page(photos.page, title="Photos", icon=":material/photo_library:", url_path="photos", default=True),
        st.Page(clips.page, title="Video", icon=":material/movie:", url_path="video"),
        st.Page(webcam.page, title="Live", icon=":material/videocam:", url_path="live"),
        st.Page(model.page, title="Model", icon=":material/description:", url_path="model"),
        st.Page(training.page, title="Training", icon=":material/monitoring:", url_path="training"),
    ]
    st.html(STYLE)
    chosen = st.navigation(pages, position="top")
    chosen.run()
    st.sidebar.caption(NOTE)


if __name__ == "__main__":
    main()
