"""``agelens train`` and its options, and how the commands follow one another."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import agelens.cli.prepare
from agelens.bundle import Bundle
from agelens.cli.overrides import OPTIONS, parse_overrides
from agelens.data.manifest import read_manifest
from agelens.data.prepare import Preparation
from agelens.errors import ConfigError
from agelens.faces.detector import FixedDetector
from agelens.train.config import TrainConfig, changed, read_config, write_config

Run = Callable[..., Any]


@pytest.fixture
def recipe(tiny_config: TrainConfig, tmp_path: Path) -> Path:
    """The tiny configuration, one epoch of it, in a file."""
    write_config(changed(tiny_config, optim__epochs=1), tmp_path / "recipe.yaml")
    return tmp_path / "recipe.yaml"


@pytest.fixture
def trained_config(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """The configurations that ``agelens train`` would train, in the training's place."""
    seen: list[TrainConfig] = []
    monkeypatch.setattr("agelens.cli.train.train_run", lambda config, out, **options: seen.append(config))
    return seen


def test_commands_lead_from_a_folder_to_figures(
    faces_folder: Path,
    detector: FixedDetector,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    monkeypatch.setattr(
        agelens.cli.prepare, "Preparation", functools.partial(Preparation, make_detector=lambda: detector)
    )
    crops, folder, out = tmp_path / "crops", tmp_path / "runs/first", tmp_path / "figures.json"
    prepared = run("prepare", "utkface", faces_folder, crops, "--size", 48, "--val-share", 0.25, "--workers", 1)
    assert prepared.status == 0
    assert len(read_manifest(crops).split("all")) == 40

    trained = run("train", recipe, "--out", folder, "--manifest", crops, "--seed", 3)
    assert trained.status == 0
    config = read_config(folder / "config.yaml")
    assert (config.seed, config.data.manifest) == (3, crops)
    said = trained.err.splitlines()
    assert said[0] == "test_resnet: random weights"
    assert any(re.fullmatch(r"epoch 1, step \d+, .*val mae [\d.]+.*", line) for line in said)
    assert said[-1].startswith(f"wrote {folder / 'bundle.onnx'} (")
    assert trained.out.split()[:3] == ["group", "faces", "MAE"]
    card = Bundle.load(folder / "bundle.onnx").card
    assert (card.name, card.flip) == ("first", True)
    assert card.terms == "trained on utkface: non-commercial research"
    assert {path.name for path in (folder / "report").iterdir()} == {
        "figures.json",
        "figures.csv",
        "predictions.csv",
        "best.png",
        "report.html",
        "worst.png",
    }

    by_hand = run("export", folder, "--name", "by hand", "--no-flip", "--out", tmp_path / "hand.onnx")
    assert by_hand.status == 0
    assert "validation MAE" in by_hand.err
    card = Bundle.load(tmp_path / "hand.onnx").card
    assert (card.name, card.flip) == ("by hand", False)

    evaluated = run("evaluate", tmp_path / "hand.onnx", crops, "--json", "--out", out)
    assert evaluated.status == 0
    for name in ("faces", "mae", "gender_accuracy", "coverage"):
        assert evaluated.json["all"][name] == pytest.approx(card.figures["val"]["all"][name], abs=1e-4)
    assert evaluated.json == yaml.safe_load(out.read_text())


@pytest.mark.usefixtures("no_curves")
def test_without_export_a_run_ends_with_what_comes_next(recipe: Path, tmp_path: Path, run: Run) -> None:
    result = run("train", recipe, "--out", tmp_path / "run", "--no-export")
    assert (result.status, result.out) == (0, "")
    assert result.err.splitlines()[-1] == f"trained; next: agelens export {tmp_path / 'run'}"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoints", "config.yaml", "metrics.csv"}


@pytest.mark.usefixtures("no_curves")
def test_the_command_takes_a_run_up(
    recipe: Path, tmp_path: Path, run: Run, cut_off: Callable[..., None], rows: Callable[[Path], list[dict[str, str]]]
) -> None:
    folder = tmp_path / "run"
    cut_off(changed(read_config(recipe), optim__epochs=2, checkpoint__every=1), folder, 4)
    arguments = ("train", recipe, "--optim.epochs=2", "--checkpoint.every", 1, "--out", folder, "--no-export")
    assert "holds a run already; go on with it by --resume" in run(*arguments).err
    assert "was started with another configuration" in run(*arguments, "--resume", "--seed", 9).complaint
    assert run(*arguments, "--resume").status == 0
    assert [line["step"] for line in rows(folder)] == ["3", "6"]


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (("--optim.lr", "3e-4"), "optim.lr", 3e-4),
        (("--optim.lr=1e-2", "--seed=3"), "optim.lr", 0.01),
        (("--seed=3",), "seed", 3),
        (("--seed", "5", "--deterministic"), "trainer.deterministic", True),
        (("--head.kind", "coral"), "head.kind", "coral"),
        (("--head.kind", "regression", "--head.loss=huber"), "head.loss", "huber"),
        (("--head.neck", "16", "--out", "elsewhere", "--data.augment", "strong"), "data.augment", "strong"),
        (("--head.neck", "16", "--out", "elsewhere", "--data.augment", "strong"), "head.neck", 16),
        (("--gender", "null"), "gender", None),
        (("--finetune.freeze=backbone", "--finetune.unfreeze=last"), "finetune.unfreeze", "last"),
        (("--log", "[tensorboard]"), "log", ("tensorboard",)),
        (("--optim.clip", "null", "--no-export"), "optim.clip", None),
        (("--schedule.kind", "plateau", "--schedule.patience", "0"), "schedule.patience", 0),
    ],
)
def test_a_value_is_given_by_its_key(
    arguments: tuple[str, ...],
    key: str,
    value: object,
    recipe: Path,
    trained_config: list[TrainConfig],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agelens.cli.train._finish", lambda run, **options: None)
    assert run("train", recipe, *arguments).status == 0
    got: Any = trained_config[0]
    for name in key.split("."):
        got = getattr(got, name)
    assert got == value


def test_values_stand_before_the_file_too(recipe: Path, trained_config: list[TrainConfig], run: Run) -> None:
    assert run("train", "--no-export", recipe, "--manifest", "crops/other", "--optim.epochs", "7").status == 0
    assert (trained_config[0].optim.epochs, trained_config[0].data.manifest) == (7, Path("crops/other"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--optim.lrr", "1"), "optim.lrr: no such key; did you mean 'lr'?"),
        (("--optimm.lr", "1"), "optimm: no such key; did you mean 'optim'?"),
        (("--outt", "elsewhere"), "--outt: no such option; did you mean --out?"),
        (("--resum",), "--resum: no such option; did you mean --resume?"),
        (("--sed=3",), "sed: no such key; did you mean 'seed'?"),
        (("--head.kind", "corral"), "head.kind: one of "),
        (("--head.loss", "huber"), "head.loss: no such key; did you mean"),
        (("--optim.lr",), "--optim.lr: its value is missing, as in --optim.lr 3e-4"),
        (("--optim.lr", "--seed", "3"), "--optim.lr: its value is missing"),
        (("--optim.lr", "fast"), "optim.lr: "),
        (("--optim.lr", "[1"), "--optim.lr: '[1' is no value as YAML writes it"),
        (("--optim.epochs", "0"), "optim.epochs: "),
        (("--seed", "-1"), "seed: "),
        (("lr", "3"), "'lr': wanted a key of the configuration and its value"),
        (("--trainer.devices", "2.5"), "trainer.devices: "),
    ],
)
def test_a_wrong_key_or_value_is_one_line(arguments: tuple[str, ...], message: str, recipe: Path, run: Run) -> None:
    assert message in run("train", recipe, *arguments).complaint


def test_all_that_is_wrong_is_named_at_once(recipe: Path, run: Run) -> None:
    complaint = run("train", recipe, "--optim.lr", "-1", "--data.batch_size=1", "--checkpoint.metric", "mae").complaint
    for key in ("optim.lr", "data.batch_size", "checkpoint.metric"):
        assert f"{key}: " in complaint


@pytest.mark.parametrize("tokens", [["optim.lr", "1"], ["--"], ["-x", "1"], ["--a", "--b"], ["--a"]])
def test_what_is_no_override_is_refused(tokens: list[str]) -> None:
    with pytest.raises(ConfigError):
        parse_overrides(tokens)


@pytest.mark.parametrize(
    ("tokens", "values"),
    [
        ([], {}),
        (["--a.b", "-3"], {"a.b": "-3"}),
        (["--a", "--", "--b="], {"a": "--", "b": ""}),
        (["--a=x=y"], {"a": "x=y"}),
        (["--a", "1", "--a", "2"], {"a": "2"}),
    ],
)
def test_overrides_are_read(tokens: list[str], values: dict[str, str]) -> None:
    assert parse_overrides(tokens) == values


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "utkface", "nowhere", "out"), "nowhere: no such folder"),
        (("prepare", "nosuch", "faces", "out"), "no source 'nosuch'; there are: utkface, fairface"),
        (("prepare", "utkface", ".", "out", "--size", "4"), "crop size is 4"),
        (("prepare", "utkface", ".", "out", "--workers", "0"), "--workers"),
        (("prepare", "utkface", ".", "out", "--val-share", "0.6"), "--val-share"),
        (("prepare", "utkface", ".", "out", "--seed", "-1"), "--seed"),
        (("prepare", "utkface", ".", "out"), "lies within the data set's own folder"),
        (("train", "absent.yaml"), "absent.yaml: cannot be read"),
        (("train", "absent.yaml", "--resume"), "absent.yaml: cannot be read"),
        (("train", "."), ".: a folder; go on with its run by --resume, or give a YAML file"),
        (("find-lr", "absent.yaml"), "absent.yaml: cannot be read"),
        (("export", "nowhere"), "wanted the folder of a run"),
        (("evaluate", "absent.onnx", "."), "absent.onnx: no such model file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in run(*arguments).complaint


def test_a_configuration_is_never_written_over(recipe: Path, tmp_path: Path, run: Run) -> None:
    own = tmp_path / "own" / "config.yaml"
    own.parent.mkdir()
    own.write_text(recipe.read_text() + "# mine\n")
    assert "would be written anew; choose another --out" in run("train", own, "--out", own.parent).complaint
    assert own.read_text().endswith("# mine\n")


def test_a_rate_cannot_be_gone_on_with_where_no_run_is(recipe: Path, tmp_path: Path, run: Run) -> None:
    said = run("train", recipe, "--out", tmp_path / "none", "--find-lr", "--resume").complaint
    assert "none: holds no run to go on with; start without --resume" in said


def test_a_sweep_of_no_configuration_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("find-lr", "absent.yaml").status == 2
    assert not list(tmp_path.iterdir())


def test_a_manifest_may_have_any_name(recipe: Path, trained_config: list[TrainConfig], run: Run) -> None:
    assert run("train", "--no-export", recipe, "--manifest", "crops/😀é").status == 0
    assert trained_config[0].data.manifest == Path("crops/😀é")


def test_the_options_that_a_slip_is_compared_with_are_those_of_the_commands(run: Run) -> None:
    helps = "".join(run(command, "--help").out for command in ("train", "find-lr", "crossval", "tune"))
    shown = set(re.findall(r"--([a-z-]+)(?![a-z.-])", re.sub(r"--\w+\.\w+", "", helps)))
    assert set(OPTIONS) <= shown
    assert shown - {"seed", "version"} <= set(OPTIONS)  # a key that the text has as an example
