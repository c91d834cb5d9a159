"""The page on the model: what it is for, its figures and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from agelens.app.choices import choose
from agelens.bundle import BUILTIN
from agelens.card import Card

__all__ = ["page"]

RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://)[^)]*\)")


def page() -> None:
    """Show the chosen model's card."""
    choice, estimator = choose()
    card = estimator.bundle.card
    file = BUILTIN.get(choice.model)
    if file is not None:
        st.markdown(_document(file.with_suffix(".md")))
    else:
        st.title(card.name)
        _facts(card, Path(choice.model))
    with st.expander("The card inside the file"):
        st.json(card.to_dict(), expanded=1)


def _document(path: Path) -> str:
    """The model card, whose links to other files of the project lead nowhere here."""
    return RELATIVE_LINK.sub(r"\1", path.read_text(encoding="utf-8"))


def _facts(card: Card, path: Path) -> None:
    st.markdown(
        "An estimated age is no proof of age or identity. Do not decide with it alone what somebody may buy, see or "
        "do. Gender is what annotators saw in photos, one of two words."
    )
    size = f"{path.stat().st_size / 1e6:.1f} MB" if path.exists() else ""
    crop = f"{card.crop.size} pixels, margin {card.crop.margin:g}, template {card.crop.template}"
    takes = "crops" if card.embedder is None else f"vectors of {card.embedder.name}"
    facts = {"file": size, "faces": crop, "takes": takes, "terms": card.terms or "none named", "agelens": card.version}
    st.table(pd.DataFrame({"": list(facts), " ": list(facts.values())}).set_index(""))
    groups = _groups(card.figures)
    if groups:
        st.subheader("Figures on its validation faces", anchor=False)
        st.dataframe(pd.DataFrame(groups), hide_index=True, width="stretch")


def _groups(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each group of faces that the card tells figures of."""
    split = figures.get("val")
    if not isinstance(split, Mapping):
        return []
    return [
        {"group": name, **{key: value for key, value in one.items() if isinstance(value, int | float)}}
        for name, one in split.items()
        if isinstance(one, Mapping)
    ]
