"""``agelens prepare``: a public data set to aligned crops and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.cli.console import note, print_table, progress_bar
from agelens.data.manifest import Manifest
from agelens.data.prepare import MANIFEST_NAME
from agelens.data.prepare import prepare as prepare_source
from agelens.errors import ConfigError
from agelens.faces.align import CropSpec
from agelens.faces.yunet import YuNet

__all__ = ["prepare"]


def prepare(
    source: str,
    folder: Path,
    out: Path,
    /,
    *,
    size: int = 160,
    margin: float = 0.1,
    val_share: Annotated[float, Parameter(validator=Number(gt=0, lte=0.5))] = 0.1,
    seed: Annotated[int, Parameter(validator=Number(gte=0, lt=2**32))] = 0,
    workers: int = 2,
) -> None:
    """Cut the faces out of a public data set and write them with a manifest.

    Near-duplicates fall into the same split. What is left out is counted by reason, and stays in the manifest.

    Example:  agelens prepare utkface UTKFace/ crops/utkface

    Parameters
    ----------
    source
        The data set's layout: utkface.
    folder
        The data set, as it is distributed. Nothing in it is changed.
    out
        Folder for the crops and manifest.parquet.
    size
        Pixels a side of the stored crops.
    margin
        What is stored around the face on each side, as a share of the crop without it.
    val_share
        Share of the faces held back for validation.
    seed
        The same seed gives the same split.
    workers
        Threads that detect and crop.
    """
    if workers < 1:
        raise ConfigError(f"--workers is {workers}; at least 1 is needed")
    try:
        crop = CropSpec(size, margin)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with progress_bar(f"preparing {source}") as advance:
        manifest = prepare_source(
            source,
            folder,
            out,
            detector=YuNet(),
            crop=crop,
            val_share=val_share,
            seed=seed,
            workers=workers,
            progress=advance,
        )
    _print(manifest)
    note(f"wrote {out / MANIFEST_NAME}")


def _print(manifest: Manifest) -> None:
    table = manifest.table
    rows = [["found", str(len(table))]]
    rows += [[f"removed: {reason}", str(count)] for reason, count in table["removed"].value_counts().items()]
    rows += [["kept", str(int(table["removed"].isna().sum()))]]
    rows += [[f"  {split}", str(count)] for split, count in table["split"].value_counts().items()]
    print_table({"faces": "left", "count": "right"}, rows)
