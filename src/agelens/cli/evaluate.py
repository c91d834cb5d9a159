"""``agelens evaluate``: how well a bundle does on a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from cyclopts import Parameter

from agelens.ages import Mass
from agelens.bundle import BUILTIN, Bundle, model_file
from agelens.cli.console import note, print_json, print_table, progress_bar
from agelens.cli.figure_tables import show_comparison, show_figures
from agelens.data.manifest import read_manifest
from agelens.data.moving import check_not_input, input_files
from agelens.data.overview import age_text
from agelens.errors import BundleError, ConfigError
from agelens.evaluate.comparison import compare
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.figures import figures
from agelens.evaluate.report import per_image as per_image_table
from agelens.evaluate.report import write_report
from agelens.files import check_file, make_folder, write_text

__all__ = ["evaluate"]

LEVEL = 0.9


def evaluate(
    inputs: Annotated[list[Path], Parameter(required=True, negative="")],
    /,
    *,
    split: str = "val",
    per_image: Annotated[bool, Parameter(negative="")] = False,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
    out: Path | None = None,
    report: Path | None = None,
) -> None:
    """Measure bundles on the crops of manifests.

    Errors are in years, with the 95 % interval of their mean; coverage and width are those of the faces' own 90 %
    intervals. Groups are decades of age, genders, races, data sets and thirds of the detector's score. Faces of which
    only an age band is known count where the answer lies within it.

    Of several bundles each is told beside the first, on each manifest: "against" is by how much its mean error is
    larger, with the 95 % interval of the difference on the same faces. Where that holds 0, other faces may say
    otherwise.

    Example:  agelens evaluate runs/first/bundle.onnx crops/utkface --split val

    Example:  agelens evaluate base lite runs/first/bundle.onnx crops/utkface crops/fairface

    Parameters
    ----------
    inputs
        A bundle, or the name of a built-in model, and a manifest.parquet or the folder that agelens prepare wrote; or
        several of both, bundles being what ends with .onnx.
    split
        train, val, test or all.
    per_image
        Print the label and the answer of each face instead of the figures. Of one bundle and one manifest.
    json_lines
        Print the figures as one JSON object instead of the table; with --per-image one object a face.
    out
        Write the figures as JSON into this file too.
    report
        Write a page with plots, figures, every face's answer, and pictures of the best and the worst answers into this
        folder. Of one bundle and one manifest.
    """
    bundles, manifests = _told_apart(inputs)
    if len(inputs) == 2:
        _evaluate_one(bundles[0], manifests[0], split, per_image, json_lines, out, report)
        return
    if per_image or report is not None:
        raise ConfigError("--per-image and --report are of one bundle and one manifest; leave them out to compare")
    _compare(bundles, manifests, split, json_lines, out)


def _told_apart(inputs: list[Path]) -> tuple[list[Path], list[Path]]:
    if len(inputs) == 2:
        return inputs[:1], inputs[1:]
    bundles = [one for one in inputs if str(one) in BUILTIN or one.suffix == ".onnx"]
    manifests = [one for one in inputs if one not in bundles]
    if not bundles or not manifests:
        missing = "manifest" if bundles else "bundle (.onnx, or a name)"
        raise ConfigError(f"no {missing} among {', '.join(map(str, inputs))}; wanted one and more of both")
    return bundles, manifests


def _opened(bundle: Path) -> tuple[Bundle, Mass]:
    model = Bundle.load(bundle)
    try:
        return model, model.card.interval_mass(LEVEL)
    except ValueError as error:
        raise BundleError(f"{bundle}: {error}; export it again") from error


def _evaluate_one(
    bundle: Path,
    manifest: Path,
    split: str,
    per_image: bool,
    json_lines: bool,
    out: Path | None,
    report: Path | None,
) -> None:
    model, mass = _opened(bundle)
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
    _write(measured, out)
    if report is not None:
        write_report(predictions, model.card, table, report)
        note(f"wrote {report}")


def _compare(bundles: list[Path], manifests: list[Path], split: str, json_lines: bool, out: Path | None) -> None:
    models = {str(path): _opened(path) for path in bundles}
    tables = {str(path): read_manifest(path) for path in manifests}
    if out is not None:
        check_file(out)
        for name, table in tables.items():
            check_not_input(out, [*map(model_file, models), *input_files(Path(name), table)])
    measured = {}
    for place, table in tables.items():
        answers = {}
        for name, (model, mass) in models.items():
            with progress_bar(f"{name} on {place}") as advance:
                answers[name] = predict_split(model, table, split, progress=advance), mass
        measured[place] = compare(answers)
    if json_lines:
        print_json(measured)
    else:
        for place, compared in measured.items():
            show_comparison(place, compared)
    _write(measured, out)


def _write(measured: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        write_text(out, json.dumps(measured, indent=1) + "\n")
        note(f"wrote {out}")


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
