"""Several models on the same faces, and whether their difference is more than chance."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens import ages
from agelens.data.manifest import Manifest
from agelens.errors import DataError
from agelens.evaluate.answers import answers_of
from agelens.evaluate.comparison import compare
from agelens.evaluate.comparison_page import draw_comparison
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.figures import figures

Run = Callable[..., Any]


def _said(guess: Any, true: Any, **columns: Any) -> Predictions:
    known = {"age": true, "age_low": np.nan, "age_high": np.nan, "gender": None, "race": None, "dataset": "one"}
    known |= {"subject": None, "score": np.nan, "apparent_age": np.nan, "apparent_std": np.nan, **columns}
    return Predictions(pd.DataFrame(known), ages.soft_labels(guess, 3.0), np.zeros((len(guess), 0)), ())


def test_a_difference_on_the_same_faces_is_seen_where_the_models_own_intervals_overlap() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(20, 70, 300)
    noise = rng.normal(0, 8, 300)
    good, better = _said(true + noise, true), _said(true + 0.9 * noise, true)
    found = compare({"good": answers_of(good, 0.9), "better": answers_of(better, 0.9)}, 0.9)
    assert found["good"]["against_first"] is None
    against = found["better"]["against_first"]["mae"]
    errors = [np.abs(one.age - true) for one in (good, better)]
    assert against["difference"] == pytest.approx(errors[1].mean() - errors[0].mean())
    assert against["interval"][1] < 0
    ends = [found[name]["all"]["uncertainty"]["mae"] for name in ("good", "better")]
    assert ends[1][1] > ends[0][0]


def test_people_stay_together() -> None:
    rng = np.random.default_rng(1)
    true = np.full(200, 40.0)
    shift = np.repeat(rng.normal(0, 4, 20), 10)
    alone = {}
    for name, subject in (("alone", None), ("people", np.repeat(np.arange(20), 10).astype(str))):
        first, other = _said(true + 10, true, subject=subject), _said(true + 10 + shift, true, subject=subject)
        found = compare({"a": answers_of(first, 0.9), "b": answers_of(other, 0.9)}, 0.9)
        low, high = found["b"]["against_first"]["mae"]["interval"]
        alone[name] = high - low
    assert alone["people"] > 2 * alone["alone"]


def test_answers_to_other_faces_are_refused() -> None:
    one, other = _said([30.0, 40], [30.0, 40]), _said([30.0], [30.0])
    for answers in ({}, {"a": answers_of(one, 0.9), "b": answers_of(other, 0.9)}):
        with pytest.raises(ValueError, match="the same faces"):
            compare(answers, 0.9)


def test_bands_alone_are_compared_by_the_share_within_them() -> None:
    unknown = np.full(4, np.nan)
    first = _said([25.0, 25, 25, 45], unknown, age_low=20.0, age_high=29.0)
    other = _said([25.0, 45, 45, 45], unknown, age_low=20.0, age_high=29.0)
    found = compare({"a": answers_of(first, 0.9), "b": answers_of(other, 0.9)}, 0.9)
    assert [found[name]["all"]["band_accuracy"] for name in "ab"] == [0.75, 0.25]
    assert list(found["b"]["against_first"]) == ["band_accuracy"]
    against = found["b"]["against_first"]["band_accuracy"]
    assert against["difference"] == -0.5
    assert against["interval"] == pytest.approx([-1, 0])
    page = draw_comparison({"crops": found}, {})
    assert "against a, points" in page
    assert "-50.00" in page
    assert "Share within the band beside" in page


def test_one_persons_faces_have_no_interval() -> None:
    true = np.full(40, 30.0)
    models = {name: answers_of(_said(true + off, true, subject="one"), 0.9) for name, off in (("a", 1), ("b", 2))}
    found = compare(models, 0.9)
    assert found["b"]["against_first"]["mae"] == {"difference": pytest.approx(1, abs=0.01), "interval": None}
    assert found["b"]["all"]["uncertainty"] == {}
    assert found["b"]["decades"]["30-39"]["few"]
    assert 'class="best">2' not in draw_comparison({"crops": found}, {})


def test_the_command_compares_bundles_on_manifests(
    bundle_path: Path, genderless_bundle: Path, manifest: Manifest, bands: Manifest, tmp_path: Path, run: Run
) -> None:
    copy, out = tmp_path / "copy.onnx", tmp_path / "all.json"
    shutil.copy(bundle_path, copy)
    result = run("evaluate", bundle_path, copy, genderless_bundle, manifest.folder, bands.folder, "--out", out)
    assert result.status == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert [line[0] for line in lines if line and line[0].endswith(":")] == [f"{manifest.folder}:", f"{bands.folder}:"]
    again = run("evaluate", bundle_path, copy, genderless_bundle, manifest.folder, bands.folder, "--json").json
    found = again[str(manifest.folder)]
    assert list(found) == [str(bundle_path), str(copy), str(genderless_bundle)]
    alike = {"difference": 0, "interval": [0, 0]}
    assert found[str(copy)]["against_first"] == {"mae": alike, "gender_accuracy": alike}
    assert found[str(copy)]["all"] == found[str(bundle_path)]["all"]
    assert again == json.loads(out.read_text())


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (["base", "lite", "open"], "no manifest among"),
        (["one", "two", "three"], "no model"),
        (["base", "lite", "{crops}", "--per-image"], "leave it out to compare"),
        (["base", "gone.onnx", "{crops}"], "gone.onnx"),
        (["base"], "no manifest among base"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(inputs: list[str], says: str, manifest: Manifest, run: Run) -> None:
    result = run("evaluate", *(one.format(crops=manifest.folder) for one in inputs))
    assert result.status == 2
    assert says in result.err


def test_a_comparison_is_written_as_a_page_that_leads_to_each_models_own(
    bundle_path: Path, genderless_bundle: Path, manifest: Manifest, bands: Manifest, tmp_path: Path, run: Run
) -> None:
    report, table = tmp_path / "report", tmp_path / "figures.csv"
    inputs = (bundle_path, genderless_bundle, manifest.folder, bands.folder)
    assert run("evaluate", *inputs, "--report", report, "--out", table).status == 0
    page = (report / "report.html").read_text()
    assert "2 models on 2 data sets" in page
    assert "http" not in page  # it needs nothing else
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 4
    for link in links:
        assert (report / link).is_file()
    measured = json.loads((report / "figures.json").read_text())
    assert measured == run("evaluate", *inputs, "--json").json
    rows = pd.read_csv(table)
    assert table.read_text() == (report / "figures.csv").read_text()
    assert rows.duplicated(["manifest", "model", "kind", "group"]).sum() == 0
    for row in rows[rows["kind"] == "decade"].to_dict("records"):
        one = measured[row["manifest"]][row["model"]]["decades"][row["group"]]
        assert row["faces"] == one["faces"]
        assert row["mae"] == pytest.approx(one["mae"], nan_ok=True) if one["mae"] is not None else True
        if "mae" in one["uncertainty"]:
            assert [row["mae_low"], row["mae_high"]] == pytest.approx(one["uncertainty"]["mae"])


def test_the_best_is_marked_and_names_are_text() -> None:
    true = np.linspace(20, 70, 60)
    models = {"<b>near</b>": _said(true + 1, true), "far": _said(true + 5, true)}
    page = draw_comparison({"a&b": compare({name: answers_of(one, 0.9) for name, one in models.items()}, 0.9)}, {})
    assert "<b>near" not in page
    assert "&lt;b&gt;near" in page
    assert "a&amp;b" in page
    assert re.findall(r'class="best">([\d.]+)', page)[0] == "1.00"
    alike = compare({name: answers_of(models["far"], 0.9) for name in ("one", "two")}, 0.9)
    assert 'class="best"' not in draw_comparison({"crops": alike}, {})


def test_groups_tell_all_figures_that_can_be_told() -> None:
    true = np.linspace(10, 80, 400)
    found = figures(answers_of(_said(true + 2, true), 0.9), 0.9)
    for group in found["decades"].values():
        assert group["crps"] > 0
        assert group["at_least"]["18"]["brier"] >= 0
    assert found["gaps"]["decade"]["mae"]["difference"] >= 0


def test_faces_without_an_answer_are_counted_and_left_out() -> None:
    true = np.linspace(20, 70, 50)
    said = answers_of(_said(true + 2, true), 0.9)
    said = replace(said, age=np.where(true < 30, np.nan, said.age))
    found = figures(said, 0.9)
    assert found["unanswered"] == (true < 30).sum()
    assert found["all"]["faces"] == (true >= 30).sum()
    assert all(np.isfinite(one["mae"]) for one in found["decades"].values())
    nothing = replace(said, age=np.full(50, np.nan))
    with pytest.raises(ValueError, match="none of 50"):
        figures(nothing, 0.9)
    with pytest.raises(DataError, match="none of 50 faces has an answer of each of: a, b"):
        compare({"a": said, "b": nothing}, 0.9)


def test_figures_do_not_go_into_the_folder_of_the_report(bundle_path: Path, manifest: Manifest, run: Run) -> None:
    result = run("evaluate", bundle_path, manifest.folder, "--report", "pages", "--out", "pages/report.html")
    assert result.status == 2
    assert "lies in the folder of --report" in result.err
