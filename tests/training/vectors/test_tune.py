"""``agelens tune``: the best of the trials, what is gone on with, and what becomes of trials that fail."""

from __future__ import annotations

import csv
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agelens.data.manifest import Manifest
from agelens.embed.config import MlpConfig, read_any_config
from agelens.errors import ConfigError, MissingExtraError, OutputError
from agelens.train.config import TrainConfig, changed
from agelens.tuning.book import Trial
from agelens.tuning.config import Range, TuneSection, Tuning
from agelens.tuning.run import tune
from agelens.tuning.space import drawn
from agelens.tuning.trial import Rules

pytest.importorskip("ray.tune")
import agelens.tuning.search
from agelens.tuning.candidates import RandomCandidates
from agelens.tuning.search import search

Run = Callable[..., Any]
Report = Callable[[int, Mapping[str, float]], None]
RULES = Rules("loss", less=True, epochs=4, grace=1, reduction=2)
SPACE = {"mlp.blocks": Range(choice=(0, 1)), "optim.lr": Range(choice=(0.003, 0.01, 1e30))}

pytestmark = pytest.mark.usefixtures("cluster")


def _tuning(config: MlpConfig | TrainConfig, **section: Any) -> Tuning:
    return Tuning(config, TuneSection(**{"space": SPACE, **section}))


def _lines(folder: Path) -> list[dict[str, Any]]:
    """The trials that are kept, by their numbers."""
    _, *rows = (folder / "trials.jsonl").read_text().splitlines()
    return sorted(map(json.loads, rows), key=lambda row: row["number"])


def _searched(work: Any, numbers: list[int], folder: Path, workers: int = 1) -> dict[int, Trial]:
    kept: dict[int, Trial] = {}
    candidates = RandomCandidates({"seed": Range(choice=(1,))}, 0, numbers)
    search(work, candidates, RULES, folder, keep=lambda one: kept.update({one.number: one}), workers=workers)
    return kept


def test_the_best_of_the_trials_trains_and_a_repeat_goes_on(
    vectors_config: MlpConfig, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    out, tuning = tmp_path / "found", _tuning(vectors_config, trials=4, seed=1)
    own = {"mlp.blocks": 1, "optim.lr": 0.01}
    wanted = [own, *(drawn(SPACE, 1, number) for number in range(1, 4))]
    assert {one["optim.lr"] == 1e30 for one in wanted} == {True, False}
    result = tune(tuning, out, workers=2)
    assert capsys.readouterr() == ("", "")
    assert [one["parameters"] for one in result["trials"]] == wanted
    for one in result["trials"]:
        assert ("grew beyond all numbers" in (one["error"] or "")) == (one["parameters"]["optim.lr"] == 1e30)
    whole = [one for one in result["trials"] if one["error"] is None]
    best = min(whole, key=lambda one: one["figures"]["loss"])
    assert result["best"] == best["number"]
    assert result["failed"] == 4 - len(whole)
    with (out / "trials.csv").open(newline="") as file:
        assert [line["error"] == "" for line in csv.DictReader(file)] == [one in whole for one in result["trials"]]
    assert (out / "trials.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "running").exists()

    assert read_any_config(out / "best.yaml").optim.lr == best["parameters"]["optim.lr"]
    assert run("train", out / "best.yaml", "--out", tmp_path / "run", "--no-export").status == 0
    with (tmp_path / "run/metrics.csv").open(newline="") as file:
        losses = [float(line["val_loss"]) for line in csv.DictReader(file)]
    assert min(losses[: best["epochs"]]) == pytest.approx(best["figures"]["loss"], rel=1e-4)

    lines = _lines(out)
    begun, *_ = (out / "trials.jsonl").read_text().splitlines(keepends=True)
    kept = (json.dumps(one) + "\n" for one in lines if one["number"] in (0, 2))
    (out / "trials.jsonl").write_text(begun + "".join(kept))
    done: list[tuple[int, int]] = []
    again = tune(_tuning(vectors_config, trials=5, seed=1), out, workers=2, progress=lambda *at: done.append(at))
    assert done == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert [one["parameters"] for one in again["trials"]] == [*wanted, drawn(SPACE, 1, 4)]
    assert [again["trials"][number] for number in (0, 2)] == [lines[number] for number in (0, 2)]
    with pytest.raises(OutputError, match=r"found: holds a search with other settings .tune\.seed 1, now 2"):
        tune(_tuning(vectors_config, trials=5, seed=2), out)


def test_when_all_trials_fail_it_is_one_line(
    vectors_config: MlpConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(work: Any, candidates: RandomCandidates, *_: Any, keep: Callable[[Trial], None], **__: Any) -> None:
        for number in candidates.numbers:
            keep(Trial(number, candidates.parameters({"number": number}), "failed", 0, 0, {}, 0.1, "no numbers"))

    monkeypatch.setattr(agelens.tuning.search, "search", failing)
    for _ in range(2):  # a repeat does not try them again
        with pytest.raises(ConfigError, match=r"every trial failed \(3\); the first: no numbers; remove the f"):
            tune(_tuning(vectors_config, trials=3), tmp_path)
        monkeypatch.setattr(agelens.tuning.search, "search", lambda *_, **__: pytest.fail("tried again"))
    assert [one["status"] for one in _lines(tmp_path)] == ["failed"] * 3


def test_networks_on_crops_are_searched_too(tiny_config: TrainConfig, tmp_path: Path) -> None:
    space = {"optim.lr": Range(log=(1e-4, 1e-2)), "backbone.dropout": Range(choice=(0, 0.5))}
    tuning = _tuning(tiny_config, trials=2, grace=1, reduction=2, space=space)
    result = tune(tuning, tmp_path, workers=1)
    first, second = result["trials"]
    assert (first["status"], first["epochs"]) == ("finished", 2)
    assert (second["epochs"] == 2) == (second["status"] == "finished")
    assert result["best"] == min(result["trials"], key=lambda one: one["figures"]["val_mae"])["number"]
    assert yaml.safe_load((tmp_path / "best.yaml").read_text())["checkpoint"]["metric"] == "val_mae"


def test_the_worse_stop_early_and_a_process_that_dies_takes_no_other_trial_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(agelens.tuning.search, "DEATHS", 1)
    numbers = iter(range(100))

    def work(parameters: Mapping[str, Any], folder: Path, report: Report) -> None:
        number = next(numbers)  # of the trials in this process: those that die begin again with the next one
        for epoch in range(1, 5):
            report(epoch, {"loss": number + 1 / epoch, "mae": float("nan")})

    kept = _searched(work, list(range(5)), tmp_path / "running")
    assert [kept[number].status for number in range(5)] == ["finished", *["stopped"] * 4]
    assert (kept[0].epochs, kept[0].best, kept[4].epochs) == (4, 4, 1)

    def fatal(parameters: Mapping[str, Any], folder: Path, report: Report) -> None:
        folder.mkdir(parents=True)
        report(1, {"loss": 1.0})
        if len(list(folder.parent.parent.glob("died*"))) < 3:
            (folder.parent.parent / f"died-{folder.name}-{os.getpid()}").touch()
            os._exit(1)
        report(2, {"loss": 0.5})

    kept = _searched(fatal, [0, 1, 2], tmp_path / "running")
    assert capsys.readouterr() == ("", "")
    assert [kept[number].status for number in range(3)] == ["lost", "finished", "finished"]
    assert kept[0].error == "its process died 2 times, as when memory is short"


def test_optuna_draws_and_goes_on(vectors_config: MlpConfig, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    space = {"mlp.dropout": Range(uniform=(0, 0.5)), "mlp.blocks": Range(choice=(0, 1)), "seed": Range(integer=(0, 9))}
    config = changed(vectors_config, optim__epochs=1)
    own = {"mlp.dropout": 0.2, "mlp.blocks": 1, "seed": 0}
    first = tune(_tuning(config, trials=2, space=space, search="optuna"), tmp_path, workers=1)["trials"]
    every = tune(_tuning(config, trials=4, space=space, search="optuna"), tmp_path, workers=1)["trials"]
    assert every[:2] == first
    assert first[0]["parameters"] == own
    assert [one["number"] for one in every] == [0, 1, 2, 3]
    assert len({json.dumps(one["parameters"]) for one in every}) == 4
    assert {tuple(map(type, one["parameters"].values())) for one in every} == {(float, int, int)}


@pytest.mark.parametrize(
    ("module", "search", "extra"), [("ray.tune", "random", "tune"), ("optuna", "optuna", "optuna")]
)
def test_what_is_not_installed_is_told_before_any_work(
    module: str, search: str, extra: str, vectors_config: MlpConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"this needs '{module}', .*\[{extra}\]"):
        tune(_tuning(vectors_config, search=search), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_starts_a_cluster_of_its_own_and_says_nothing_of_it(
    vectors_config: MlpConfig, vectors_store: Manifest, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = changed(vectors_config, optim__epochs=1, data__manifest="made-up").model_dump(mode="json")
    (tmp_path / "made-up").symlink_to(vectors_store.folder)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(raw | {"tune": {"space": {"seed": {"integer": [0, 9]}}}}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    command = [sys.executable, "-c", "from agelens.cli import main; main()", "tune", "small.yaml", "--trials", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.stderr.splitlines() == [
        "wrote runs/small-tune/best.yaml, trials.json, trials.csv and trials.png; "
        "next: agelens train runs/small-tune/best.yaml"
    ]
    assert done.returncode == 0
    table, told = done.stdout.rsplit("\n", 2)[:2]
    assert [line.split()[0] for line in table.splitlines() if line.strip()][:1] == ["trial"]
    assert told.startswith("2 trials: ")
    monkeypatch.chdir(tmp_path)
    assert run("tune", "small.yaml", "--trials", 2, "--json").json == json.loads(
        (tmp_path / "runs/small-tune/trials.json").read_text()
    )
