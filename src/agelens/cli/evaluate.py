"""``agelens evaluate``: how well models do on manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
from cyclopts import Parameter

from agelens.bundle import BUILTIN, Bundle, model_file
from agelens.cli.console import note, print_json, print_table, progress_bar
from agelens.cli.figure_tables import show_comparison, show_figures, show_matrix
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.moving import check_not_input, input_files
from agelens.data.overview import age_text
from agelens.errors import BundleError, ConfigError
from agelens.evaluate.comparison import compare
from agelens.evaluate.comparison_report import write_comparison
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.figures import figures
from agelens.evaluate.figures_csv import figures_table
from agelens.evaluate.peers import NoAnswersError, read_peer
from agelens.evaluate.report import per_image as per_image_table
from agelens.evaluate.report import write_report
from agelens.evaluate.reported import LEVEL, Reported, reported
from agelens.files import check_file, make_folder, real_path, write_text

__all__ = ["evaluate"]

PEER = ".jsonl"
TABLE = ".csv"


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
    """Measure bundles, and other programs' answers, on the crops of manifests.

    Errors are in years, with the 95 % interval of their mean; coverage and width are those of the faces' own 90 %
    intervals. Groups are decades of age, genders, races, data sets and thirds of the detector's score. Faces of which
    only an age band is known count where the answer lies within it.

    Of several models each is told beside the first, on each manifest: "against" is by how much its mean error is
    larger, with the 95 % interval of the difference on the same faces. Where that holds 0, other faces may say
    otherwise.

    Another program's answers come from a file of JSON lines, an object a face: path, as the manifest names the
    picture; predicted_age, null where it found no face; and where it tells them low and high of its 90 % interval,
    predicted_gender, female (a probability), age_probs (of 0 to 100 years).

    Example:  agelens evaluate runs/first/bundle.onnx crops/utkface --split val

    Example:  agelens evaluate base lite theirs.jsonl crops/utkface crops/fairface --report comparison

    Parameters
    ----------
    inputs
        A bundle, or the name of a built-in model, and a manifest.parquet or the folder that agelens prepare wrote; or
        several of both, bundles being what ends with .onnx, and other programs' answers what ends with .jsonl.
    split
        train, val, test or all.
    per_image
        Print the label and the answer of each face instead of the figures. Of one model and one manifest.
    json_lines
        Print the figures as one JSON object instead of the table; with --per-image one object a face.
    out
        Write the figures into this file too: as a table if it ends with .csv, else as JSON.
    report
        Write a page with plots, figures, every face's answer, and pictures of the best and the worst answers into this
        folder; of several models or manifests, a page that compares them too.
    """
    inputs = list(dict.fromkeys(inputs))
    models, manifests = _told_apart(inputs)
    if per_image and len(inputs) > 2:
        raise ConfigError("--per-image is of one model and one manifest; leave it out to compare")
    _check_targets(out, report)
    bundles = {str(path): _opened(path) for path in models if path.suffix.lower() != PEER}
    tables = {str(path): read_manifest(path) for path in manifests}
    if out is not None:
        own = [model_file(path) for path in models]
        check_not_input(out, [*own, *(one for path in manifests for one in input_files(path, tables[str(path)]))])
    places = [Place(name, table, split) for name, table in tables.items()]
    for place in places:
        place.manifest.split(split)
    if report is not None:
        make_folder(report)
    peers = {place.name: _read_peers(models, place) for place in places}  # first: a wrong file is told at once
    said = {}
    for place in places:
        known = _ask_bundles(bundles, place, named=len(models) > 1) | peers[place.name]
        said[place.name] = {str(path): known[str(path)] for path in models if str(path) in known}
    if len(inputs) == 2:
        _tell_one(said, tables, per_image, json_lines, out, report)
    else:
        _tell_all(said, tables, json_lines, out, report)


class Place(NamedTuple):
    """A data set and the part of it that is asked."""

    name: str
    manifest: Manifest
    split: str


def _told_apart(inputs: list[Path]) -> tuple[list[Path], list[Path]]:
    models = [one for one in inputs if str(one) in BUILTIN or one.suffix.lower() in (".onnx", PEER)]
    manifests = [one for one in inputs if one not in models]
    if len(inputs) == 2 and len(models) != 1:  # a bundle of any name
        return inputs[:1], inputs[1:]
    if not models or not manifests:
        missing = "manifest" if models else "model (.onnx, .jsonl, or a name)"
        raise ConfigError(f"no {missing} among {', '.join(map(str, inputs))}; wanted one and more of both")
    return models, manifests


def _check_targets(out: Path | None, report: Path | None) -> None:
    if out is not None:
        check_file(out)
    if out is not None and report is not None and real_path(out).is_relative_to(real_path(report)):
        raise ConfigError(f"--out {out} lies in the folder of --report, whose files it could replace; choose another")


def _opened(path: Path) -> Bundle:
    bundle = Bundle.load(path)
    try:
        bundle.card.interval_mass(LEVEL)
    except ValueError as error:
        raise BundleError(f"{path}: {error}; export it again") from error
    return bundle


def _read_peers(models: list[Path], place: Place) -> dict[str, Reported]:
    """What other programs say of a data set; of several models, one that says nothing of it is left out with a note."""
    rows, said = place.manifest.split(place.split), {}
    for path in models:
        if path.suffix.lower() == PEER:
            try:
                said[str(path)] = Reported(path.stem, read_peer(path, rows, place.manifest.split("all")))
            except NoAnswersError as error:
                if len(models) == 1:
                    raise
                note(f"{error}; left out there")
    if not said and all(path.suffix.lower() == PEER for path in models):
        raise NoAnswersError(f"{place.name}: none of the files has an answer for any of its faces; leave it out")
    return said


def _ask_bundles(bundles: Mapping[str, Bundle], place: Place, *, named: bool) -> dict[str, Reported]:
    """What bundles say of a data set, called as they were given where they are to be ``named``, else by their cards."""
    said = {}
    for name, bundle in bundles.items():
        with progress_bar(f"{name} on {place.name}") as advance:
            found = predict_split(bundle, place.manifest, place.split, progress=advance)
        said[name] = reported(found, bundle.card, name if named else "")
    return said


def _tell_one(
    said: Mapping[str, Mapping[str, Reported]],
    tables: Mapping[str, Manifest],
    per_image: bool,
    json_lines: bool,
    out: Path | None,
    report: Path | None,
) -> None:
    ((place, models),) = said.items()
    (one,) = models.values()
    measured = figures(one.answers, LEVEL, crossings=True)
    if per_image:
        _show_faces(per_image_table(one.answers), json_lines)
    elif json_lines:
        print_json(measured)
    else:
        show_figures(measured)
    _write(measured, {place: {one.name: measured}}, out)
    if report is not None:
        write_report(one, tables[place], place, report, measured=measured)
        note(f"wrote {report}")


def _tell_all(
    said: Mapping[str, Mapping[str, Reported]],
    tables: Mapping[str, Manifest],
    json_lines: bool,
    out: Path | None,
    report: Path | None,
) -> None:
    measured = {
        place: compare({name: one.answers for name, one in models.items()}, LEVEL) for place, models in said.items()
    }
    if json_lines:
        print_json(measured)
    else:
        for place, compared in measured.items():
            show_comparison(place, compared)
        if len(measured) > 1:
            show_matrix(measured)
    _write(measured, measured, out)
    if report is not None:
        write_comparison(measured, said, tables, report)
        note(f"wrote {report}")


def _write(measured: Mapping[str, Any], by_place: Mapping[str, Mapping[str, Any]], out: Path | None) -> None:
    if out is None:
        return
    if out.suffix.lower() == TABLE:
        write_text(out, figures_table(by_place).to_csv(index=False))
    else:
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
        "" if pd.isna(face["predicted_age"]) else f"{face['predicted_age']:.1f}",
        "" if pd.isna(face["error"]) else f"{face['error']:+.1f}",
        "" if pd.isna(face["low"]) else f"{face['low']:.0f}–{face['high']:.0f}",
        *genders,
    ]
