"""``agelens evaluate``: how well a bundle does on a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from agelens.bundle import Bundle
from agelens.cli.console import note, print_table, progress_bar
from agelens.data.manifest import read_manifest
from agelens.errors import BundleError
from agelens.evaluate.evaluation import figures, predict_split
from agelens.files import check_file, write_text

__all__ = ["evaluate"]

LEVEL = 0.9
COLUMNS = {"age": "left", "faces": "right", "MAE": "right", "RMSE": "right", "bias": "right", "CS@5": "right"}
COLUMNS |= {"gender": "right", "coverage": "right", "width": "right"}


def evaluate(
    bundle: Path,
    manifest: Path,
    /,
    *,
    split: str = "val",
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
    out: Path | None = None,
) -> None:
    """Measure a bundle on the crops of a manifest.

    Errors are in years; coverage and width are those of the 90 % interval.

    Example:  agelens evaluate runs/first/bundle.onnx crops/utkface --split val

    Parameters
    ----------
    bundle
        A bundle, or "builtin" for the built-in model.
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    split
        train, val or all.
    json_lines
        Print the figures as one JSON object instead of the table.
    out
        Write the figures as JSON into this file too.
    """
    model = Bundle.load(None if str(bundle) == "builtin" else bundle)
    try:
        mass = model.card.interval_mass(LEVEL)
    except ValueError as error:
        raise BundleError(f"{bundle}: {error}; export it again") from error
    if out is not None:
        check_file(out)
    with progress_bar("evaluating") as advance:
        predictions = predict_split(model, read_manifest(manifest), split, progress=advance)
    measured = figures(predictions, LEVEL, mass)
    if json_lines:
        print(json.dumps(measured))  # noqa: T201
    else:
        groups = {"all": measured["all"], **measured["decades"]}
        print_table(COLUMNS, [[name, *_cells(group)] for name, group in groups.items()])
    if out is not None:
        write_text(out, json.dumps(measured, indent=1) + "\n")
        note(f"wrote {out}")


def _cells(group: dict[str, Any]) -> list[str]:
    gender = group["gender_accuracy"]
    return [
        str(group["faces"]),
        *(f"{group[name]:.2f}" for name in ("mae", "rmse")),
        f"{group['bias']:+.2f}",
        f"{group['cs5']:.1%}",
        "" if gender is None else f"{gender:.1%}",
        f"{group['coverage']:.1%}",
        f"{group['interval_width']:.1f}",
    ]
