"""``agelens prepare``, from its arguments to what it prints and writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import agelens.cli.prepare
from agelens.data.manifest import read_manifest
from agelens.data.prepare import Preparation
from agelens.faces.detector import Detection, FixedDetector

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch, detector: FixedDetector) -> None:
    """The command takes the fixed detector for YuNet."""
    monkeypatch.setattr(agelens.cli.prepare, "Preparation", partial(Preparation, make_detector=lambda: detector))


@pytest.fixture
def mixed(faces_folder: Path, tmp_path: Path) -> Path:
    """The made-up people and three files that cannot be used."""
    folder = tmp_path / "mixed"
    shutil.copytree(faces_folder, folder)
    (folder / "50_0_0_1.jpg").write_text("no picture")
    (folder / "50_0_0_2.jpg").touch()
    Image.new("RGB", (64, 64)).save(folder / "portrait.jpg")
    return folder


def test_what_was_left_out_is_counted_by_reason_and_is_no_failure(run: Run, mixed: Path, tmp_path: Path) -> None:
    done = run("prepare", "utkface", mixed, tmp_path / "out", "--size", 48, "--val-share", 0.25, "--test-share", 0.25)
    assert done.status == 0
    assert done.err == f"wrote {tmp_path}/out/manifest.parquet and removed.csv beside it\n"
    parts = read_manifest(tmp_path / "out").table["split"].value_counts().to_dict()
    rows = {"found": 43, "removed: unreadable": 2, "removed: bad label": 1, "kept": 40, **parts}
    written = (tmp_path / "out/removed.csv").read_text().splitlines()
    assert written == ["faces,count", *(f"{name},{count}" for name, count in rows.items())]
    printed = [" ".join(line.split()) for line in done.out.splitlines()]
    assert [line for line in printed if line[-1:].isdigit()] == [f"{name} {count}" for name, count in rows.items()]


def test_called_again_it_says_the_same(run: Run, mixed: Path, tmp_path: Path) -> None:
    first = run("prepare", "utkface", mixed, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir() if path.name != "removed.csv"}
    assert run("prepare", "utkface", mixed, tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_options_lead_to_the_manifest(run: Run, faces_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(faces_folder, folder)
    names = sorted(path.name for path in faces_folder.iterdir())
    rows = [f"{name},{number},{number % 2}" for number, name in enumerate(names)]
    (folder / "table.csv").write_text("\n".join(["file,years,path", *rows]))
    (tmp_path / "held-back.txt").write_text(f"{names[3]}\n\n  {names[5]}  \nnot there\n")
    options = ("--option.path", "file", "--option.age", "years", "--val-list", tmp_path / "held-back.txt", "--folds", 4)
    done = run("prepare", "csv", folder, tmp_path / "out", *options, "--margin", 0.3, "--name", "mine", "--workers", 3)
    assert done.status == 0
    made = read_manifest(tmp_path / "out")
    assert (made.crop.size, made.crop.margin) == (160, 0.3)
    assert made.split("val")["source_path"].tolist() == [names[3], names[5]]
    assert made.table["age"].tolist() == list(range(40))
    assert set(made.table["fold"]) == {0, 1, 2, 3}
    assert set(made.table["dataset"]) == {"mine"}


def test_which_faces_stay_is_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_detection: Callable[..., Detection]
) -> None:
    low = FixedDetector([make_detection(32, 32, score=0.4)])
    monkeypatch.setattr(agelens.cli.prepare, "Preparation", partial(Preparation, make_detector=lambda: low))
    (tmp_path / "set").mkdir()
    for number, gender in enumerate("mf-"):
        Image.new("RGB", (64, 64), (number * 90, 0, 0)).save(tmp_path / f"set/a{number}_30_{gender}.jpg")
    (tmp_path / "set/labels.csv").write_text("path,age,gender\na0_30_m.jpg,30,m\na1_30_f.jpg,30,f\na2_30_-.jpg,30,\n")

    def removed(*options: object) -> list[str]:
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        assert run("prepare", "csv", tmp_path / "set", out, *options).status == 0
        return list(read_manifest(out).table["removed"].fillna(""))

    assert removed() == ["", "", ""]
    assert removed("--needs-gender", "--faces", "only") == ["", "", "no gender"]
    assert removed("--min-score", 0.4) == ["", "", ""]
    done = run("prepare", "csv", tmp_path / "set", tmp_path / "none", "--min-score", 0.5)
    assert done.complaint == "no sample can be used: 3 low detector score"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "too few different pictures or people to hold some back: all are in the split train"),
        (("--val-share", 0), None),
    ],
)
def test_too_few_to_hold_some_back_is_told_where_some_are_wanted(
    options: tuple[object, ...], said: str | None, run: Run, faces_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "few").mkdir()
    for path in sorted(faces_folder.iterdir())[:3]:
        shutil.copy(path, tmp_path / "few")
    done = run("prepare", "utkface", tmp_path / "few", tmp_path / "out", *options)
    assert done.err.splitlines()[:-1] == ([said] if said else [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("utkface", "nowhere", "out"), "nowhere: no such folder; wanted: <age>_"),
        (("nosuch", "faces", "out"), "no source 'nosuch'; there are: utkface, "),
        (("utkface", ".", "out"), "lies within the data set's own folder"),
        (("utkface", ".", "out", "--size", "4"), "crop size is 4"),
        (("utkface", ".", "out", "--margin", "9"), "crop margin is 9"),
        (("utkface", ".", "out", "--workers", "0"), "--workers"),
        (("utkface", ".", "out", "--val-share", "0.6"), "--val-share"),
        (("utkface", ".", "out", "--val-share", "0.5", "--test-share", "0.5"), "shares of 0.5 and 0.5"),
        (("utkface", ".", "out", "--seed", "-1"), "--seed"),
        (("utkface", ".", "out", "--folds", "1"), "--folds"),
        (("utkface", ".", "out", "--min-score", "2"), "--min-score"),
        (("utkface", ".", "out", "--faces", "all"), "--faces"),
        (("utkface", ".", "out", "--engine", "dask"), "--engine"),
        (("utkface", ".", "../out", "--option.age", "x"), "no option 'age' for this source; it has: none"),
        (("utkface", ".", "../out", "--val-list", "gone.txt"), "gone.txt: cannot be read as a list of names"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_the_work(
    arguments: tuple[str, ...], message: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert message in run("prepare", *arguments).complaint
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
