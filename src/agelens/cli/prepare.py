"""``agelens prepare``: a public data set to aligned crops and a manifest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.cli.console import note, progress_bar
from agelens.cli.removals import report_removals
from agelens.data.cut import CutSettings
from agelens.data.engines import ENGINES
from agelens.data.grouping import SplitPlan
from agelens.data.prepare import Preparation
from agelens.data.prepare import prepare as prepare_source
from agelens.data.resplit import read_names
from agelens.data.sources import find_source
from agelens.data.sources.sample import FaceRule
from agelens.errors import ConfigError
from agelens.faces.align import CropSpec

__all__ = ["prepare"]

Share = Annotated[float, Parameter(validator=Number(gte=0, lte=0.5))]


def prepare(
    source: str,
    folder: Path,
    out: Path,
    /,
    *,
    size: int = 160,
    margin: float = 0.1,
    min_score: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None,
    faces: FaceRule | None = None,
    needs_gender: bool | None = None,
    drop_duplicates: Annotated[bool, Parameter(negative="")] = False,
    name: str | None = None,
    option: Annotated[dict[str, str] | None, Parameter(negative="")] = None,
    val_share: Share = 0.1,
    test_share: Share = 0.0,
    val_list: Path | None = None,
    folds: Annotated[int | None, Parameter(validator=Number(gte=2, lte=100))] = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0, lt=2**32))] = 0,
    workers: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None,
    engine: Literal["threads", "ray"] = "threads",
) -> None:
    """Cut the faces out of a public data set and write them with a manifest.

    What is left out is counted by reason, and stays in the manifest. Near-duplicates, and pictures of one person, fall
    into the same split; a split or folds that the data set itself has are kept. Repeat a command that was cut off, and
    it goes on where it stopped.

    Example:  agelens prepare utkface UTKFace/ crops/utkface

    Example:  agelens prepare csv photos/ crops/mine --option.path file --option.age years

    Parameters
    ----------
    source
        The data set's layout; agelens sources lists them.
    folder
        The data set, as it is distributed. Nothing in it is changed.
    out
        Folder for the crops and manifest.parquet.
    size
        Pixels a side of the stored crops.
    margin
        What is stored around the face on each side, as a share of the crop without it.
    min_score
        Remove faces with a lower detector score; as published for the data set, or 0.
    faces
        Of several faces take the main one, or remove the picture unless it has one only; as published for the data set.
    needs_gender
        Remove samples without a gender; as published for the data set.
    drop_duplicates
        Of files with the same bytes keep the first only, and none where their labels conflict.
    name
        Of the data set, for the manifest; the source's by default.
    option
        An option of the source, as --option.age years; agelens sources NAME lists them.
    val_share
        Share of the faces held back for validation.
    test_share
        Share of the faces held back for the test.
    val_list
        A text file with the names of the pictures to hold back for validation, one a line, instead of a share.
    folds
        Number the samples for cross-validation with so many folds.
    seed
        The same seed gives the same split.
    workers
        Threads, or Ray tasks, that detect and crop; as many as there are cores by default.
    engine
        Who does the work: threads of this process, or a Ray cluster (RAY_ADDRESS, or one started here).
    """
    known = find_source(source)
    try:
        crop = CropSpec(size, margin)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    cut = CutSettings(
        crop,
        faces=faces or known.faces,
        min_score=known.min_score if min_score is None else min_score,
        needs_gender=known.needs_gender if needs_gender is None else needs_gender,
    )
    names = None if val_list is None else read_names(val_list)
    split = SplitPlan(val_share, test_share, folds, seed, val_names=names)
    with progress_bar(f"preparing {source}") as advance:
        manifest = prepare_source(
            Preparation(source, cut, option or {}, split, drop_duplicates, name or source),
            folder,
            out,
            engine=ENGINES[engine],
            workers=workers or os.cpu_count() or 1,
            progress=advance,
        )
    report_removals(manifest, held_back=val_share + test_share > 0)
    note(f"wrote {manifest} and removed.csv beside it")
