"""``agelens predict``: ages of the faces in photos."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from PIL import Image

from agelens.cli.console import complain, note, print_table, progress_bar
from agelens.draw import draw_faces
from agelens.errors import ConfigError, ImageError, OutputError
from agelens.estimator import AgeEstimator, Face, Photo
from agelens.files import atomic_path, check_file, make_folder, write_text
from agelens.images import find_images, read_image

__all__ = ["predict"]

SOME_UNREAD = 1


def predict(
    paths: Annotated[list[Path], Parameter(required=True, negative="")],
    /,
    *,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
    csv_file: Annotated[Path | None, Parameter("--csv")] = None,
    annotate: Path | None = None,
    model: Path | None = None,
    cropped: Annotated[bool, Parameter(negative="")] = False,
    level: float = 0.9,
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
        Write a copy of each photo with boxes and ages into this folder.
    model
        A bundle to use instead of the built-in model.
    cropped
        The photos are crops of one face each: where none is detected, the whole image is the face.
    level
        Share of the true ages that the intervals hold: 0.5, 0.8, 0.9 or 0.95.
    """
    estimator = _estimator(model, level)
    _check_outputs(csv_file, annotate)
    sources, photos = _expand(paths)
    for photo in photos:
        _report(photo, json_lines)
    targets = {} if annotate is None else _targets(sources, annotate)
    with progress_bar("photos") as advance:
        for done, photo in enumerate(estimator.photos(list(sources), cropped=cropped), start=1):
            photos.append(photo)
            _report(photo, json_lines)
            if photo.source in targets and photo.error is None:
                _annotate(photo, targets[photo.source])
            advance(done, len(sources))
    if csv_file is not None:
        write_text(csv_file, _csv(photos))
    if not json_lines:
        _print(photos)
    return SOME_UNREAD if any(photo.error for photo in photos) else 0


def _estimator(model: Path | None, level: float) -> AgeEstimator:
    try:
        return AgeEstimator.load(model, level=level)
    except ValueError as error:
        raise ConfigError(f"--level: {error}") from error


def _check_outputs(csv_file: Path | None, annotate: Path | None) -> None:
    if annotate is not None:
        make_folder(annotate)
    if csv_file is not None:
        check_file(csv_file)


def _expand(paths: Sequence[Path]) -> tuple[dict[Path, Path], list[Photo]]:
    """Each photo once, with the folder below which it was found; and the arguments that hold none."""
    sources: dict[Path, Path] = {}
    failed = []
    for path in paths:
        try:
            for file in find_images([path]):
                sources.setdefault(file, path.parent if file == path else path)
        except ImageError as error:
            failed.append(Photo(path, error=error))
    return sources, failed


def _report(photo: Photo, json_lines: bool) -> None:
    if photo.error is not None:
        complain(str(photo.error))
    if json_lines:
        print(json.dumps(photo.to_dict()), flush=True)  # noqa: T201


def _targets(sources: Mapping[Path, Path], folder: Path) -> dict[Path, Path]:
    """Where each annotated copy goes: as it lay below its folder, never two to one file, never onto a photo.

    Raises:
        OutputError: a copy would take the place of one of the photos.
    """
    targets: dict[Path, Path] = {}
    taken: set[Path] = set()
    for source, root in sources.items():
        inside = source.relative_to(root)
        name = inside.name if inside.suffix.lower() in (".jpg", ".jpeg") else f"{inside.name}.jpg"
        target, number = folder / inside.with_name(name), 2
        while target in taken:
            target, number = folder / inside.with_name(f"{Path(name).stem}-{number}.jpg"), number + 1
        taken.add(target)
        targets[source] = target
    originals = {source.resolve() for source in sources}
    for target in taken:
        if target.resolve() in originals:
            raise OutputError(f"{target}: is one of the photos; choose another folder for --annotate")
    return targets


def _annotate(photo: Photo, target: Path) -> None:
    picture = Image.fromarray(draw_faces(read_image(photo.source), photo.faces))
    with atomic_path(target) as temporary:
        picture.save(temporary, format="JPEG", quality=92)


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
    gender = f"{face.gender} {face.gender_confidence:.0%}"
    return [str(photo.source), str(number), f"{face.age:.1f}", f"{low:.0f}–{high:.0f}", gender, box]
