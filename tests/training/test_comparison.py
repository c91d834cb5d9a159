"""Several models on the same faces, and whether their difference is more than chance."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens import ages
from agelens.data.manifest import Manifest
from agelens.evaluate.comparison import compare
from agelens.evaluate.evaluation import Predictions

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
    found = compare({"good": (good, 0.9), "better": (better, 0.9)})
    assert found["good"]["against_first"] is None
    against = found["better"]["against_first"]
    errors = [np.abs(one.age - true) for one in (good, better)]
    assert against["years"] == pytest.approx(errors[1].mean() - errors[0].mean())
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
        low, high = compare({"a": (first, 0.9), "b": (other, 0.9)})["b"]["against_first"]["interval"]
        alone[name] = high - low
    assert alone["people"] > 2 * alone["alone"]


def test_answers_to_other_faces_are_refused() -> None:
    one, other = _said([30.0, 40], [30.0, 40]), _said([30.0], [30.0])
    for answers in ({}, {"a": (one, 0.9), "b": (other, 0.9)}):
        with pytest.raises(ValueError, match="the same faces"):
            compare(answers)


def test_bands_alone_have_no_difference_in_years() -> None:
    banded = _said([25.0], np.array([np.nan]), age_low=20.0, age_high=29.0)
    assert compare({"a": (banded, 0.9), "b": (banded, 0.9)})["b"]["against_first"] is None
    again = _said([45.0], np.array([np.nan]), age_low=20.0, age_high=29.0)
    found = compare({"a": (banded, 0.9), "b": (again, 0.9)})
    assert [found[name]["all"]["band_accuracy"] for name in "ab"] == [1, 0]
    assert found["b"]["against_first"] is None


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
    assert found[str(copy)]["against_first"] == {"years": 0, "interval": [0, 0]}
    assert found[str(copy)]["all"] == found[str(bundle_path)]["all"]
    assert again == json.loads(out.read_text())


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (["base", "lite", "open"], "no manifest among"),
        (["one", "two", "three"], "no bundle"),
        (["base", "lite", "{crops}", "--per-image"], "leave them out to compare"),
        (["base", "lite", "{crops}", "--report", "x"], "leave them out to compare"),
        (["base", "gone.onnx", "{crops}"], "gone.onnx"),
        (["base"], "no manifest among base"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(inputs: list[str], says: str, manifest: Manifest, run: Run) -> None:
    result = run("evaluate", *(one.format(crops=manifest.folder) for one in inputs))
    assert result.status == 2
    assert says in result.err
