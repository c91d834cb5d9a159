"""``agelens combine``: several bundles in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from agelens.bundle import model_file
from agelens.cli.bundles import check_target, tell_written
from agelens.cli.console import progress_bar
from agelens.combining import combine as combine_bundles
from agelens.compression import Bits
from agelens.data.manifest import read_manifest
from agelens.data.moving import check_not_input

__all__ = ["combine"]


def combine(
    bundles: Annotated[list[str], Parameter(required=True, negative="")],
    /,
    *,
    manifest: Path,
    out: Path,
    weights: Annotated[tuple[float, ...], Parameter(negative="", consume_multiple=True)] = (),
    name: str | None = None,
    terms: str = "",
    flip: bool | None = None,
    rebalance: float = 0.0,
    bits: Bits = 32,
) -> None:
    """Make one bundle of several: each network sees the face, and their answers are pooled.

    Networks that learnt different things err differently: together they are often better than the best of them, and
    take the time of all. The validation faces of a manifest calibrate and measure the whole.

    Example:  agelens combine runs/one/bundle.onnx runs/two/bundle.onnx --manifest crops/utkface --out both.onnx

    Parameters
    ----------
    bundles
        Two or more bundles, or names of built-in models; their crops may differ in size only.
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    out
        The bundle to write.
    weights
        What each bundle counts for, in their order; the same for all by default, which sum to 1. A larger sum makes the
        answers surer of themselves.
    name
        Of the model, for its card; that of the file by default.
    terms
        Under which the model may be used, for its card; those of all bundles by default.
    flip
        Average each face with its mirror image; by default where all bundles do.
    rebalance
        How far, 0 to 1, rare ages are raised against common ones, by how many training faces of the manifest have them.
    bits
        That each weight takes: 16 halves the file, 8 quarters it.
    """
    check_target(out)
    check_not_input(out, map(model_file, bundles))
    table = read_manifest(manifest)
    with progress_bar("combining and measuring") as advance:
        finished = combine_bundles(
            bundles,
            out,
            name=name or out.stem,
            manifest=table,
            weights=weights or None,
            flip=flip,
            rebalance=rebalance,
            bits=bits,
            terms=terms,
            progress=advance,
        )
    tell_written(finished, out)
