"""``agelens evaluate``: tables, JSON, every face's answer, and a folder of them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.bundle import Bundle
from agelens.data.manifest import Manifest
from agelens.evaluate.answers import answers_of
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.figures import figures
from agelens.evaluate.report import per_image

Run = Callable[..., Any]


def _table(out: str) -> list[list[str]]:
    rows = [line.split() for line in out.splitlines() if line.strip(" ─") and not line.startswith(("by ", "* "))]
    return [[row[0].removesuffix("*"), *row[1:]] for row in rows]


def test_the_table_has_a_line_for_all_and_one_for_each_decade(bundle_path: Path, manifest: Manifest, run: Run) -> None:
    head, every, *groups = _table(run("evaluate", bundle_path, manifest.folder, "--split", "all").out)
    assert head == ["group", "faces", "MAE", "95%", "RMSE", "bias", "CS@5", "gender", "coverage", "width", "CRPS"]
    assert every[:2] == ["all", "40"]
    decades, genders, races = groups[:8], groups[8:10], groups[10:]
    assert [line[0] for line in decades] == ["0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79"]
    assert [line[0] for line in genders] == ["female", "male"]
    assert [line[0] for line in races] == ["Asian", "Black", "Indian", "Other", "White"]
    assert sum(int(line[1]) for line in decades) == 40
    assert sum(int(line[1]) for line in genders) == sum(int(line[1]) for line in races) == 39  # one has no labels
    for line in (every, *groups):
        low, high = map(float, line[3].split("–"))
        assert low <= float(line[2]) <= high


def test_groups_are_measured_by_themselves(bundle_path: Path, manifest: Manifest) -> None:
    found = predict_split(Bundle.load(bundle_path), manifest, "all")
    measured = figures(answers_of(found, 0.8), 0.9)
    assert set(measured["groups"]) == {"gender", "race"}  # one data set, one score: nothing to compare
    for kind, named in measured["groups"].items():
        for name, group in named.items():
            chosen = (found.rows[kind] == name).to_numpy()
            assert group["faces"] == chosen.sum()
            assert group["mae"] == pytest.approx(np.abs(found.age - found.true_age)[chosen].mean())
            right = found.gender[chosen] == found.rows["gender"][chosen]
            assert group["gender_accuracy"] == pytest.approx(right.mean())


def test_bands_are_measured_by_the_share_within_them(bundle_path: Path, bands: Manifest, run: Run) -> None:
    head, every, *_ = _table(run("evaluate", bundle_path, bands.folder).out)
    assert head == ["group", "faces", "in", "band", "95%", "likeliest", "band", "gender", "width"]
    predictions = predict_split(Bundle.load(bundle_path), bands, "val")
    years, rows = np.rint(predictions.age), predictions.rows
    inside = ((rows["age_low"] <= years) & (years <= rows["age_high"])).mean()
    assert every[2] == f"{inside:.1%}"
    measured = run("evaluate", bundle_path, bands.folder, "--json").json
    assert measured["all"]["band_accuracy"] == pytest.approx(inside)
    assert [measured["all"][name] for name in ("mae", "rmse", "bias", "cs5", "coverage")] == [None] * 5


def test_exact_ages_and_bands_count_each_in_their_own_way(
    bundle_path: Path, edited: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    def half(table: pd.DataFrame) -> pd.DataFrame:
        bands = np.arange(len(table)) % 2 == 0
        low = (table["age"] // 10 * 10).where(bands)
        return table.assign(age=table["age"].mask(bands), age_low=low, age_high=low + 9)

    measured = run("evaluate", bundle_path, edited(tmp_path / "crops", half), "--split", "all", "--json").json["all"]
    assert measured["faces"] == 40
    assert measured["mae"] > 0
    assert 0 <= measured["band_accuracy"] <= 1


def test_a_genderless_bundle_has_no_column_of_gender(genderless_bundle: Path, manifest: Manifest, run: Run) -> None:
    head, *_ = _table(run("evaluate", genderless_bundle, manifest.folder).out)
    assert head == ["group", "faces", "MAE", "95%", "RMSE", "bias", "CS@5", "coverage", "width", "CRPS"]
    lines = run("evaluate", genderless_bundle, manifest.folder, "--per-image", "--json").out.splitlines()
    assert {json.loads(line)["predicted_gender"] for line in lines} == {None}


def test_each_face_is_a_line_of_the_table(bundle_path: Path, manifest: Manifest, run: Run) -> None:
    head, *lines = _table(run("evaluate", bundle_path, manifest.folder, "--per-image").out)
    assert head == ["photo", "age", "predicted", "error", "90%", "interval", "gender", "predicted", "gender"]
    rows = manifest.split("val")
    assert [line[0] for line in lines] == rows["source_path"].tolist()
    assert [line[1] for line in lines] == [f"{age:.0f}" for age in rows["age"]]
    for line in lines:
        assert float(line[2]) - float(line[1]) == pytest.approx(float(line[3]), abs=0.11)


def test_each_face_is_a_json_object(bundle_path: Path, manifest: Manifest, run: Run) -> None:
    result = run("evaluate", bundle_path, manifest.folder, "--split", "all", "--per-image", "--json")
    faces = [json.loads(line) for line in result.out.splitlines()]
    rows = manifest.split("all")
    assert [face["path"] for face in faces] == rows["source_path"].tolist()
    assert [face["gender"] for face in faces] == [None if pd.isna(one) else one for one in rows["gender"]]
    for face in faces:
        assert face["error"] == pytest.approx(face["predicted_age"] - face["age"], abs=0.011)
        assert face["low"] <= face["high"]
        assert (face["age_low"], face["age_high"]) == (None, None)
    within = np.mean([face["low"] <= face["age"] <= face["high"] for face in faces])
    measured = run("evaluate", bundle_path, manifest.folder, "--split", "all", "--json").json["all"]
    assert measured["coverage"] == pytest.approx(within, abs=0.06)  # ends are rounded
    assert measured["mae"] == pytest.approx(np.abs([face["error"] for face in faces]).mean(), abs=0.01)


def test_the_error_of_a_band_is_the_distance_from_it(bundle_path: Path, bands: Manifest) -> None:
    faces = per_image(answers_of(predict_split(Bundle.load(bundle_path), bands, "all"), 0.9))
    age, low, high = faces["predicted_age"], faces["age_low"], faces["age_high"]
    assert faces["age"].isna().all()
    assert (faces["error"][(low <= age) & (age <= high)] == 0).all()
    above, below = age > high, age < low
    assert (above | below).any()
    assert faces["error"][above].to_numpy() == pytest.approx((age - high)[above].to_numpy(), abs=0.011)
    assert faces["error"][below].to_numpy() == pytest.approx((age - low)[below].to_numpy(), abs=0.011)


@pytest.mark.parametrize("labels", ["manifest", "bands"])
def test_a_report_holds_figures_answers_and_pictures(
    labels: str, bundle_path: Path, tmp_path: Path, run: Run, request: pytest.FixtureRequest
) -> None:
    crops: Manifest = request.getfixturevalue(labels)
    folder, bundle = tmp_path / "new/report", Bundle.load(bundle_path)
    result = run("evaluate", bundle_path, crops.folder, "--split", "all", "--report", folder)
    assert result.status == 0
    assert result.err.endswith(f"wrote {folder}\n")
    names = {"report.html", "figures.json", "figures.csv", "predictions.csv", "best.png", "worst.png"}
    assert {path.name for path in folder.iterdir()} == names
    predictions = predict_split(bundle, crops, "all")
    mass = bundle.card.interval_mass(0.9)
    written = json.loads((folder / "figures.json").read_text())
    held = written.pop("intervals")
    assert written == figures(answers_of(predictions, mass), 0.9, crossings=True)
    whole = written["all"]
    assert held == {} if whole["mae"] is None else held["0.9"]["coverage"] == pytest.approx(whole["coverage"])
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == (2 if whole["mae"] is None else 6)
    assert "http" not in page  # it needs nothing else
    with (folder / "predictions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["path"] for line in lines] == predictions.rows["source_path"].tolist()
    assert [float(line["predicted_age"]) for line in lines] == pytest.approx(predictions.age, abs=0.006)
    pictures = []
    for name in ("best", "worst"):
        with Image.open(folder / f"{name}.png") as image:
            assert image.format == "PNG"
            assert image.width > 8 * 128  # eight crops in a line
            pictures.append((image.size, image.tobytes()))
    assert pictures[0][0] == pictures[1][0]
    assert pictures[0][1] != pictures[1][1]


def test_a_split_that_is_not_there_is_named(bundle_path: Path, manifest: Manifest, run: Run) -> None:
    complaint = run("evaluate", bundle_path, manifest.folder, "--split", "test").complaint
    assert "no samples in split 'test'; the manifest has: train, val, all" in complaint


def test_a_bundle_without_the_level_is_refused_before_the_work(make_bundle: Callable[..., Path], run: Run) -> None:
    bundle = make_bundle(interval_masses={"0.5": 0.4})
    complaint = run("evaluate", bundle, "nowhere").complaint  # the manifest has not been looked for
    assert complaint == f"{bundle}: no interval at level 0.9; this bundle has: 0.5; export it again"


@pytest.mark.parametrize("option", ["--out", "--report"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    option: str, bundle_path: Path, manifest: Manifest, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file/below"
    assert str(tmp_path / "file") in run("evaluate", bundle_path, manifest.folder, option, target).complaint


@pytest.mark.parametrize("target", ["manifest.parquet", "crops.pack", "model.onnx"])
def test_figures_never_take_an_inputs_place(
    target: str, bundle_path: Path, edited: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    folder = edited(tmp_path / "crops")
    bundle = Path(shutil.copy(bundle_path, folder / "model.onnx"))
    before = (folder / target).read_bytes()
    assert (
        "is one of the inputs; choose another name"
        in run("evaluate", bundle, folder, "--out", folder / target).complaint
    )
    assert (folder / target).read_bytes() == before


def test_a_report_names_a_data_set_that_is_given_from_within(
    bundle_path: Path, manifest: Manifest, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(manifest.folder)
    assert run("evaluate", bundle_path, "manifest.parquet", "--report", tmp_path / "pages").status == 0
    assert f"tiny on {manifest.folder.name}</h1>" in (tmp_path / "pages" / "report.html").read_text()


def test_the_order_of_model_and_data_set_does_not_matter(bundle_path: Path, manifest: Manifest, run: Run) -> None:
    forth, back = (
        run("evaluate", *pair, "--json").json
        for pair in ((bundle_path, manifest.folder), (manifest.folder, bundle_path))
    )
    assert forth == back


def test_a_report_that_cannot_be_made_leaves_no_folder(
    bundle_path: Path, manifest: Manifest, tmp_path: Path, run: Run
) -> None:
    assert run("evaluate", bundle_path, manifest.folder, "--split", "none", "--report", tmp_path / "new").status == 2
    assert not (tmp_path / "new").exists()


def test_the_table_and_the_reports_table_are_alike(
    bundle_path: Path, manifest: Manifest, tmp_path: Path, run: Run
) -> None:
    report, table = tmp_path / "report", tmp_path / "figures.csv"
    assert run("evaluate", bundle_path, manifest.folder, "--report", report, "--out", table).status == 0
    assert table.read_text() == (report / "figures.csv").read_text()
