"""Pictures named ``<id>_<age>_<gender>.jpg``, a layout in which many share their own data."""

from __future__ import annotations

import re
from typing import Final

from agelens.data.sources.names import read_stems
from agelens.data.sources.sample import Source

__all__ = ["NAMED"]

LAYOUT: Final = "<id>_<age>_<gender>.jpg with gender m, f, male, female, 0 (male) or 1 (female), as anna_31_f.jpg"
# another letter in the gender's place, such as u, says that it is not known
NAME: Final = re.compile(
    r"(?P<subject>.+)_(?P<age>\d{1,3})_(?:(?P<gender>male|female|[mf01])|unknown|[a-z])", re.ASCII | re.IGNORECASE
)

NAMED: Final = Source(
    read=read_stems("named", LAYOUT, NAME),
    layout=LAYOUT,
    labels="age, gender, subject",
    terms="those of your data",
    home="",
)
