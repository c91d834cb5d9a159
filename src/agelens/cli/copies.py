"""Annotated copies of photos: where each goes, and writing it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from PIL import Image

from agelens.draw import draw_faces
from agelens.errors import OutputError
from agelens.files import atomic_path, real_path
from agelens.images import read_image
from agelens.results import Photo

__all__ = ["SUFFIX", "copy_targets", "write_copy"]

# Tells a copy from a photo: a copy may be written again, and is no photo to search a folder for.
SUFFIX: Final = ".annotated.jpg"
MAX_SIDE: Final = 65_500  # of a JPEG file


def copy_targets(sources: Mapping[Path, Path], folder: Path) -> dict[Path, Path]:
    """Where each copy goes: as the photo lay below its folder, never two to one file, never onto a photo.

    Args:
        sources: each photo with the folder below which it was found.
        folder: for the copies.

    Raises:
        OutputError: a copy would take the place of one of the photos.
    """
    targets: dict[Path, Path] = {}
    taken: set[Path] = set()
    for source, root in sources.items():
        inside = source.relative_to(root)
        stem = inside.stem if inside.suffix.lower() in (".jpg", ".jpeg") else inside.name
        target, number = folder / inside.with_name(f"{stem}{SUFFIX}"), 2
        while target in taken:
            target, number = folder / inside.with_name(f"{stem}-{number}{SUFFIX}"), number + 1
        taken.add(target)
        targets[source] = target
    originals = {real_path(source) for source in sources}
    for target in taken:
        if real_path(target) in originals:
            raise OutputError(f"{target}: is one of the photos; choose another folder for --annotate")
    return targets


def write_copy(photo: Photo, target: Path) -> None:
    """Write a photo with its boxes and ages as JPEG.

    Raises:
        ImageError: the photo cannot be read any more.
        OutputError: the copy cannot be written, or the photo is larger than a JPEG can be.
    """
    if max(photo.width, photo.height) > MAX_SIDE:
        raise OutputError(f"{target}: {photo.width} x {photo.height} pixels; a JPEG has at most {MAX_SIDE} a side")
    picture = Image.fromarray(draw_faces(read_image(photo.source), photo.faces))
    with atomic_path(target) as temporary:
        picture.save(temporary, format="JPEG", quality=92)
