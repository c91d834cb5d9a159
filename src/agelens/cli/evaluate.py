"""``agelens evaluate``: how well a bundle does on a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from cyclopts import Parameter

from agelens.bundle import Bundle, model_file
from agelens.cli.console import note, print_json, print_line, print_table, progress_bar
from agelens.data.manifest import read_manifest
from agelens.data.moving import check_not_input, input_files
from agelens.data.overview import age_text
from agelens.errors import BundleError
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.figures import figures
from agelens.evaluate.groups import CROSSED, FEW
from agelens.evaluate.report import per_image as per_image_table
from agelens.evaluate.report import write_report
from agelens.files import check_file, make_folder, write_text

__all__ = ["evaluate", "show_figures"]

LEVEL = 0.9
OFF = "mae_interval"
FIGURES = {"mae": "MAE", OFF: "95%", "rmse": "RMSE", "bias": "bias", "cs5": "CS@5", "band_accuracy": "in band"}
FIGURES |= {"gender_accuracy": "gender", "coverage": "coverage", "interval_width": "width"}
FEW_MARK = "*"
FORMATS = {"mae": ".2f", OFF: "", "rmse": ".2f", "bias": "+.2f", "interval_width": ".1f"}


def evaluate(
    bundle: Path,
    manifest: Path,
    /,
    *,
    split: str = "val",
    per_image: Annotated[bool, Parameter(negative="")] = False,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
    out: Path | None = None,
    report: Path | None = None,
) -> None:
    """Measure a bundle on the crops of a manifest.

    Errors are in years, with the 95 % interval of their mean; coverage and width are those of the faces' own 90 %
    intervals. Groups are decades of age, genders, races and data sets, as labelled. Faces of which only an age band
    is known count where the answer lies within it.

    Example:  agelens evaluate runs/first/bundle.onnx crops/utkface --split val

    Parameters
    ----------
    bundle
        A bundle, or the name of a built-in model, as agelens models lists them.
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    split
        train, val, test or all.
    per_image
        Print the label and the answer of each face instead of the figures.
    json_lines
        Print the figures as one JSON object instead of the table; with --per-image one object a face.
    out
        Write the figures as JSON into this file too.
    report
        Write figures, every face's answer, and pictures of the best and the worst answers into this folder.
    """
    model = Bundle.load(bundle)
    try:
        mass = model.card.interval_mass(LEVEL)
    except ValueError as error:
        raise BundleError(f"{bundle}: {error}; export it again") from error
    if out is not None:
        check_file(out)
    if report is not None:
        make_folder(report)
    table = read_manifest(manifest)
    if out is not None:
        check_not_input(out, [model_file(bundle), *input_files(manifest, table)])
    with progress_bar("evaluating") as advance:
        predictions = predict_split(model, table, split, progress=advance)
    measured = figures(predictions, LEVEL, mass, crossings=True)
    if per_image:
        _show_faces(per_image_table(predictions, mass), json_lines)
    elif json_lines:
        print_json(measured)
    else:
        show_figures(measured)
    if out is not None:
        write_text(out, json.dumps(measured, indent=1) + "\n")
        note(f"wrote {out}")
    if report is not None:
        write_report(predictions, mass, table, report)
        note(f"wrote {report}")


def show_figures(measured: dict[str, Any]) -> None:
    """The figures of all faces and of each group as a table on stdout, without those that are not known.

    Groups of two kinds at once are in the JSON only; small ones have a mark. The gaps follow, a line each.
    """
    shown = [one for kind, one in measured["groups"].items() if CROSSED not in kind]
    named = [{"all": measured["all"]}, measured["decades"], *shown]
    groups = [(name + (FEW_MARK if group["few"] else ""), _flat(group)) for one in named for name, group in one.items()]
    known = {name: heading for name, heading in FIGURES.items() if groups[0][1][name] is not None}
    columns = {"group": "left", "faces": "right"} | dict.fromkeys(known.values(), "right")
    print_table(columns, [[name, str(group["faces"]), *_cells(group, list(known))] for name, group in groups])
    for kind, one in measured["gaps"].items():
        if CROSSED not in kind:
            ends = "{:.1f} to {:.1f}".format(*one["interval"])
            print_line(f"by {kind}: {one['worst']} {one['years']:.1f} years worse than {one['best']} (95%: {ends})")
    if any(group["few"] for _, group in groups):
        print_line(f"{FEW_MARK} fewer than {FEW} faces")


def _flat(group: dict[str, Any]) -> dict[str, Any]:
    """Figures with the interval of the mean error as a cell."""
    ends = group["uncertainty"].get("mae")
    return group | {OFF: None if ends is None else "{:.2f}–{:.2f}".format(*ends)}


def _cells(group: dict[str, Any], names: list[str]) -> list[str]:
    return ["" if group[name] is None else format(group[name], FORMATS.get(name, ".1%")) for name in names]


def _show_faces(faces: pd.DataFrame, json_lines: bool) -> None:
    if json_lines:
        for face in faces.to_dict("records"):
            print_json({str(name): None if pd.isna(value) else value for name, value in face.items()})
        return
    rows = [_face_cells(face) for face in faces.astype(object).to_dict("records")]
    columns = {"photo": "left", "age": "right", "predicted": "right", "error": "right", "90% interval": "left"}
    print_table({**columns, "gender": "left", "predicted gender": "left"}, rows)


def _face_cells(face: Mapping[Any, Any]) -> list[str]:
    genders = ("" if pd.isna(face[name]) else str(face[name]) for name in ("gender", "predicted_gender"))
    return [
        str(face["path"]),
        age_text(face["age"], face["age_low"], face["age_high"]),
        f"{face['predicted_age']:.1f}",
        f"{face['error']:+.1f}",
        f"{face['low']:.0f}–{face['high']:.0f}",
        *genders,
    ]
