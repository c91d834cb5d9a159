"""From a run to a bundle: what it says, that it agrees with the network, and what is refused."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

import agelens.export
from agelens import AgeEstimator, ages
from agelens.bundle import Bundle
from agelens.card import Card
from agelens.data.manifest import Manifest
from agelens.errors import ConfigError, DataError, ExportError
from agelens.evaluate.answers import answers_of
from agelens.evaluate.evaluation import predict_split, read_crops
from agelens.evaluate.figures import figures
from agelens.export import MAX_DISAGREEMENT, export
from agelens.faces.detector import FixedDetector
from agelens.finishing import Finished
from agelens.onnx_network import BundleNetwork
from agelens.train.config import TrainConfig, changed, write_config
from agelens.train.run import load_trained

Run = Callable[..., Any]


@pytest.fixture
def card(bundle_path: Path) -> Card:
    """The card inside the bundle."""
    return Bundle.load(bundle_path).card


def test_export_gives_the_card_and_the_predictions_behind_it(
    exported: tuple[Path, Finished], card: Card, manifest: Manifest
) -> None:
    told = exported[1]
    assert told.card == card
    assert told.manifest.folder == manifest.folder
    assert told.predictions.rows["source_path"].tolist() == manifest.split("val")["source_path"].tolist()
    _same(figures(answers_of(told.predictions, card.interval_mass(0.9)), 0.9)["all"], card.figures["val"]["all"])


def _same(measured: dict[str, Any], told: dict[str, Any]) -> None:
    measured, told = dict(measured), dict(told)
    assert measured.pop("uncertainty") == {
        name: pytest.approx(ends, abs=1e-4) for name, ends in told.pop("uncertainty").items()
    }
    assert measured.pop("cs") == pytest.approx(told.pop("cs"), abs=1e-4)
    assert measured.pop("at_least") == {
        age: pytest.approx(scores, abs=1e-4) for age, scores in told.pop("at_least").items()
    }
    assert measured == pytest.approx(told, abs=1e-4)


def test_bundle_and_trained_network_agree_on_crops(trained_run: Path, bundle_path: Path, manifest: Manifest) -> None:
    network = load_trained(trained_run).network
    bundle = Bundle.load(bundle_path)
    crops = read_crops(manifest, manifest.split("all"), bundle)
    with torch.inference_mode():
        views = [network(torch.from_numpy(one.copy()).permute(0, 3, 1, 2)) for one in (crops, crops[:, :, ::-1])]
    probs = sum(network.head.probs(view.age).numpy() for view in views) / 2
    genders = sum(view.gender.softmax(dim=1).numpy() for view in views) / 2
    got = bundle.run(crops)
    assert np.abs(ages.expected_age(probs) - ages.expected_age(got.age_probs)).max() <= MAX_DISAGREEMENT
    assert got.gender_probs == pytest.approx(genders, abs=1e-4)


def test_card_says_how_faces_are_cut_and_what_it_was_trained_on(
    card: Card, manifest: Manifest, tiny_config: TrainConfig
) -> None:
    assert (card.name, card.terms, card.flip, card.genders) == ("tiny", "made up", True, ("male", "female"))
    assert (card.crop.size, card.crop.margin, card.crop.template) == (32, 0.0, manifest.crop.template)
    assert card.training["datasets"] == ["utkface"]
    assert card.training["faces"] == len(manifest.split("train"))
    config = tiny_config.model_dump(mode="json")
    assert config["data"].pop("manifest") == str(manifest.folder)
    assert card.training["config"] == config


def test_interval_masses_rise_with_their_level(card: Card) -> None:
    assert list(card.interval_masses) == ["0.5", "0.8", "0.9", "0.95"]
    masses = np.array(list(card.interval_masses.values()))
    assert masses.shape == (4, 101)
    assert (np.diff(masses, axis=0) >= 0).all()
    assert (masses[0] < masses[-1]).all()


def test_figures_on_the_card_are_those_of_an_evaluation(card: Card, bundle_path: Path, manifest: Manifest) -> None:
    measured = figures(
        answers_of(predict_split(Bundle.load(bundle_path), manifest, "val"), card.interval_mass(0.9)), 0.9
    )
    _same(measured["all"], card.figures["val"]["all"])
    assert measured["decades"].keys() == card.figures["val"]["decades"].keys()
    assert measured["all"]["faces"] == len(manifest.split("val"))
    assert sum(group["faces"] for group in measured["decades"].values()) == measured["all"]["faces"]


def test_gender_accuracy_leaves_unknown_genders_out(bundle_path: Path, manifest: Manifest) -> None:
    predictions = predict_split(Bundle.load(bundle_path), manifest, "all")
    rows = predictions.rows
    assert rows["gender"].isna().sum() == 1
    right = (predictions.gender == rows["gender"].to_numpy(dtype=object))[rows["gender"].notna()].mean()
    assert figures(answers_of(predictions, 0.9), 0.9)["all"]["gender_accuracy"] == pytest.approx(right)


def test_estimator_and_evaluation_see_the_same_face(
    bundle_path: Path, manifest: Manifest, faces_folder: Path, detector: FixedDetector
) -> None:
    predictions = predict_split(Bundle.load(bundle_path), manifest, "val")
    estimator = AgeEstimator.load(bundle_path, detector=detector)
    for age, name in list(zip(predictions.age, predictions.rows["source_path"], strict=True))[:4]:
        (face,) = estimator.predict(faces_folder / name)
        assert face.age == pytest.approx(age, abs=0.5)  # JPEG lies between
        assert face.age == pytest.approx(float(ages.expected_age(face.age_probs)), abs=1e-3)
        assert face.gender in ("male", "female")


def test_bundle_names_no_file_of_the_machine_that_made_it(bundle_path: Path, trained_run: Path) -> None:
    data = bundle_path.read_bytes()
    for folder in (Path(agelens.export.__file__).parent, Path(torch.__file__).parent, trained_run):
        assert str(folder).encode() not in data


# a network that tells no gender


def test_a_genderless_bundle_has_no_genders(genderless_bundle: Path, manifest: Manifest) -> None:
    bundle = Bundle.load(genderless_bundle)
    assert bundle.card.genders == ()
    assert bundle.card.figures["val"]["all"]["gender_accuracy"] is None
    predictions = predict_split(bundle, manifest, "val")
    assert predictions.gender_probs.shape == (len(predictions.rows), 0)
    assert set(predictions.gender) == {""}


def test_predict_works_without_gender(genderless_bundle: Path, portrait: Path, tmp_path: Path, run: Run) -> None:
    (face,) = AgeEstimator.load(genderless_bundle).predict(portrait)
    assert (face.gender, face.gender_confidence) == (None, None)

    photo = tmp_path / "photo.jpg"
    shutil.copy(portrait, photo)
    options = ("--model", genderless_bundle)
    result = run("predict", photo, *options, "--csv", tmp_path / "faces.csv", "--annotate", tmp_path / "copies")
    assert result.status == 0
    assert f"{face.age:.1f}" in result.out
    assert "male" not in result.out
    assert "None" not in result.out
    with (tmp_path / "faces.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["gender"], row["gender_confidence"], float(row["age"])) == ("", "", pytest.approx(face.age, abs=0.01))
    (copy,) = (tmp_path / "copies").iterdir()
    with Image.open(copy) as image, Image.open(photo) as original:
        assert image.size == original.size
        assert np.abs(np.asarray(image.convert("RGB"), int) - np.asarray(original.convert("RGB"), int)).max() > 100

    (found,) = run("predict", photo, *options, "--json").json["faces"]
    assert (found["gender"], found["gender_confidence"]) == (None, None)
    assert found["age"] == pytest.approx(face.age, abs=0.01)


# what is refused


@pytest.fixture(scope="module", params=["age.bias", "gender.bias"])
def drifted(bundle_path: Path, request: pytest.FixtureRequest) -> onnx.ModelProto:
    """The run's network as ONNX, with one weight of the age or gender head a little off."""
    model = onnx.load(bundle_path)
    (tensor,) = (one for one in model.graph.initializer if one.name.endswith(request.param))
    values = numpy_helper.to_array(tensor).copy()
    values[-1] += 0.1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


def test_a_bundle_that_disagrees_is_refused_and_leaves_the_old_one(
    trained_run: Path, tmp_path: Path, drifted: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(network: BundleNetwork, size: int) -> onnx.ModelProto:
        return drifted

    (tmp_path / "old.onnx").write_text("the old one")
    monkeypatch.setattr(agelens.export, "to_onnx", stale)
    for name, flip in (("new", True), ("old", False)):
        with pytest.raises(ExportError, match=r"by up to \d+\.\d{4} years and \d+\.\d{4} in gender; at most 0\.001"):
            export(trained_run, tmp_path / f"{name}.onnx", name="drifted", flip=flip)
    assert [path.name for path in tmp_path.iterdir()] == ["old.onnx"]
    assert (tmp_path / "old.onnx").read_text() == "the old one"


def test_rebalanced_answers_are_the_networks_over_the_share_of_each_year(
    trained_run: Path, manifest: Manifest, tmp_path: Path
) -> None:
    paths = [tmp_path / "plain.onnx", tmp_path / "even.onnx"]
    for path, power in zip(paths, (0.0, 0.5), strict=True):
        told = export(trained_run, path, name=path.stem, flip=False, rebalance=power).card
        assert told.training["config"]["rebalance"] == power
    bundles = [Bundle.load(path) for path in paths]
    crops = read_crops(manifest, manifest.split("all"), bundles[0])
    plain, even = (bundle.run(crops).age_probs for bundle in bundles)
    years = np.bincount(manifest.split("train")["age"].round().astype(int), minlength=101)
    padded = np.concatenate([np.repeat(years[:1], 101), years, np.repeat(years[-1:], 101)])  # as if the ends went on
    kernel = np.exp(-(np.arange(-101, 102) ** 2) / (2 * 4.0**2))
    shares = np.convolve(padded, kernel / kernel.sum(), mode="valid") / len(manifest.split("train"))
    wanted = plain / np.sqrt(np.maximum(shares, shares.max() / 100))
    assert even == pytest.approx(wanted / wanted.sum(axis=1, keepdims=True), rel=1e-3, abs=1e-7)
    assert ages.expected_age(even).mean() != pytest.approx(ages.expected_age(plain).mean(), abs=0.5)


def test_ages_are_as_rare_as_the_run_met_them_whatever_it_is_measured_on(
    trained_run: Path, manifest: Manifest, edited: Callable[..., Path], tmp_path: Path
) -> None:
    old = edited(tmp_path / "old", lambda table: table.assign(age=table["age"].where(table["split"] == "val", 90)))
    paths = [tmp_path / "own.onnx", tmp_path / "other.onnx"]
    for path, measured_on in zip(paths, (None, old), strict=True):
        export(trained_run, path, name="even", rebalance=0.5, manifest_path=measured_on)
    crops = read_crops(manifest, manifest.split("all"), Bundle.load(paths[0]))
    own, other = (Bundle.load(path).run(crops).age_probs for path in paths)
    assert other == pytest.approx(own, abs=1e-6)


def test_a_bundle_may_take_smaller_crops_than_the_training(
    trained_run: Path, manifest: Manifest, tmp_path: Path
) -> None:
    card = export(trained_run, tmp_path / "small.onnx", name="small", size=24).card
    assert card.crop.size == 24
    assert card.training["config"]["input"]["size"] == 32
    bundle, network = Bundle.load(tmp_path / "small.onnx"), load_trained(trained_run).network
    crops = read_crops(manifest, manifest.split("val"), bundle)
    with torch.inference_mode():
        views = [network(torch.from_numpy(one.copy()).permute(0, 3, 1, 2)) for one in (crops, crops[:, :, ::-1])]
    probs = sum(network.head.probs(view.age).numpy() for view in views) / 2
    assert bundle.run(crops).age_probs == pytest.approx(probs, abs=1e-4)


@pytest.mark.parametrize("size", [0, -5, 8, 2000])
def test_a_size_that_cannot_be_is_refused(size: int, trained_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"no crops of {size} pixels: crop size is {size}; it must lie"):
        export(trained_run, tmp_path / "out.onnx", name="none", size=size)


@pytest.mark.parametrize("power", [-0.1, 1.1, float("nan")])
def test_a_power_that_is_no_share_is_refused(power: float, trained_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rebalance"):
        export(trained_run, tmp_path / "out.onnx", name="none", rebalance=power)


def test_export_of_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoints/best\.ckpt in it; wanted the folder of a run"):
        export(tmp_path, tmp_path / "out.onnx", name="none")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_export_of_a_damaged_checkpoint_is_refused(content: bytes, trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    (tmp_path / "run/checkpoints/best.ckpt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"best\.ckpt: not a checkpoint of this run"):
        export(tmp_path / "run", tmp_path / "out.onnx", name="damaged")


def test_export_finds_the_manifest_where_it_is_now(
    trained_run: Path, tiny_config: TrainConfig, tmp_path: Path, manifest: Manifest, run: Run, card: Card
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    write_config(changed(tiny_config, data__manifest=str(tmp_path / "gone")), tmp_path / "run/config.yaml")
    with pytest.raises(DataError, match="gone: no such manifest"):
        export(tmp_path / "run", tmp_path / "out.onnx", name="lost")
    assert run("export", tmp_path / "run", "--manifest", manifest.folder).status == 0
    moved = Bundle.load(tmp_path / "run/bundle.onnx").card
    assert (moved.training, moved.interval_masses) == (card.training, card.interval_masses)


def test_another_manifest_can_measure_what_was_trained_on_bands(
    trained_run: Path, tmp_path: Path, manifest: Manifest, bands: Manifest, tiny_config: TrainConfig
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    values = {"data__manifest": str(bands.folder), "checkpoint__metric": "val_band"}
    write_config(changed(tiny_config, **values), tmp_path / "run/config.yaml")
    told = export(tmp_path / "run", tmp_path / "out.onnx", name="bands", manifest_path=manifest.folder)
    assert told.manifest.folder == manifest.folder
    assert told.card.figures["val"]["all"]["mae"] > 0
    assert told.card.training["config"]["checkpoint"]["metric"] == "val_band"


def test_export_to_a_name_that_is_no_bundles_is_refused(trained_run: Path, tmp_path: Path, run: Run) -> None:
    weights = tmp_path / "best.ckpt"
    weights.write_text("not to be lost")
    assert run("export", trained_run, "--out", weights).complaint == f"{weights}: a bundle's name ends in .onnx"
    assert weights.read_text() == "not to be lost"


def test_crops_with_too_little_margin_cannot_be_evaluated(bundle_path: Path, manifest: Manifest) -> None:
    tight = Manifest(manifest.table, type(manifest.crop)(48, -0.1), manifest.folder)
    with pytest.raises(DataError, match="prepare the data set again for this bundle"):
        predict_split(Bundle.load(bundle_path), tight, "val")


def test_the_card_says_what_was_trained_on_whatever_it_is_measured_on(
    trained_run: Path,
    tiny_config: TrainConfig,
    edited: Callable[..., Path],
    exported: tuple[Path, Finished],
    tmp_path: Path,
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    write_config(changed(tiny_config, data__manifest=str(tmp_path / "gone")), run / "config.yaml")
    other = edited(tmp_path / "crops", lambda table: table.assign(dataset="fairface").iloc[5:])
    card = export(run, tmp_path / "other.onnx", name="other", manifest_path=other).card
    assert card.training == exported[1].card.training
    assert "fairface" not in card.terms
    assert card.terms == "trained on utkface: non-commercial research"
