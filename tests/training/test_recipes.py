"""Every recipe in configs/ trains, at the size of a test, and what it trains becomes a bundle that answers."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agelens import ages
from agelens.bundle import Bundle
from agelens.data.manifest import Manifest
from agelens.evaluate.evaluation import read_crops
from agelens.export import export
from agelens.train.config import TrainConfig, changed, read_config
from agelens.train.run import load_trained, train

RECIPES = sorted(
    path for path in (Path(__file__).parents[2] / "configs").glob("*.yaml") if not path.stem.endswith("-vectors")
)


def _of_another_network(recipe: Path) -> tuple[object, ...]:
    config = read_config(recipe)
    return config.head.kind, config.head.neck, config.gender is None, config.checkpoint.metric


def _is_banded(config: TrainConfig) -> bool:
    """Whether the data set tells age bands only."""
    return config.data.manifest.name in ("adience", "fairface")


# Recipes whose bundles are of the same layers differ in their weights only: one of them is exported.
EXPORTED = sorted({_of_another_network(recipe): recipe for recipe in reversed(RECIPES)}.values())


@pytest.fixture(scope="session")
def trained(
    manifest: Manifest, bands: Manifest, bundle_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], tuple[Path, TrainConfig]]:
    """The run of a recipe, trained once with timm's smallest ResNet, and its configuration."""
    runs = tmp_path_factory.mktemp("recipes")

    def make(recipe: Path) -> tuple[Path, TrainConfig]:
        config = read_config(recipe)
        freed = len(config.finetune.epochs)
        config = changed(
            config,
            backbone__name="test_resnet",
            backbone__weights=None,
            backbone__pretrained=False,
            backbone__settings={},
            distill=None if config.distill is None else {"teachers": [str(bundle_path)]},
            input__size=32,
            data__manifest=str((bands if _is_banded(config) else manifest).folder),
            data__batch_size=8,
            data__workers=0,
            optim__epochs=freed + 1 if freed else 2,
            optim__ema_decay=0.5,
            trainer__compile=False,
            trainer__precision="float32",
        )
        run = runs / recipe.stem
        if not run.exists():
            train(config, run, progress=False)
        return run, config

    return make


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_every_recipe_trains(recipe: Path, trained: Callable[[Path], tuple[Path, TrainConfig]]) -> None:
    run, config = trained(recipe)
    with (run / "metrics.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == config.optim.epochs
    wanted = {"train_loss", "val_loss", config.checkpoint.metric} | ({"val_gender"} if config.gender else set())
    assert wanted <= lines[0].keys()
    assert ("val_gender" in lines[0]) == (config.gender is not None)
    assert all(math.isfinite(float(value)) for line in lines for value in line.values())


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("recipe", EXPORTED, ids=lambda recipe: recipe.stem)
def test_its_bundle_answers_as_the_trained_network_does(
    recipe: Path, trained: Callable[[Path], tuple[Path, TrainConfig]], tmp_path: Path
) -> None:
    run, config = trained(recipe)
    exported = export(run, tmp_path / "bundle.onnx", name=recipe.stem, flip=False, rebalance=0.0)
    bundle = Bundle.load(tmp_path / "bundle.onnx")
    assert bundle.card == exported.card
    assert bundle.card.genders == (() if config.gender is None else ("male", "female"))

    crops = read_crops(exported.manifest, exported.manifest.split("val"), bundle)
    got = bundle.run(crops)
    network = load_trained(run).network
    with torch.inference_mode():
        logits = network(torch.from_numpy(crops).permute(0, 3, 1, 2))
        wanted = network.head.probs(logits.age).numpy()
    assert got.age_probs.sum(axis=1) == pytest.approx(np.ones(len(crops)), abs=1e-5)
    assert got.age_probs.min() >= 0
    assert ages.expected_age(got.age_probs) == pytest.approx(ages.expected_age(wanted), abs=1e-3)
    if logits.gender is not None:
        assert got.gender_probs == pytest.approx(logits.gender.softmax(dim=1).numpy(), abs=1e-4)

    figures = exported.card.figures["val"]["all"]
    with (run / "metrics.csv").open(newline="") as file:
        kept = [float(line[config.checkpoint.metric]) for line in csv.DictReader(file)]
    if config.checkpoint.metric == "val_band":
        assert figures["band_accuracy"] == pytest.approx(max(kept), abs=1e-3)
    if _is_banded(read_config(recipe)):
        assert figures["mae"] is None
        masses = [bundle.card.interval_mass(level) for level in (0.5, 0.8, 0.9, 0.95)]
        assert masses == sorted(masses)
        assert 0 < masses[0] < masses[-1] <= 1
    else:
        assert config.checkpoint.metric == "val_mae"
        assert figures["mae"] == pytest.approx(min(kept), abs=1e-3)
        assert figures["band_accuracy"] is None
