"""``agelens export``: a run to a bundle."""

from __future__ import annotations

from pathlib import Path

from agelens.cli.bundles import check_target, tell_written
from agelens.cli.console import progress_bar
from agelens.cli.vector_training import export_vector_run
from agelens.compression import Bits
from agelens.embed.run import is_vector_run
from agelens.errors import ConfigError
from agelens.export import export as export_run

__all__ = ["export"]


def export(
    run: Path,
    /,
    *,
    out: Path | None = None,
    name: str | None = None,
    terms: str = "",
    size: int | None = None,
    flip: bool | None = None,
    rebalance: float | None = None,
    bits: Bits | None = None,
    manifest: Path | None = None,
) -> None:
    """Make a bundle of a run's best weights, calibrated and measured on the validation split.

    Refused when the bundle and the trained network disagree by more than 0.001 years on real crops.

    Example:  agelens export runs/first --out first.onnx

    Parameters
    ----------
    run
        The folder of a run.
    out
        The bundle to write; bundle.onnx in the run's folder by default.
    name
        Of the model, for its card; the folder's name by default.
    terms
        Under which the model may be used, for its card; those of the data sets by default.
    size
        Of the crops, in pixels a side: smaller than the training's takes less time and is less accurate; that of the
        training by default.
    flip
        Average each face with its mirror image: more accurate, twice the network's time; as the run's configuration
        says by default.
    rebalance
        How far, 0 to 1, rare ages are raised against common ones, by how many training faces have them; as the run's
        configuration says by default.
    bits
        That each weight takes: 16 halves the file, 8 quarters it; as the run's configuration says by default.
    manifest
        Where the run's manifest is, if not where it was trained; or another whose validation faces shall calibrate and
        measure it.
    """
    target = out or run / "bundle.onnx"
    check_target(target)
    name = name or run.resolve().name
    if is_vector_run(run):
        if any(given is not None for given in (size, flip, rebalance, bits)):
            raise ConfigError("--size, --flip, --rebalance and --bits are not for networks on vectors")
        export_vector_run(run, target, name=name, terms=terms, manifest_path=manifest)
        return
    with progress_bar("exporting and measuring") as advance:
        finished = export_run(
            run,
            target,
            name=name,
            terms=terms,
            size=size,
            flip=flip,
            rebalance=rebalance,
            bits=bits,
            manifest_path=manifest,
            progress=advance,
        )
    tell_written(finished, target)
