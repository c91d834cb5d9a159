"""A data set with faults that are known: real faces, and on top of them copies, leaks and wrong labels.

``plant`` builds it from UTKFace's pictures, through ``agelens prepare`` but for what prepare refuses, which is written
into the manifest afterwards. tests/training/audit and audit_planted.py use it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import count, islice
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from agelens.audit.findings import Finding, Kind
from agelens.data.cut import CutSettings
from agelens.data.manifest import read_manifest, write_manifest
from agelens.data.prepare import Preparation, prepare
from agelens.faces.align import CropSpec

EACH = 6
CLEAN = 60  # of each split
VAL_NAMES = Path(__file__).with_name("utkface-val.txt")  # the built-in models did not learn these
# Copies are made of faces outside an earlier validation part, so that counts stay comparable from model to model.
FORMER_VAL_NAMES = Path(__file__).with_name("planting-val.txt")
GENDERS = ("male", "female")
HEAD = ("path", "age", "gender", "subject", "split")


@dataclass
class Fault:
    """A planted fault: its kind, the names of its pictures, and kinds that rightly are found in them as well."""

    kind: Kind
    names: list[str]
    also: tuple[Kind, ...] = ()


@dataclass(frozen=True)
class Face:
    """A picture of UTKFace and its labels."""

    file: Path
    age: int
    gender: str


@dataclass
class Garden:
    """Pictures and their table, on the way to a data set."""

    folder: Path
    rows: list[dict[str, object]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def add(self, face: Face, split: str, subject: str = "", picture: bytes | None = None) -> str:
        """Add a picture, changed or as it is, and return its name."""
        name = f"{next(self.numbers):04d}.jpg"
        (self.folder / name).write_bytes(picture or face.file.read_bytes())
        self.rows.append(dict(zip(HEAD, (name, face.age, face.gender, subject, split), strict=True)))
        return name


def changes() -> list[Callable[[Image.Image], Image.Image]]:
    """What makes a copy that is not exact: re-encoded, brighter, cut, turned, mirrored, smaller."""
    return [
        lambda image: Image.open(_jpeg(image, 40)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.25),
        lambda image: image.crop((7, 5, image.width - 5, image.height - 6)),
        lambda image: image.rotate(4, Image.Resampling.BICUBIC),
        ImageOps.mirror,
        lambda image: image.resize((image.width * 3 // 5, image.height * 3 // 5), Image.Resampling.LANCZOS),
    ]


def plant(utkface: Path, folder: Path) -> tuple[Path, list[Fault]]:
    """Build the data set under ``folder``; its manifest, and the faults in it."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    garden = Garden(pictures)
    learnt, unseen = faces(utkface)
    for face in islice(learnt, CLEAN):
        garden.add(face, "train")
    for face in islice(unseen, CLEAN):
        garden.add(face, "val")
    plant_copies(garden, learnt)
    plant_subjects(garden, learnt)
    plant_labels(garden, learnt, unseen)
    with (pictures / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, HEAD)
        writer.writeheader()
        writer.writerows(garden.rows)
    manifest = prepare(Preparation("csv", CutSettings(CropSpec(160, 0.1))), pictures, folder / "crops")
    break_ages(manifest, [fault for fault in garden.faults if fault.kind == Kind.IMPLAUSIBLE][:EACH])
    return manifest, garden.faults


def faces(utkface: Path) -> tuple[Iterator[Face], Iterator[Face]]:
    """Faces of grown-ups, evenly over the sorted names: some to make copies of, and some no built-in model learnt."""
    names = set(VAL_NAMES.read_text().split())
    found = []
    for file in sorted(utkface.glob("*.jpg")):
        labels = file.name.split("_")
        if len(labels) == 4 and labels[1] in "01" and 18 <= int(labels[0]) <= 75:
            found.append(Face(file, int(labels[0]), GENDERS[int(labels[1])]))
    former = set(FORMER_VAL_NAMES.read_text(encoding="utf-8").split())
    learnt = [face for face in found if face.file.name not in former]
    learnt = learnt[:: len(learnt) // 400]
    unseen = [face for face in found if face.file.name in names and face not in learnt]
    return iter(learnt), iter(unseen[:: len(unseen) // 150])


def plant_copies(garden: Garden, learnt: Iterator[Face]) -> None:
    """Exact and near copies, with the same labels, with others, and in two splits."""
    for change in changes():
        for kind, near in ((Kind.EXACT, False), (Kind.NEAR, True)):
            face = next(learnt)
            picture = changed(face, change) if near else None
            garden.faults.append(Fault(kind, [garden.add(face, "train"), garden.add(face, "train", picture=picture)]))
        for kind, near in ((Kind.CONFLICT_EXACT, False), (Kind.CONFLICT_NEAR, True)):
            face = next(learnt)
            other = replace(face, age=face.age + 3)
            if len(garden.faults) % 8 > 3:
                other = replace(face, gender=GENDERS[face.gender == "male"])
            picture = changed(face, change) if near else None
            garden.faults.append(Fault(kind, [garden.add(face, "train"), garden.add(other, "train", picture=picture)]))
    for number, change in enumerate(changes()):
        face, near = next(learnt), number % 2
        names = [garden.add(face, "train"), garden.add(face, "test", picture=changed(face, change) if near else None)]
        garden.faults.append(Fault(Kind.DUPLICATE_ACROSS, names, (Kind.NEAR if near else Kind.EXACT,)))


def plant_subjects(garden: Garden, learnt: Iterator[Face]) -> None:
    """People in two splits, and people of whom one picture has another gender."""
    men = (face for face in learnt if face.gender == "male")
    for number in range(EACH):
        names = [garden.add(next(men), split, f"parted {number}") for split in ("train", "test")]
        garden.faults.append(Fault(Kind.SUBJECT_ACROSS, names))
    ages = [garden.add(next(men), "train") for _ in range(EACH)]
    garden.faults += [Fault(Kind.IMPLAUSIBLE, [name]) for name in ages]
    for number in range(EACH):
        for _ in range(2):
            garden.add(next(men), "train", f"mixed {number}")
        odd = garden.add(replace(next(men), gender="female"), "train", f"mixed {number}")
        garden.faults.append(Fault(Kind.IMPLAUSIBLE, [odd]))


def plant_labels(garden: Garden, learnt: Iterator[Face], unseen: Iterator[Face]) -> None:
    """Wrong ages, by 35 years, and wrong genders, of faces that the built-in model did not learn."""
    both = (Kind.WRONG_AGE, Kind.WRONG_GENDER)
    for face in islice(unseen, EACH):
        wrong = replace(face, age=face.age + 35 if face.age < 47 else face.age - 35)
        garden.faults.append(Fault(Kind.WRONG_AGE, [garden.add(wrong, "val")], both))
    for face in islice(unseen, EACH):
        wrong = replace(face, gender=GENDERS[face.gender == "male"])
        garden.faults.append(Fault(Kind.WRONG_GENDER, [garden.add(wrong, "val")], both))


def break_ages(path: Path, faults: Sequence[Fault]) -> None:
    """Write ages into the manifest that nobody has: beyond any life, before birth, unknown, outside their band."""
    manifest = read_manifest(path)
    table = manifest.table
    labels = [(age, None, None) for age in (200, 124, -3, None)] + [(30, 50, 59), (None, 60, 20)]
    for fault, label in zip(faults, labels, strict=True):
        table.loc[table["source_path"] == fault.names[0], ["age", "age_low", "age_high"]] = label
    write_manifest(manifest, path)


def changed(face: Face, change: Callable[[Image.Image], Image.Image]) -> bytes:
    """The picture after a change, as JPEG."""
    with Image.open(face.file) as image:
        return _jpeg(change(image.convert("RGB")), 90).getvalue()


def _jpeg(image: Image.Image, quality: int) -> BytesIO:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    stream.seek(0)
    return stream


def score(faults: Sequence[Fault], findings: Sequence[Finding], names: Sequence[str]) -> dict[Kind, tuple[int, ...]]:
    """For each kind: planted, found, and false alarms, findings in pictures of which nothing such was planted.

    Args:
        faults: that were planted.
        findings: of the audit.
        names: of the pictures, by row.
    """
    result = {}
    for kind in (kind for kind in Kind if kind != Kind.IMBALANCE):
        reported = [{names[row] for row in finding.rows} for finding in findings if finding.kind == kind]
        planted = [set(fault.names) for fault in faults if fault.kind == kind]
        allowed = [set(fault.names) for fault in faults if kind in (fault.kind, *fault.also)]
        found = sum(any(names <= one for one in reported) for names in planted)
        false = sum(not any(one <= names for names in allowed) for one in reported)
        result[kind] = len(planted), found, false
    return result
