"""``agelens predict`` and the command line around it, from the arguments to the exit status."""

from __future__ import annotations

import contextlib
import csv
import importlib
import inspect
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx
import pytest
from cyclopts import App
from PIL import Image

import agelens
from agelens import AgeEstimator, cli
from agelens.card import CARD_KEY
from agelens.images import read_image

MakeBundle = Callable[..., Path]

FACE_KEYS = ["box", "score", "age", "interval", "level", "gender", "gender_confidence"]
CSV_HEAD = "path,width,height,face,x1,y1,x2,y2,score,age,low,high,level,gender,gender_confidence,error"


class Result(NamedTuple):
    """What a call of the command line left behind."""

    status: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        return self.err.splitlines()

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls the command line in this process."""
    monkeypatch.delenv("AGELENS_DEBUG", raising=False)

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def predict(run: Run, make_bundle: MakeBundle) -> Run:
    """``agelens predict --model`` with the tiny bundle."""
    model = make_bundle()
    return lambda *arguments: run("predict", "--model", model, *arguments)


@pytest.fixture
def photo(portrait: Path, tmp_path: Path) -> Path:
    """The portrait, small."""
    path = tmp_path / "portrait.jpg"
    with Image.open(portrait) as image:
        image.convert("RGB").resize((256, 256)).save(path, quality=95)
    return path


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    """A photo of nothing."""
    path = tmp_path / "blank.png"
    Image.new("RGB", (80, 60), (20, 120, 200)).save(path)
    return path


def _assert_one_complaint(result: Result, status: int, *parts: object) -> None:
    assert result.status == status
    assert len(result.complaints) == 1, result.err
    assert result.complaints[0].startswith("error: ")
    assert all(str(part) in result.err for part in parts), result.err
    assert "Traceback" not in result.err
    assert "unexpected" not in result.err


def test_a_table_has_a_row_for_each_face(predict: Run, photo: Path) -> None:
    result = predict(photo)
    assert result.status == 0
    assert result.err == ""
    head, _, *rows = (line for line in result.out.splitlines() if line.strip())
    assert head.split() == ["photo", "face", "age", "90%", "interval", "gender", "box"]
    assert len(rows) == 1
    assert rows[0].split()[:2] == [str(photo), "1"]


def test_json_lines_have_the_promised_keys(predict: Run, photo: Path, blank: Path) -> None:
    result = predict("--json", photo, blank)
    assert result.status == 0
    assert result.err == ""
    first, second = result.json
    assert list(first) == list(second) == ["path", "width", "height", "faces", "error"]
    assert (first["path"], first["width"], first["height"], first["error"]) == (str(photo), 256, 256, None)
    (face,) = first["faces"]
    assert list(face) == FACE_KEYS
    assert second["faces"] == []
    assert second["error"] is None


def test_json_says_what_the_library_says(
    predict: Run, photo: Path, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [face.to_dict() for face in AgeEstimator.load(make_bundle("same.onnx")).predict(photo)]
    assert predict("--json", photo).json[0]["faces"] == expected


def test_folders_are_searched_and_each_photo_is_read_once(predict: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.jpg", "deep/a.jpg"):
        (tmp_path / "in" / name).write_bytes(photo.read_bytes())
    result = predict("--json", tmp_path / "in", tmp_path / "in" / "b.jpg", photo)
    assert [line["path"] for line in result.json] == [
        str(path) for path in (tmp_path / "in/b.jpg", tmp_path / "in/deep/a.jpg", photo)
    ]


def test_csv_has_a_line_for_each_face_and_each_photo_without_one(
    predict: Run, photo: Path, blank: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new" / "folder" / "out.csv"
    result = predict("--csv", target, "--json", photo, blank, tmp_path / "gone.jpg")
    assert result.status == 1
    assert target.read_text().splitlines()[0] == CSV_HEAD
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(photo), str(blank), str(tmp_path / "gone.jpg")]
    (face,) = result.json[0]["faces"]
    assert [float(rows[0][edge]) for edge in ("x1", "y1", "x2", "y2")] == face["box"]
    assert [float(rows[0][end]) for end in ("low", "high")] == face["interval"]
    assert (rows[0]["face"], float(rows[0]["age"]), rows[0]["gender"]) == ("1", face["age"], face["gender"])
    assert (rows[1]["age"], rows[1]["error"], rows[1]["width"]) == ("", "", "80")
    assert "no such file" in rows[2]["error"]


def test_csv_replaces_an_older_file_and_leaves_nothing_beside_it(predict: Run, blank: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.csv").write_text("old")
    assert predict("--csv", tmp_path / "out" / "a.csv", blank).status == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.csv"]
    assert (tmp_path / "out" / "a.csv").read_text().startswith("path,")


def test_annotate_writes_a_copy_of_each_photo_with_its_faces(
    predict: Run, photo: Path, blank: Path, tmp_path: Path
) -> None:
    assert predict("--annotate", tmp_path / "seen", photo, blank).status == 0
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == [
        "blank.png.annotated.jpg",
        "portrait.annotated.jpg",
    ]
    drawn, original = read_image(tmp_path / "seen" / "portrait.annotated.jpg"), read_image(photo)
    assert drawn.shape == original.shape
    assert np.abs(drawn.astype(int) - original).max() > 100
    empty = read_image(tmp_path / "seen" / "blank.png.annotated.jpg")
    assert np.abs(empty.astype(int) - read_image(blank)).max() < 8


def test_annotate_keeps_photos_of_the_same_name_apart(predict: Run, blank: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        (folder / "sub").mkdir(parents=True)
        for name in ("a.png", "sub/a.png"):
            (folder / name).write_bytes(blank.read_bytes())
    assert predict("--annotate", tmp_path / "seen", *folders).status == 0
    written = sorted(str(path.relative_to(tmp_path / "seen")) for path in (tmp_path / "seen").rglob("*.jpg"))
    names = ["a.png-2.annotated.jpg", "a.png-3.annotated.jpg", "a.png.annotated.jpg"]
    assert written == [*names, *(f"sub/{name}" for name in names)]


def test_annotate_never_writes_over_a_photo_that_was_given(predict: Run, photo: Path) -> None:
    given = photo.with_name("portrait.annotated.jpg")
    given.write_bytes(photo.read_bytes())
    result = predict("--annotate", photo.parent, photo, given)
    _assert_one_complaint(result, 2, given, "is one of the photos; choose another folder")
    assert result.out == ""
    assert given.read_bytes() == photo.read_bytes()


def test_annotate_into_the_photos_own_folder_leaves_the_photo(predict: Run, photo: Path) -> None:
    before = photo.read_bytes()
    assert predict("--annotate", photo.parent, photo).status == 0
    assert photo.read_bytes() == before
    assert photo.with_name("portrait.annotated.jpg").is_file()


def test_annotate_again_writes_the_copies_again_and_copies_no_copy(predict: Run, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "holidays"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg"):
        (folder / name).write_bytes(photo.read_bytes())
    for _ in range(2):
        result = predict("--annotate", folder / "seen", "--json", folder)
        assert (result.status, result.err) == (0, "")
        assert [line["path"] for line in result.json] == [str(folder / "a.jpg"), str(folder / "sub/b.jpg")]
    written = sorted(str(path.relative_to(folder)) for path in (folder / "seen").rglob("*.*"))
    assert written == ["seen/a.annotated.jpg", "seen/sub/b.annotated.jpg"]


def test_annotate_leaves_an_unrelated_photo_in_its_folder(predict: Run, photo: Path, tmp_path: Path) -> None:
    unrelated = tmp_path / "seen" / photo.name
    unrelated.parent.mkdir()
    Image.new("RGB", (9, 9)).save(unrelated)
    before = unrelated.read_bytes()
    assert predict("--annotate", unrelated.parent, photo).status == 0
    assert unrelated.read_bytes() == before


def _obstruct(kind: str, photo: Path, folder: Path) -> Path:
    """A photo of which no copy can be written."""
    path = folder / f"{kind}.png"
    with Image.open(photo) as image:
        (Image.new("RGB", (70_000, 8)) if kind == "wide" else image).save(path)
    if kind == "obstacle":
        (folder / "seen" / "obstacle.png.annotated.jpg" / "inside").mkdir(parents=True)
    return path


@pytest.mark.parametrize("kind", ["wide", "obstacle"])
def test_a_copy_that_cannot_be_written_is_named_and_the_rest_is_done(
    kind: str, predict: Run, photo: Path, tmp_path: Path
) -> None:
    bad = _obstruct(kind, photo, tmp_path)
    result = predict("--annotate", tmp_path / "seen", "--csv", tmp_path / "a.csv", bad, photo)
    complaints = [line for line in result.complaints if line.startswith("error: ")]
    assert result.status == 1
    assert len(complaints) == 1, result.err
    assert f"{kind}.png.annotated.jpg: " in complaints[0]
    assert "unexpected" not in result.err
    assert (tmp_path / "seen" / "portrait.annotated.jpg").is_file()
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [(row["path"], row["error"]) for row in csv.DictReader(file)] == [(str(bad), ""), (str(photo), "")]
    assert f"{photo} " in result.out


def test_names_as_long_as_they_can_be_are_written(predict: Run, photo: Path, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 241 + ".jpg")
    photo.rename(long)
    table = tmp_path / ("y" * 251 + ".csv")
    assert predict("--annotate", tmp_path / "seen", "--csv", table, long).status == 0
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["x" * 241 + ".annotated.jpg"]
    assert table.read_text().startswith("path,")


@pytest.mark.parametrize("link", [False, True], ids=["itself", "by a link"])
def test_csv_never_writes_over_a_photo(link: bool, predict: Run, photo: Path, tmp_path: Path) -> None:
    before, target = photo.read_bytes(), photo
    if link:
        target = tmp_path / "a.csv"
        target.symlink_to(photo)
    result = predict("--csv", target, "--json", photo)
    _assert_one_complaint(result, 2, target, "is one of the inputs")
    assert result.out == ""
    assert photo.read_bytes() == before


def test_csv_never_writes_over_the_model(run: Run, photo: Path, make_bundle: MakeBundle) -> None:
    model = make_bundle()
    before = model.read_bytes()
    result = run("predict", "--model", model, "--csv", model, photo)
    _assert_one_complaint(result, 2, model, "is one of the inputs")
    assert result.out == ""
    assert model.read_bytes() == before


def test_a_photo_that_is_a_link_to_itself_is_named_and_the_rest_is_done(
    predict: Run, photo: Path, tmp_path: Path
) -> None:
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    result = predict("--csv", tmp_path / "a.csv", "--annotate", tmp_path / "seen", loop, photo)
    _assert_one_complaint(result, 1, loop)
    assert (tmp_path / "seen" / "portrait.annotated.jpg").is_file()


def test_annotate_never_writes_over_a_photo_of_another_folder(predict: Run, photo: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    (one / "a.jpg").write_bytes(photo.read_bytes())
    (other / "a.annotated.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "link").symlink_to(other)
    result = predict("--annotate", tmp_path / "link", one, other / "a.annotated.jpg")
    _assert_one_complaint(result, 2, "link/a.annotated.jpg")
    assert (other / "a.annotated.jpg").read_bytes() == photo.read_bytes()


def test_cropped_takes_the_whole_image_where_no_face_is_found(predict: Run, blank: Path) -> None:
    (line,) = predict("--json", "--cropped", blank).json
    (face,) = line["faces"]
    assert face["box"] == [0, 0, 80, 60]
    assert face["score"] is None


def test_level_chooses_the_interval(predict: Run, photo: Path) -> None:
    wide, narrow = (
        predict("--json", "--level", level, photo).json[0]["faces"][0]["interval"] for level in ("0.9", "0.5")
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert "50% interval" in predict("--level", "0.5", photo).out


def test_a_level_that_the_bundle_does_not_have_is_refused(predict: Run, photo: Path) -> None:
    _assert_one_complaint(predict("--level", "0.7", photo), 2, "--level", "0.5, 0.9")


def test_a_photo_without_a_face_is_named_and_is_no_failure(predict: Run, blank: Path) -> None:
    result = predict(blank)
    assert result.status == 0
    assert result.out == ""
    (note,) = result.complaints
    assert note.startswith(f"{blank}: no face found")
    assert "--cropped" in note


def _png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + checksum + bytes(99)


def _make_bad(kind: str, photo: Path, folder: Path) -> Path:
    path = folder / f"bad-{kind}.jpg"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "long":
        path = folder / ("x" * 300 + ".jpg")
    elif kind != "missing":
        contents = {
            "empty": b"",
            "truncated": photo.read_bytes()[:4000],
            "text": b"no image at all\n" * 20,
            "huge": _png_header(60_000, 60_000),
            "large": _png_header(14_000, 14_000),
        }
        path.write_bytes(contents[kind])
    return path


BAD = ["missing", "empty", "truncated", "text", "huge", "large", "folder", "pipe", "long"]


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("style", ["table", "json"])
def test_a_bad_photo_is_named_in_one_line_and_the_rest_is_done(
    kind: str, style: str, predict: Run, photo: Path, tmp_path: Path
) -> None:
    bad = _make_bad(kind, photo, tmp_path)
    result = predict(*(["--json"] if style == "json" else []), bad, photo)
    _assert_one_complaint(result, 1, bad)
    if style == "table":
        assert str(photo) in result.out
        return
    errors = {line["path"]: line["error"] for line in result.json}
    assert errors[str(photo)] is None
    assert str(bad) in errors[str(bad)]
    assert len(next(line for line in result.json if line["path"] == str(photo))["faces"]) == 1


def test_all_bad_photos_are_named(predict: Run, photo: Path, tmp_path: Path) -> None:
    bad = [_make_bad(kind, photo, tmp_path) for kind in BAD]
    result = predict("--annotate", tmp_path / "seen", "--csv", tmp_path / "a.csv", *bad, photo)
    assert result.status == 1
    assert len(result.complaints) == len(bad)
    assert all(any(str(path) in line for line in result.complaints) for path in bad)
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["portrait.annotated.jpg"]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + len(bad) + 1


def test_broken_exif_of_a_good_photo_is_not_spoken_of(predict: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 64)).save(path, exif=b"Exif\x00\x00MM\x00*" + b"\xff" * 30)
    result = predict("--json", path)
    assert (result.status, result.err) == (0, "")


@pytest.mark.parametrize("kind", ["missing", "empty", "corrupt", "truncated", "without a card", "folder"])
def test_a_model_that_is_no_bundle_is_refused_in_one_line(
    kind: str, run: Run, photo: Path, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    whole = make_bundle("whole.onnx").read_bytes()
    bare = onnx.load_model_from_string(whole)
    del bare.metadata_props[:]
    if kind == "folder":
        model.mkdir()
    elif kind != "missing":
        contents = {"empty": b"", "corrupt": b"\0nonsense" * 99, "truncated": whole[: len(whole) // 2]}
        model.write_bytes(contents.get(kind, bare.SerializeToString()))
    result = run("predict", "--model", model, photo)
    _assert_one_complaint(result, 2, model)
    assert result.out == ""
    assert CARD_KEY in whole.decode("latin-1")


def test_a_network_that_fails_is_one_line(
    run: Run, photo: Path, make_bundle: MakeBundle, make_network: Callable[..., Any]
) -> None:
    network = make_network(age_bias=np.full(101, np.nan, np.float32))
    _assert_one_complaint(run("predict", "--model", make_bundle(network=network), photo), 2, "'tiny'")


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--csv", "file/a.csv"),
        ("--csv", "folder"),
        ("--csv", "x" * 300),
        ("--annotate", "file"),
        ("--annotate", "file/a"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    option: str, name: str, predict: Run, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    result = predict(option, tmp_path / name, photo)
    _assert_one_complaint(result, 2, tmp_path)
    assert result.out == ""
    assert (tmp_path / "file").read_text() == "kept"


NAMES = [
    b"[red]x.jpg",
    b"[red]x[bold.jpg",
    b"two  spaces.jpg",
    b"x\\[bold].jpg",
    b"a:cat:b.jpg",
    b"line\nbreak.jpg",
    b"clear\x1b[2Jscreen.jpg",
    b"caf\xe9.jpg",
    "été 年.jpg".encode(),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_strange_file_names_are_shown_as_they_are_or_with_question_marks(
    name: bytes, predict: Run, photo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "strange"
    folder.mkdir()
    path = folder / os.fsdecode(name)
    path.write_bytes(photo.read_bytes())
    shown = "".join(one if one.isprintable() else "?" for one in path.name)
    result = predict("--annotate", tmp_path / "seen", "--csv", tmp_path / "a.csv", path)
    assert (result.status, result.err) == (0, "")
    assert f"/{shown} " in result.out
    assert (tmp_path / "seen" / f"{path.stem}.annotated.jpg").is_file()
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == str(path).encode("utf-8", "backslashreplace").decode()
    assert predict("--json", path).json[0]["path"] == str(path)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_strange_names_of_bad_files_stay_one_line(name: bytes, predict: Run, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"no image")
    result = predict(path)
    _assert_one_complaint(result, 1)
    assert "\x1b" not in result.err
    if path.name.isprintable():
        assert path.name in result.err


def test_a_pipe_that_is_not_utf_8_gets_question_marks(
    predict: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, encoding="ascii"))
    assert predict(photo).status == 0
    sys.stdout.flush()
    assert re.search(rb"\d\?\d", pipe.getvalue())


def test_a_long_path_is_not_folded_in_a_pipe(predict: Run, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["n" * 200] * 8)
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(photo.read_bytes())
    assert str(folder / "a.jpg") in predict(folder / "a.jpg").out


def test_an_unknown_option_is_refused_in_one_line(predict: Run, photo: Path) -> None:
    _assert_one_complaint(predict("--jsn", photo), 2, "--jsn")


def test_no_photo_is_refused_in_one_line(predict: Run) -> None:
    _assert_one_complaint(predict(), 2, "PATHS")


def test_a_word_for_a_number_is_refused_in_one_line(predict: Run, photo: Path) -> None:
    _assert_one_complaint(predict("--level", "high", photo), 2, "high")


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_overview_names_every_command_with_its_line(arguments: list[str], run: Run) -> None:
    result = run(*arguments)
    assert result.status == 0
    text = " ".join(result.out.replace("│", " ").split())
    for name, command in cli.COMMANDS.items():
        assert f"{name} {command.summary}" in text
    assert "Example: agelens predict photo.jpg" in text


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_overview_says_what_the_command_says_of_itself(name: str) -> None:
    module = name.replace("-", "_")
    command = getattr(importlib.import_module(f"agelens.cli.{module}"), module)
    text = command.help if isinstance(command, App) else inspect.getdoc(command)
    assert text is not None
    assert text.splitlines()[0] == cli.COMMANDS[name].summary


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_of_each_command_has_an_example(name: str, run: Run) -> None:
    result = run(name, "--help")
    assert result.status == 0
    assert result.err == ""
    text = " ".join(result.out.split())
    assert cli.COMMANDS[name].summary.rstrip(".") in text
    assert f"Example: agelens {name} " in text


def test_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").out.strip() == agelens.__version__


def test_an_interruption_gives_130(predict: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AgeEstimator, "photos", interrupted)
    _assert_one_complaint(predict(photo), 130, "interrupted")


def test_a_fault_of_our_own_is_one_line_too(predict: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(AgeEstimator, "photos", broken)
    result = predict(photo)
    assert result.status == 2
    assert result.complaints == [
        "error: unexpected RuntimeError: two lines (a fault of agelens; AGELENS_DEBUG=1 shows where)"
    ]
    monkeypatch.setenv("AGELENS_DEBUG", "1")
    with pytest.raises(RuntimeError, match="two"):
        predict(photo)


EXTRA = sorted(name for name, command in cli.COMMANDS.items() if command.extra is not None)


@pytest.fixture
def _base_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that needs an extra fails to be imported, as where that is not installed."""
    for name in EXTRA:
        monkeypatch.setitem(sys.modules, f"agelens.cli.{name.replace('-', '_')}", None)


@pytest.mark.usefixtures("_base_install")
@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.parametrize("argument", ["--help", "a"])
def test_a_command_whose_packages_are_missing_names_the_install_line(name: str, argument: str, run: Run) -> None:
    _assert_one_complaint(run(name, argument), 2, "not installed", f"pip install '.[{cli.COMMANDS[name].extra}]'")


def test_commands_of_the_data_extra_need_nothing_of_the_train_extra() -> None:
    names = [f"agelens.cli.{name}" for name, command in cli.COMMANDS.items() if command.extra == "data"]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "pandas" in loaded
    others = {"torch", "torchvision", "lightning", "timm", "onnx", "pydantic", "yaml", "safetensors", "ray"}
    assert loaded.isdisjoint(others)


def test_a_package_of_the_base_install_is_missed_without_an_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agelens.cli.predict", None)
    result = run("predict", "a.jpg")
    _assert_one_complaint(result, 2, "'agelens.cli.predict'", "not installed")
    assert result.err.endswith("pip install .\n")


def test_the_package_that_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agelens.cli.evaluate", raising=False)
    monkeypatch.delitem(sys.modules, "agelens.data.manifest", raising=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    _assert_one_complaint(run("evaluate", "a.onnx", "crops"), 2, "'pandas'")


@pytest.mark.usefixtures("_base_install")
@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["--help", "x"], ["--version"], ["predict", "-h"]])
def test_the_base_install_can_do_without_the_other_commands(arguments: list[str], run: Run) -> None:
    result = run(*arguments)
    assert (result.status, result.err) == (0, "")
    assert result.out


@pytest.mark.usefixtures("_base_install")
@pytest.mark.parametrize("argument", ["pedict", "--bogus", "photo.jpg", "-x", "--"])
def test_an_unknown_command_or_option_is_refused_without_the_other_commands(argument: str, run: Run) -> None:
    _assert_one_complaint(run(argument, "a.jpg"), 2, repr(argument), "there are: predict, ")


def test_a_reader_that_has_seen_enough_is_no_failure(make_bundle: MakeBundle, blank: Path) -> None:
    command = [sys.executable, "-c", "from agelens.cli import main; main()"]
    command += ["predict", "--json", "--model", str(make_bundle()), str(blank)]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False, timeout=60)
    finally:
        os.close(write)
    assert done.returncode == 0
    assert done.stderr == b""


def _read_terminal(master: int) -> bytes:
    """All that is written to a terminal until no one holds it any more; closes it."""
    parts = []
    with contextlib.suppress(OSError):  # so Linux says that this is the end
        while part := os.read(master, 4096):
            parts.append(part)
    os.close(master)
    return b"".join(parts)


def test_results_go_into_a_file_while_the_bar_is_on_a_terminal(
    make_bundle: MakeBundle, blank: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", "from agelens.cli import main; main()"]
    command += ["predict", "--json", "--model", str(make_bundle()), str(blank)]
    master, terminal = pty.openpty()
    with (tmp_path / "lines").open("wb") as file:
        running = subprocess.Popen(command, stdout=file, stderr=terminal, env=os.environ | {"TERM": "xterm"})
    os.close(terminal)
    shown = _read_terminal(master)
    assert running.wait(timeout=60) == 0
    assert b"photos" in shown  # the bar was there
    assert b"faces" not in shown
    assert json.loads((tmp_path / "lines").read_text())["path"] == str(blank)


def test_photos_are_the_same_from_every_format(predict: Run, photo: Path, tmp_path: Path) -> None:
    pixels = cv2.cvtColor(read_image(photo), cv2.COLOR_RGB2BGR)
    paths = [tmp_path / f"same{suffix}" for suffix in (".png", ".bmp", ".tiff")]
    assert all(cv2.imwrite(str(path), pixels) for path in paths)
    faces = [line["faces"] for line in predict("--json", photo, *paths).json]
    assert len(faces[0]) == 1
    assert faces == [faces[0]] * 4
