"""``agelens predict``: ages of the faces in photos."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from agelens.bundle import DEFAULT, model_file
from agelens.cli.console import complain, note, print_table, progress_bar
from agelens.cli.copies import SUFFIX, copy_targets, write_copy
from agelens.cli.estimators import open_estimator
from agelens.errors import AgelensError, ImageError, OutputError
from agelens.faces.detectors import DetectorName
from agelens.files import check_file, make_folder, real_path, write_text
from agelens.images import find_images
from agelens.results import Face, Photo

__all__ = ["predict"]

SOME_FAILED = 1


def predict(
    paths: Annotated[list[Path], Parameter(required=True, negative="")],
    /,
    *,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
    csv_file: Annotated[Path | None, Parameter("--csv")] = None,
    annotate: Path | None = None,
    model: Path = Path(DEFAULT),
    cropped: Annotated[bool, Parameter(negative="")] = False,
    level: float = 0.9,
    embedder: Path | None = None,
    detector: DetectorName = "yunet",
) -> int:
    """Estimate the age of every face in photos.

    Prints a table, or one JSON object a line. Photos that cannot be read are named, and the rest is done.

    Example:  agelens predict photo.jpg holidays/ --annotate seen/

    Parameters
    ----------
    paths
        Photos, and folders that are searched for photos.
    json_lines
        Print one JSON object for each photo instead of the table.
    csv_file
        Write a CSV file too, one line for each face.
    annotate
        Write a copy of each photo with boxes and ages into this folder, as NAME.annotated.jpg.
    model
        A built-in model, as agelens models lists them, or a bundle.
    cropped
        The photos are crops of one face each: where none is detected, the whole image is the face.
    level
        Share of the true ages that the intervals hold: 0.5, 0.8, 0.9 or 0.95.
    embedder
        For a bundle that takes vectors, what makes them: sface, a built-in model, or a network's file; the one that the
        bundle names by default.
    detector
        What finds the faces: yunet, or mtcnn, which is slower and needs the extra mtcnn.
    """
    estimator = open_estimator(model, level, embedder, detector=detector)
    sources, photos = _expand(paths, skip_copies=annotate is not None)
    _check_outputs(csv_file, annotate, [*sources, model_file(model)])
    targets = {} if annotate is None else copy_targets(sources, annotate)
    for photo in photos:
        _report(photo, json_lines)
    all_written = True
    with progress_bar("photos", shown=not (json_lines and sys.stdout.isatty())) as advance:
        for done, photo in enumerate(estimator.photos(list(sources), cropped=cropped), start=1):
            photos.append(photo)
            _report(photo, json_lines)
            all_written &= photo.error is not None or _copied(photo, targets.get(photo.source))
            advance(done, len(sources))
    if csv_file is not None:
        write_text(csv_file, _csv(photos))
    if not json_lines:
        _print(photos)
    return 0 if all_written and not any(photo.error for photo in photos) else SOME_FAILED


def _check_outputs(csv_file: Path | None, annotate: Path | None, inputs: Sequence[Path]) -> None:
    if annotate is not None:
        make_folder(annotate)
    if csv_file is not None:
        if real_path(csv_file) in {real_path(path) for path in inputs}:
            raise OutputError(f"{csv_file}: is one of the inputs; choose another name for --csv")
        check_file(csv_file)


def _expand(paths: Sequence[Path], *, skip_copies: bool) -> tuple[dict[Path, Path], list[Photo]]:
    """Each photo once, with the folder below which it was found; and the arguments that hold none."""
    sources: dict[Path, Path] = {}
    failed = []
    for path in paths:
        try:
            for file in find_images([path]):
                if file == path or not (skip_copies and file.name.endswith(SUFFIX)):
                    sources.setdefault(file, path.parent if file == path else path)
        except ImageError as error:
            failed.append(Photo(path, error=error))
    return sources, failed


def _copied(photo: Photo, target: Path | None) -> bool:
    """Whether the annotated copy was written, or none was asked for; one that fails is named, and the rest goes on."""
    try:
        if target is not None:
            write_copy(photo, target)
    except AgelensError as error:
        complain(str(error))
        return False
    return True


def _report(photo: Photo, json_lines: bool) -> None:
    if photo.error is not None:
        complain(str(photo.error))
    if json_lines:
        print(json.dumps(photo.to_dict()), flush=True)  # noqa: T201


def _rows(photo: Photo) -> list[dict[str, Any]]:
    """A row for each face; one without a face for a photo that has none."""
    whole = photo.to_dict()
    shared = {key: whole[key] for key in ("path", "width", "height")}
    rows = []
    for number, face in enumerate(whole["faces"], start=1):
        box = dict(zip(("x1", "y1", "x2", "y2"), face.pop("box"), strict=True))
        ends = dict(zip(("low", "high"), face.pop("interval"), strict=True))
        rows.append({**shared, "face": number, **box, **ends, **face})
    return rows or [{**shared, "error": whole["error"]}]


def _csv(photos: Sequence[Photo]) -> str:
    columns = ["path", "width", "height", "face", "x1", "y1", "x2", "y2", "score", "age", "low", "high", "level"]
    columns += ["gender", "gender_confidence", "error"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for photo in photos:
        writer.writerows(_rows(photo))
    return text.getvalue()


def _print(photos: Sequence[Photo]) -> None:
    rows = [_cells(photo, number, face) for photo in photos for number, face in enumerate(photo.faces, start=1)]
    if rows:
        level = next(face.level for photo in photos for face in photo.faces)
        headings = {"photo": "left", "face": "right", "age": "right", f"{level:.0%} interval": "left"}
        print_table({**headings, "gender": "left", "box": "left"}, rows)
    for photo in photos:
        if photo.error is None and not photo.faces:
            note(f"{photo.source}: no face found; if it is the crop of a face, use --cropped")
    sys.stdout.flush()


def _cells(photo: Photo, number: int, face: Face) -> list[str]:
    low, high = face.interval
    box = " ".join(f"{edge:.0f}" for edge in face.box)
    gender = "" if face.gender is None else f"{face.gender} {face.gender_confidence:.0%}"
    return [str(photo.source), str(number), f"{face.age:.1f}", f"{low:.0f}–{high:.0f}", gender, box]
