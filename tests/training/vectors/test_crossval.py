"""Folds and seeds: what is held back, what is told, and what a killed cross-validation leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agelens.embed.crossval
from agelens.crossval import PARTS, CrossvalPlan, Run, RunBook, summary
from agelens.data.columns import COLUMNS
from agelens.data.folds import fold_parts, folds_of, hold_back
from agelens.data.manifest import Manifest
from agelens.embed.config import MlpConfig
from agelens.embed.crossval import crossvalidate
from agelens.errors import DataError, OutputError
from agelens.train.config import TrainConfig, write_config
from agelens.train.reading import changed

Call = Callable[..., Any]
MakeStore = Callable[..., Manifest]


def _rows(**columns: Any) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame({**{name: [None] * count for name in COLUMNS.names}, "age": 30.0, **columns})


def test_a_fold_is_the_test_and_people_stay_on_one_side() -> None:
    rng = np.random.default_rng(0)
    rows = _rows(fold=rng.integers(0, 3, 300) * 10, group=rng.integers(0, 60, 300))
    folds = folds_of(rows)
    assert sorted(set(folds)) == [0, 10, 20]
    parts = fold_parts(rows, folds, 10, val_share=0.2, seed=0)
    assert (rows["fold"].iloc[parts.test] == 10).all()
    assert sorted(np.concatenate(parts)) == list(range(300))
    groups = [set(rows["group"].iloc[places]) for places in (parts.train, parts.val)]
    assert not groups[0] & groups[1]
    assert len(parts.val) == pytest.approx(0.2 * (len(parts.train) + len(parts.val)), abs=8)
    other = fold_parts(rows, folds, 10, val_share=0.2, seed=1)
    assert set(other.val) != set(parts.val)
    assert set(other.test) == set(parts.test)


def test_new_folds_keep_people_together_and_missing_ones_are_told() -> None:
    rows = _rows(fold=[None] * 40, group=np.repeat(np.arange(20), 2))
    folds = folds_of(rows, 4)
    assert [len(set(folds[rows["group"] == one])) for one in range(20)] == [1] * 20
    with pytest.raises(DataError, match="no folds; give how many"):
        folds_of(rows)
    with pytest.raises(DataError, match="3 of 40 faces in no fold"):
        folds_of(rows.assign(fold=[None] * 3 + [0, 1] * 18 + [1]))
    with pytest.raises(DataError, match="cannot be split into 50 parts"):
        folds_of(rows, 50)


def test_a_manifest_with_a_fold_held_back_has_it_as_its_test(vectors_store: Manifest) -> None:
    found = hold_back(vectors_store, 1, None, 0.1, 0)
    assert (found.split("test")["fold"] == 1).all()
    assert len(found.split("test")) == (vectors_store.table["fold"] == 1).sum()
    assert not set(found.split("val")["source_path"]) & set(found.split("train")["source_path"])
    with pytest.raises(DataError, match="no fold 3; there are 0, 1, 2"):
        hold_back(vectors_store, 3, None, 0.1, 0)


def test_mean_and_spread_are_those_of_the_runs() -> None:
    values = [0.5, 0.7, float("nan"), 0.6]
    runs = [Run("from scratch", 0, seed, {part: {"mae": one} for part in PARTS}) for seed, one in enumerate(values)]
    told = summary(runs)["from scratch"]["test"]["mae"]
    assert told == {"mean": pytest.approx(0.6), "std": pytest.approx(0.1), "runs": 3}


def test_runs_in_one_stack_are_as_those_one_by_one(vectors_config: MlpConfig, tmp_path: Path) -> None:
    plan = CrossvalPlan(seeds=2)
    together = crossvalidate(vectors_config, plan, tmp_path / "together")
    alone = crossvalidate(vectors_config, plan._replace(together=1), tmp_path / "alone")
    assert len(together["runs"]) == 6
    for one, other in zip(together["runs"], alone["runs"], strict=True):
        assert (one["fold"], one["seed"]) == (other["fold"], other["seed"])
        for part in PARTS:
            assert one["figures"][part] == pytest.approx(other["figures"][part], rel=1e-3, abs=1e-6)
    rows = pd.read_csv(tmp_path / "together" / "crossval.csv")
    assert len(rows) == 6 * len(PARTS)
    test = rows[rows["part"] == "test"]
    told = together["summary"]["from scratch"]["test"]["mae"]
    assert (told["mean"], told["std"]) == pytest.approx((test["mae"].mean(), test["mae"].std()))


def test_a_killed_one_goes_on_with_the_runs_that_are_missing(
    vectors_config: MlpConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = crossvalidate(vectors_config, CrossvalPlan(seeds=2, together=2), tmp_path / "whole")
    fit, calls = agelens.embed.crossval.fit, []

    def failing(*given: Any, **named: Any) -> Any:
        calls.append(len(given[1]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*given, **named)

    monkeypatch.setattr(agelens.embed.crossval, "fit", failing)
    with pytest.raises(KeyboardInterrupt):
        crossvalidate(vectors_config, CrossvalPlan(seeds=2, together=2), tmp_path / "cut")
    with (tmp_path / "cut" / "runs.jsonl").open("ab") as file:
        file.write(b'{"variant": "from scr')  # torn
    again = crossvalidate(vectors_config, CrossvalPlan(seeds=2, together=2), tmp_path / "cut")
    assert calls == [2, 2, 2, 2]
    assert again == whole


def test_other_faces_to_pre_train_on_are_seen(vectors_config: MlpConfig, make_store: MakeStore, tmp_path: Path) -> None:
    first = make_store(tmp_path / "first", seed=4)
    pretrain = {"manifest": str(first.folder), "epochs": 1}
    config = changed(vectors_config, pretrain=pretrain, optim__epochs=1)
    crossvalidate(config, CrossvalPlan(seeds=1), tmp_path / "out")
    shutil.rmtree(first.folder)
    make_store(first.folder, seed=5)
    with pytest.raises(OutputError, match="pretrain_faces"):
        crossvalidate(config, CrossvalPlan(seeds=1), tmp_path / "out")


def test_another_configuration_or_other_faces_are_refused(
    vectors_config: MlpConfig, make_store: MakeStore, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store")
    config = changed(vectors_config, data__manifest=str(store.folder), optim__epochs=1)
    crossvalidate(config, CrossvalPlan(seeds=1), tmp_path / "out")
    for other, plan, said in (
        (changed(config, optim__lr=0.5), CrossvalPlan(seeds=1), r"optim\.lr 0\.01, now 0\.5"),
        (config, CrossvalPlan(seeds=2), "seeds 1, now 2"),
    ):
        with pytest.raises(OutputError, match=f"holds a cross-validation with other settings .{said}"):
            crossvalidate(other, plan, tmp_path / "out")


def test_two_processes_do_not_share_a_folder(vectors_config: MlpConfig, tmp_path: Path) -> None:
    with closing(RunBook(tmp_path, vectors_config, {})), pytest.raises(OutputError, match="another process is at work"):
        RunBook(tmp_path, vectors_config, {})
    RunBook(tmp_path, vectors_config, {}).close()


def test_rows_that_are_no_runs_are_told(vectors_config: MlpConfig, tmp_path: Path) -> None:
    RunBook(tmp_path, vectors_config, {}).close()
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"variant": "from scratch"}\n')
    with pytest.raises(OutputError, match="no rows of a cross-validation"):
        RunBook(tmp_path, vectors_config, {})


def test_pretraining_goes_on_in_the_networks_that_follow(
    vectors_config: MlpConfig, make_store: MakeStore, elsewhere: Call, tmp_path: Path
) -> None:
    few = make_store(tmp_path / "few", lambda table: table, count=40, seed=1)
    many = make_store(tmp_path / "many", count=1000, seed=2)
    first = {"manifest": str(many.folder), "head": {"kind": "histogram", "loss": "cross-entropy"}, "epochs": 8}
    config = changed(vectors_config, data__manifest=str(few.folder), pretrain=first, gender=None, keep="mae")
    told: list[str] = []
    found = crossvalidate(
        config, CrossvalPlan(seeds=1), tmp_path / "out", progress=lambda what, *at: told.append(what)
    )["summary"]
    assert found["pre-trained"]["test"]["mae"]["mean"] < found["from scratch"]["test"]["mae"]["mean"] - 1
    assert list(dict.fromkeys(told)) == [
        "from scratch, 3 of 3 networks",
        "pre-training",
        "pre-trained, 3 of 3 networks",
    ]
    told.clear()
    again = crossvalidate(
        config, CrossvalPlan(seeds=1), tmp_path / "out", progress=lambda what, *at: told.append(what)
    )["summary"]
    assert again == found
    assert not told  # all was there
    other = make_store(tmp_path / "other", spec=elsewhere())
    with pytest.raises(DataError, match="vectors of embedder 'another'"):
        crossvalidate(
            changed(config, pretrain=first | {"manifest": str(other.folder)}), CrossvalPlan(seeds=1), tmp_path / "no"
        )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.assign(gender="male"), "have 1 of two genders; set gender: null"),
        (
            lambda table: table.assign(age=table["age"].where(table["fold"] == 0, 30.0)),
            "fold 0: all training faces are",
        ),
        (lambda table: table.assign(fold=None), "no folds; give how many"),
        (lambda table: table.assign(fold=0), "one fold only"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(
    change: Any, says: str, vectors_config: MlpConfig, make_store: MakeStore, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", change)
    with pytest.raises(DataError, match=says):
        crossvalidate(changed(vectors_config, data__manifest=str(store.folder)), CrossvalPlan(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_range_in_a_fold_is_told(vectors_config: MlpConfig, make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", lambda table: table.assign(age=25.0 + np.arange(len(table)) % 7))
    head = {"kind": "ranges", "bands": [[0, 19], [20, 39], [40, 100]]}
    config = changed(vectors_config, data__manifest=str(store.folder), head=head)
    with pytest.raises(DataError, match=r"all training faces are of one range of head\.bands"):
        crossvalidate(config, CrossvalPlan(), tmp_path / "out")


def test_seeds_are_not_the_configurations(tmp_path: Path, vectors_config: MlpConfig, run: Call) -> None:
    write_config(vectors_config, tmp_path / "made-up.yaml")
    assert "give how many by --seeds" in run("crossval", tmp_path / "made-up.yaml", "--seed", 3).complaint
    assert "not for vectors" in run("train", tmp_path / "made-up.yaml", "--deterministic").complaint


def test_vectors_that_are_not_finite_are_told(vectors_config: MlpConfig, make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", broken=True)
    with pytest.raises(DataError, match=r"1 vectors are not finite, as that of '0-3\.jpg'"):
        crossvalidate(changed(vectors_config, data__manifest=str(store.folder)), CrossvalPlan(), tmp_path / "out")


def test_the_command_tells_mean_and_spread(vectors_config: MlpConfig, tmp_path: Path, run: Call) -> None:
    write_config(vectors_config, tmp_path / "made-up.yaml")
    result = run("crossval", tmp_path / "made-up.yaml", "--seeds", 2, "--out", tmp_path / "out", "--optim.epochs", 1)
    assert result.status == 0
    assert "from scratch, test" in result.out
    assert "of 6 runs" in result.out
    told = json.loads((tmp_path / "out" / "crossval.json").read_text())
    again = run(
        "crossval", tmp_path / "made-up.yaml", "--seeds", 2, "--out", tmp_path / "out", "--optim.epochs", 1, "--json"
    )
    assert again.json == told
    assert told["config"]["optim"]["epochs"] == 1
    mean = told["summary"]["from scratch"]["test"]["mae"]
    assert f"{mean['mean']:.2f} ± {mean['std']:.2f}" in result.out


def test_networks_on_crops_are_cross_validated_by_the_same_command(
    tiny_config: TrainConfig, tmp_path: Path, run: Call, no_curves: None
) -> None:
    write_config(changed(tiny_config, optim__epochs=1), tmp_path / "tiny.yaml")
    out = tmp_path / "out"
    result = run("crossval", tmp_path / "tiny.yaml", "--folds", 2, "--seeds", 1, "--out", out, "--json")
    assert result.status == 0
    runs = result.json["runs"]
    assert [(one["fold"], one["seed"]) for one in runs] == [(0, 0), (1, 0)]
    assert all(np.isfinite(one["figures"]["test"]["mae"]) for one in runs)
    assert {path.name for path in (out / "runs").iterdir()} == {"fold-0-seed-0", "fold-1-seed-0"}
    assert (out / "runs" / "fold-0-seed-0" / "bundle.onnx").is_file()
    again = run("crossval", tmp_path / "tiny.yaml", "--folds", 2, "--seeds", 1, "--out", out, "--json")
    assert again.json == result.json  # nothing was trained again
