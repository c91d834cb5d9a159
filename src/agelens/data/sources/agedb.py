"""AgeDB: ``<number>_<name>_<age>_<gender>.jpg``.

Source: Moschoglou and others, "AgeDB: the first manually collected, in-the-wild age database", CVPR workshops 2017:
16,488 pictures of 568 well-known people, whose ages were read from the pictures' captions by hand.
"""

from __future__ import annotations

import re
from typing import Final

from agelens.data.sources.names import read_stems
from agelens.data.sources.sample import Source

__all__ = ["AGEDB"]

LAYOUT: Final = "<number>_<name>_<age>_<m or f>.jpg, as 10000_GlennClose_62_f.jpg"
NAME: Final = re.compile(
    r"\d+_(?P<subject>.+)_(?P<age>\d{1,3})_(?P<gender>[mf])",
    re.ASCII | re.IGNORECASE,
)

AGEDB: Final = Source(
    read=read_stems("agedb", LAYOUT, NAME),
    layout=LAYOUT,
    labels="age 1-101, gender, subject",
    terms="non-commercial research, on request",
    home="https://ibug.doc.ic.ac.uk/resources/agedb/",
)
