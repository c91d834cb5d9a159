"""``agelens stats``: what a manifest holds, counted and drawn."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agelens.data.figure_style import COLOURS
from agelens.data.histogram import draw_histogram, spread_bands
from agelens.data.manifest import Manifest, write_manifest
from agelens.data.sample_grid import choose_samples, draw_grid
from agelens.data.stats import count_samples
from agelens.images import read_image

Run = Callable[..., Any]


@pytest.fixture
def mixed(manifest: Manifest) -> Manifest:
    """Thirty of the made-up people with their ages, eight with one of two bands, and two removed."""
    table = manifest.table.copy()
    table = table.astype(dict.fromkeys(("removed", "gender", "dataset", "subject", "path", "split"), object))
    by_age = table.sort_values("age").index
    table.loc[by_age[:2], "removed"] = ["no face", "low detector score"]
    table.loc[by_age[:2], ["path", "split", "offset", "length", "group"]] = None
    table.loc[by_age[2:7], ["age", "age_low", "age_high"]] = [np.nan, 4, 6]
    table.loc[by_age[7:10], ["age", "age_low", "age_high"]] = [np.nan, 8, 12]
    table.loc[by_age[:20], "dataset"] = "bands $x^$\n数据"
    table.loc[by_age[20:30], "subject"] = ["anna"] * 4 + ["bert"] * 6
    return replace(manifest, table=table)


def _written(manifest: Manifest, folder: Path) -> Path:
    shutil.copytree(manifest.folder, folder)
    write_manifest(manifest, folder / "manifest.parquet")
    return folder


def _pixels(path: Path, colour: str) -> int:
    """How many pixels of a picture have a colour, given as #rrggbb."""
    return int((read_image(path) == list(bytes.fromhex(colour[1:]))).all(axis=2).sum())


# counts


def test_counts_are_those_of_the_names(run: Run, manifest: Manifest) -> None:
    # as conftest draws them
    people = [(1 + 2 * number, "unknown" if number == 7 else ("male", "female")[number % 2]) for number in range(40)]
    decades: dict[str, Counter[str]] = {f"{first}-{first + 9}": Counter() for first in range(0, 80, 10)}
    for age, gender in people:
        decades[f"{age // 10 * 10}-{age // 10 * 10 + 9}"][gender] += 1
    counts = run("stats", manifest.folder, "--json").json
    splits = manifest.table["split"].value_counts().to_dict()
    assert counts == {
        "manifest": str(manifest.folder),
        "crop": {"size": 48, "margin": 0.1, "template": "face"},
        "embedder": None,
        "rows": 40,
        "kept": 40,
        "removed": {},
        "datasets": {"utkface": 40},
        "splits": splits,
        "folds": {},
        "genders": {"male": 20, "female": 19, "unknown": 1},
        "races": {"White": 8, "Black": 8, "Asian": 7, "Indian": 8, "Other": 8, "unknown": 1},
        "subjects": 0,
        "groups": 40,
        "exact_ages": 40,
        "age_bands": 0,
        "age": {"mean": 40.0, "median": 40.0, "min": 1.0, "max": 79.0},
        "ages": {str(age): 1 for age, _ in people},
        "decades": {
            name: {"all": 5, **{gender: counter[gender] for gender in ("male", "female", "unknown")}}
            for name, counter in decades.items()
        },
        "bands": {},
        "parts": {"utkface": {"train": splits["train"], "val": splits["val"], "test": 0, "kept": 40, "removed": 0}},
        "score": dict.fromkeys(("min", "1%", "5%", "25%", "50%", "75%", "95%", "max"), 0.9),
    }


def test_bands_are_counted_apart(mixed: Manifest) -> None:
    counts = count_samples(mixed)
    assert (counts["rows"], counts["kept"], counts["exact_ages"], counts["age_bands"]) == (40, 38, 30, 8)
    assert {name: group["all"] for name, group in counts["bands"].items()} == {"4-6": 5, "8-12": 3}
    assert sum(counts["ages"].values()) == sum(group["all"] for group in counts["decades"].values()) == 30
    assert counts["age"]["min"] == 21
    assert counts["removed"] == {"low detector score": 1, "no face": 1}
    assert counts["subjects"] == 2
    assert counts["parts"]["bands $x^$\n数据"] | {"train": 0, "val": 0} == {
        "train": 0,
        "val": 0,
        "test": 0,
        "kept": 18,
        "removed": 2,
    }
    for group in (*counts["decades"].values(), *counts["bands"].values()):
        assert group["all"] == group["male"] + group["female"] + group["unknown"]


def test_a_data_set_of_bands_has_no_mean_age(mixed: Manifest) -> None:
    table = mixed.table[mixed.table["age"].isna()].assign(score=np.nan)
    counts = count_samples(replace(mixed, table=table))
    assert (counts["age"], counts["ages"], counts["decades"], counts["score"]) == (None, {}, {}, None)
    assert list(counts["bands"]) == ["4-6", "8-12"]


def test_counts_can_be_read_as_json_whatever_is_missing(mixed: Manifest) -> None:
    empty = ["gender", "race", "subject", "fold", "score", "group", "split"]
    table = mixed.table.assign(**dict.fromkeys(empty))
    counts = json.loads(json.dumps(count_samples(replace(mixed, table=table)), allow_nan=False))
    assert counts["genders"] == counts["races"] == counts["splits"] == {"unknown": 38}


@given(st.lists(st.tuples(st.integers(0, 130), st.integers(0, 40)), max_size=30))
def test_bands_are_spread_over_their_years(bands: list[tuple[int, int]]) -> None:
    low = np.array([first for first, _ in bands], dtype=np.float32)
    high = np.minimum(low + [years for _, years in bands], 130)
    heights = spread_bands(low, high, 130)
    assert heights.shape == (131,)
    wanted = np.zeros(131)
    for first, last in zip(low.astype(int), high.astype(int), strict=True):
        wanted[first : last + 1] += 1 / (last - first + 1)
    np.testing.assert_allclose(heights, wanted, atol=1e-9)
    assert heights.sum() == pytest.approx(len(bands))


# what is printed


def test_the_table_has_a_bar_for_each_decade(run: Run, manifest: Manifest) -> None:
    result = run("stats", manifest.folder)
    assert (result.status, result.err) == (0, "")
    lines = [" ".join(line.split()) for line in result.out.splitlines() if line.strip()]
    assert lines[0] == "age faces share male female unknown"
    assert lines[2] == f"0-9 5 12.5% 3 2 0 {'█' * 30}"
    assert "age mean 40.0, median 40, 1 to 79" in lines
    assert "data set train val test kept removed" in lines


def test_the_longest_bar_is_the_commonest_decade(run: Run, mixed: Manifest, tmp_path: Path) -> None:
    result = run("stats", _written(mixed, tmp_path / "mixed"))
    bars = {line.split()[1]: line.count("█") for line in result.out.splitlines() if "█" in line and "band" in line}
    assert bars == {"4-6": 30, "8-12": 18}
    assert "removed" in result.out


# what is written


def test_out_gets_the_counts_and_two_pictures(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    result = run("stats", manifest.folder, "--out", tmp_path / "new" / "out")
    assert result.status == 0
    assert result.err == f"wrote stats.json, histogram.png, sample-grid.png into {tmp_path / 'new' / 'out'}\n"
    files = {path.name: path for path in (tmp_path / "new" / "out").iterdir()}
    assert set(files) == {"stats.json", "histogram.png", "sample-grid.png"}
    assert json.loads(files["stats.json"].read_text()) == run("stats", manifest.folder, "--json").json
    for name in ("histogram.png", "sample-grid.png"):
        with Image.open(files[name]) as image:
            assert image.format == "PNG"
            assert min(image.size) > 600
            assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_the_histogram_shows_every_gender_and_stands_still(manifest: Manifest, tmp_path: Path) -> None:
    draw_histogram(manifest, tmp_path / "a.png")
    draw_histogram(manifest, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    male, female, unknown = (_pixels(tmp_path / "a.png", colour) for colour in COLOURS[:3])
    assert male / female == pytest.approx(20 / 19, rel=0.1)
    assert male / unknown == pytest.approx(20, rel=0.3)


def test_without_genders_the_splits_are_shown(manifest: Manifest, tmp_path: Path) -> None:
    draw_histogram(replace(manifest, table=manifest.table.assign(gender=None)), tmp_path / "out.png")
    splits = manifest.table["split"].value_counts()
    train, val = (_pixels(tmp_path / "out.png", colour) for colour in COLOURS[:2])
    assert train / val == pytest.approx(splits["train"] / splits["val"], rel=0.1)


def test_bands_have_a_panel_of_their_own(mixed: Manifest, tmp_path: Path) -> None:
    exact = replace(mixed, table=mixed.table[mixed.table["age"].notna()])
    bands = replace(mixed, table=mixed.table[mixed.table["age"].isna()])
    heights = []
    for part in (mixed, exact, bands):
        draw_histogram(part, tmp_path / "out.png")
        heights.append(read_image(tmp_path / "out.png").shape[0])
    both, one, other = heights
    assert one == other < both


def test_pictures_do_not_depend_on_a_users_settings(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    draw_histogram(manifest, tmp_path / "plain.png")
    before = dict(mpl.rcParams)
    for name, value in (("axes.facecolor", "black"), ("font.size", 30), ("savefig.dpi", 20)):
        monkeypatch.setitem(mpl.rcParams, name, value)
    draw_histogram(manifest, tmp_path / "again.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    monkeypatch.undo()
    assert dict(mpl.rcParams) == before


def test_the_grid_has_up_to_ten_of_each_decade_the_youngest_first(manifest: Manifest, mixed: Manifest) -> None:
    chosen = choose_samples(manifest.table)
    assert list(chosen) == [f"{first}-{first + 9}" for first in range(0, 80, 10)]
    assert chosen["0-9"]["age"].tolist() == [1, 3, 5, 7, 9]
    many = pd.concat([manifest.table.assign(age=20.0 + number % 10) for number in range(5)], ignore_index=True)
    (some,) = choose_samples(many).values()
    assert len(some) == 10
    assert some["age"].is_monotonic_increasing
    assert some.index.tolist() == choose_samples(many)["20-29"].index.tolist()
    bands = choose_samples(mixed.table[mixed.table["age"].isna()])
    assert {name: len(rows) for name, rows in bands.items()} == {"0-9": 5, "10-19": 3}


def test_the_grid_shows_the_crops_themselves(manifest: Manifest, tmp_path: Path) -> None:
    draw_grid(manifest, tmp_path / "grid.png")
    grid = read_image(tmp_path / "grid.png")
    chosen = choose_samples(manifest.table)
    for row in (chosen["0-9"].iloc[0], chosen["70-79"].iloc[-1]):
        tile = cv2.resize(manifest.read_crop(row), (128, 128), interpolation=cv2.INTER_CUBIC)
        distance = cv2.matchTemplate(grid, tile, cv2.TM_SQDIFF).min() / tile.size
        assert distance < 1e-2


def test_names_in_any_script_can_be_drawn(run: Run, mixed: Manifest, tmp_path: Path) -> None:
    result = run("stats", _written(mixed, tmp_path / "mixed"), "--out", tmp_path / "out")
    assert result.status == 0
    assert len(result.err.splitlines()) == 1


# what is refused


def test_no_manifest_is_said_in_one_line(run: Run, tmp_path: Path) -> None:
    complaint = run("stats", tmp_path / "nothing", "--out", tmp_path / "out").complaint
    assert "no such manifest" in complaint
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_an_output_error(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("stats", manifest.folder, "--out", tmp_path / "file")
    assert "no folder that can be written in" in result.complaint
    assert result.out == ""


def test_a_manifest_is_not_replaced_by_its_counts(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    folder = _written(manifest, tmp_path / "own")
    (folder / "manifest.parquet").rename(folder / "stats.json")
    before = (folder / "stats.json").read_bytes()
    assert "is one of the inputs" in run("stats", folder / "stats.json", "--out", folder).complaint
    assert (folder / "stats.json").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"stats.json", "crops.pack"}


def test_a_damaged_crop_is_named_before_anything_is_written(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    folder = _written(manifest, tmp_path / "own")
    (folder / "crops.pack").write_bytes(bytes((folder / "crops.pack").stat().st_size))
    assert "a crop is damaged" in run("stats", folder, "--out", tmp_path / "out").complaint
    assert not list((tmp_path / "out").iterdir())
