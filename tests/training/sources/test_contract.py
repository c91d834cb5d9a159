"""What holds for every source, the built-in ones and those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from agelens.data.sources import SOURCES, Sample, find_source, known_sources, read_source
from agelens.errors import ConfigError, DataError

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]

ADIENCE = "user_id\toriginal_image\tface_id\tage\tgender\r\n7@N00\ta.jpg\t2\t(0, 2)\tf\r\n"
REAL = "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age\n000000.jpg,38,5.05,1.32,4\n"

# One sound data set each, as text by the file's name.
SMALLEST: dict[str, dict[str, str]] = {
    "utkface": {"26_1_0_20170116184024662.jpg.chip.jpg": ""},
    "fairface": {"fairface_label_val.csv": "file,age,gender,race,service_test\nval/1.jpg,0-2,Male,Black,True\n"},
    "adience": {"fold_3_data.txt": ADIENCE, "aligned/7@N00/landmark_aligned_face.2.a.jpg": ""},
    "fgnet": {"images/001A02.JPG": ""},
    "appa-real": {"gt_avg_train.csv": REAL},
    "agedb": {"10000_GlennClose_62_f.jpg": ""},
    "age-folders": {"train/001/a.jpg": ""},
    "named": {"anna_31_f.jpg": ""},
    "csv": {"labels.csv": "path,age\na.jpg,31\n"},
}


def make(name: str, folder: Path) -> None:
    """A sound data set of this source."""
    if name in ("imdb", "wiki"):
        cells = np.empty((1, 1), dtype=object)
        cells[0, 0] = "01/a.jpg"
        one = np.ones((1, 1))
        struct = {"dob": 700000 * one, "photo_taken": 1950 * one, "full_path": cells, "gender": one, "name": cells}
        struct |= {"face_score": one, "second_face_score": np.nan * one, "celeb_id": one}
        savemat(folder / f"{name}.mat", {name: struct})
        return
    for file, text in SMALLEST[name].items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)


@pytest.mark.parametrize("name", SOURCES)
def test_it_says_what_it_is(name: str) -> None:
    source = SOURCES[name]
    for text in (source.layout, source.labels, source.terms, *source.options.values()):
        assert text == text.strip()
        assert text.isprintable()
    assert source.layout
    assert source.labels
    assert source.terms
    assert source.home.startswith("https://") or (source.home == "" and source.terms == "those of your data")


@pytest.mark.parametrize("name", SOURCES)
def test_a_sound_set_is_read_twice_alike(name: str, tmp_path: Path) -> None:
    make(name, tmp_path)
    samples = list(read_source(SOURCES[name], tmp_path))
    assert [sample.fault for sample in samples] == [None]
    assert samples[0].age is not None or samples[0].age_low is not None
    assert samples == list(read_source(SOURCES[name], tmp_path))


@pytest.mark.parametrize("name", SOURCES)
def test_another_name_for_the_folder_gives_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    here = [sample.path for sample in read_source(SOURCES[name], Path())]
    assert [tmp_path / path for path in here] == [sample.path for sample in read_source(SOURCES[name], tmp_path)]


@pytest.mark.parametrize("name", SOURCES)
def test_an_empty_folder_is_refused_with_the_layout(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list(read_source(SOURCES[name], tmp_path))
    assert SOURCES[name].layout in str(caught.value)
    assert str(caught.value).endswith("found nothing")


@pytest.mark.parametrize("name", SOURCES)
def test_unrelated_files_are_refused_and_named(name: str, write: Write, tmp_path: Path) -> None:
    write("holiday.jpg", "notes.txt", "sub/beach\n.jpg")
    with pytest.raises(DataError, match=r"holiday\.jpg") as caught:
        list(read_source(SOURCES[name], tmp_path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", SOURCES)
def test_no_folder_and_no_such_option_are_refused(name: str, tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path / ("long" * 200)):
        with pytest.raises(DataError, match="no such folder; wanted: "):
            read_source(SOURCES[name], folder)
    with pytest.raises(ConfigError, match="no option 'colour' for this source; it has: "):
        read_source(SOURCES[name], tmp_path, {"colour": "red"})


def add_package(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    """An installed package with one module and an entry point to its ``SOURCE``."""
    info = folder / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[agelens.sources]\n{name} = theirs_{folder.name}:SOURCE\n")
    (folder / f"theirs_{folder.name}.py").write_text(module)
    monkeypatch.syspath_prepend(str(folder))


SOUND = """
from agelens.data.sources import Sample, Source
def read(folder, options):
    yield Sample(folder / "a.jpg", age=3.0)
SOURCE = Source(read=read, layout="a.jpg", labels="age", terms="ours", home="")
"""


def test_another_package_adds_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_package(tmp_path, monkeypatch, "theirs", SOUND)
    assert [sample.age for sample in read_source(find_source("theirs"), tmp_path)] == [3.0]
    assert list(known_sources()) == [*SOURCES, "theirs"]


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("raise ValueError('a\\nb')", "cannot be loaded: ValueError: a b"),
        ("def broken(", "cannot be loaded: SyntaxError"),
        ("import not_installed_at_all", "cannot be loaded: ModuleNotFoundError"),
        ("OTHER = 1", "cannot be loaded: AttributeError"),
        ("SOURCE = 'utkface'", "is a str, no agelens Source"),
    ],
)
def test_a_broken_package_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, problem: str
) -> None:
    add_package(tmp_path, monkeypatch, "theirs", module)
    for find in (lambda: find_source("theirs"), known_sources):
        with pytest.raises(DataError, match=problem) as caught:
            find()
        assert "theirs" in str(caught.value)
        assert str(caught.value).isprintable()
    assert find_source("utkface") is SOURCES["utkface"]


def test_a_built_in_name_cannot_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_package(tmp_path, monkeypatch, "utkface", SOUND)
    with pytest.raises(DataError, match=r"'utkface' of theirs_.*:SOURCE has a built-in one's name; rename it"):
        find_source("utkface")


def test_unknown_source_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="no source 'utkfaces'; there are: utkface, fairface, "):
        find_source("utkfaces")
