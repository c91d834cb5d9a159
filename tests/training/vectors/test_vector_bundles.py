"""Networks on vectors as runs and bundles, and the estimator that takes vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from agelens import AgeEstimator, BundleError, ConfigError, DataError, ages
from agelens.bundle import Bundle
from agelens.card import dump_card, parse_card
from agelens.data.embedding import embed_manifest
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.vectors import read_vectors
from agelens.embed.config import MlpConfig, read_any_config
from agelens.embed.export import export_mlp
from agelens.embed.run import load_trained_mlp, train_mlp
from agelens.embedders import open_embedder
from agelens.faces.align import CropSpec
from agelens.faces.detector import Detector
from agelens.faces.embedder import EmbedderSpec
from agelens.train.config import write_config
from agelens.train.reading import changed

RECIPES = sorted((Path(__file__).parents[3] / "configs").glob("*-vectors.yaml"))
SPEC = EmbedderSpec("made-up", "ab" * 32, 12, CropSpec(112, 0.0, "arcface"), "crops")
Call = Callable[..., Any]
MakeStore = Callable[..., Manifest]


@pytest.fixture(scope="module")
def vector_run(vectors_config: MlpConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on vectors. Not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "vectors"
    train_mlp(changed(vectors_config, optim__epochs=25), run)
    return run


@pytest.fixture(scope="module")
def vector_bundle(vector_run: Path, vectors_store: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle. Not to be written to."""
    trained = load_trained_mlp(vector_run)
    path = tmp_path_factory.mktemp("bundles") / "vectors.onnx"
    export_mlp(trained, vectors_store, path, name="made-up")
    return path


def test_a_bundle_answers_as_the_network_does(vector_run: Path, vector_bundle: Path, vectors_store: Manifest) -> None:
    network = load_trained_mlp(vector_run).network
    vectors = read_vectors(vectors_store, vectors_store.split("val"))
    found = Bundle.load(vector_bundle).run_vectors(vectors)
    with torch.inference_mode():
        age, gender = network(torch.from_numpy(vectors))
        assert network.head is not None
        assert gender is not None
        np.testing.assert_allclose(found.age_probs, network.head.probs(age).numpy(), atol=1e-5)
        np.testing.assert_allclose(found.gender_probs, gender.softmax(dim=1).numpy(), atol=1e-5)


def test_its_card_names_the_embedder_and_what_it_learnt_from(vector_bundle: Path, vectors_store: Manifest) -> None:
    card = Bundle.load(vector_bundle).card
    assert card.embedder == vectors_store.embedder
    assert card.training["datasets"] == ["utkface"]
    assert "manifest" not in card.training["config"]["data"]
    assert "non-commercial" in card.terms
    assert parse_card(dump_card(card)) == card
    assert "embedder" not in replace(card, embedder=None).to_dict()


def test_the_estimator_takes_vectors(vector_bundle: Path, vectors_store: Manifest) -> None:
    estimator = AgeEstimator.load(vector_bundle)  # its embedder cannot be had here
    rows = vectors_store.split("val")
    faces = estimator.predict_embeddings(read_vectors(vectors_store, rows))
    assert len(faces) == len(rows)
    error = np.abs([face.age for face in faces] - rows["age"].to_numpy(dtype=float)).mean()
    assert error < 8
    low, high = faces[0].interval
    assert low <= faces[0].age <= high
    assert faces[0].gender in ("male", "female")
    assert faces[0].to_dict()["score"] is None
    assert estimator.predict_embeddings(np.zeros((0, 12), np.float32)) == []
    with pytest.raises(BundleError, match="takes vectors of the embedder 'made-up', which is not here"):
        estimator.predict(np.full((80, 80, 3), 90, np.uint8), cropped=True)


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (np.zeros((2, 13), np.float32), r"takes floats \(N, 12\)"),
        (np.zeros(12, np.float32), r"takes floats \(N, 12\)"),
        (np.zeros((2, 12), np.int64), r"takes floats \(N, 12\)"),
        (np.full((2, 12), np.nan, np.float32), "2 of 2 vectors are not finite"),
        (np.array([[1.0] * 12, [np.inf] * 12]), "1 of 2 vectors are not finite"),
    ],
)
def test_wrong_vectors_are_told(vectors: Any, says: str, vector_bundle: Path) -> None:
    with pytest.raises(ValueError, match=says):
        AgeEstimator.load(vector_bundle).predict_embeddings(vectors)


def test_crops_and_vectors_are_not_mistaken(
    vector_bundle: Path, bundle_path: Path, vectors_store: Manifest, manifest: Manifest, run: Call
) -> None:
    with pytest.raises(ValueError, match="takes vectors of embedder 'made-up', and no crops"):
        Bundle.load(vector_bundle).run(np.zeros((1, 112, 112, 3), np.uint8))
    with pytest.raises(ValueError, match="takes crops, and no vectors"):
        Bundle.load(bundle_path).run_vectors(np.zeros((1, 12), np.float32))
    complaint = run("evaluate", vector_bundle, manifest.folder).complaint
    assert "agelens embed" in complaint
    assert "--embedder made-up" in complaint
    assert "holds vectors" in run("evaluate", bundle_path, vectors_store.folder).complaint


def test_vectors_of_a_recognition_network_may_have_any_length(
    vectors_config: MlpConfig, make_store: MakeStore, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", spec=replace(SPEC, scale="raw"), unit=True)
    train_mlp(changed(vectors_config, data__manifest=str(store.folder)), tmp_path / "run")
    export_mlp(load_trained_mlp(tmp_path / "run"), store, tmp_path / "unit.onnx", name="unit")
    bundle, vectors = Bundle.load(tmp_path / "unit.onnx"), read_vectors(store, store.split("val"))
    wanted = bundle.run_vectors(vectors).age_probs
    np.testing.assert_allclose(bundle.run_vectors(20 * vectors).age_probs, wanted, atol=1e-5)
    for wrong in (np.zeros((1, 12), np.float32), np.full((1, 12), 1e300)):
        with pytest.raises(ValueError, match="no length, or one beyond all numbers"):
            bundle.run_vectors(wrong)


def test_a_bundle_says_what_its_network_learnt_from_whatever_measures_it(
    vectors_config: MlpConfig, make_store: MakeStore, elsewhere: Call, tmp_path: Path, run: Call
) -> None:
    first = make_store(tmp_path / "first", lambda table: table.assign(dataset="imdb"), seed=7)
    config = changed(vectors_config, pretrain={"manifest": str(first.folder), "epochs": 1}, optim__epochs=1)
    train_mlp(config, tmp_path / "run")
    other = make_store(tmp_path / "other", lambda table: table.assign(dataset="fairface"), seed=8)
    assert run("export", tmp_path / "run", "--manifest", other.folder).status == 0
    card = Bundle.load(tmp_path / "run" / "bundle.onnx").card
    assert card.training["datasets"] == ["imdb", "utkface"]
    assert "trained on imdb" in card.terms
    assert card.training["faces"] == 192
    for spec in (elsewhere(), elsewhere(width=13)):
        strange = make_store(tmp_path / f"strange{spec.width}", spec=spec)
        assert (
            "vectors of embedder 'another'" in run("export", tmp_path / "run", "--manifest", strange.folder).complaint
        )


def test_faces_that_judge_are_not_pre_trained_on(
    vectors_config: MlpConfig, vectors_store: Manifest, tmp_path: Path
) -> None:
    config = changed(vectors_config, pretrain={"manifest": str(vectors_store.folder), "epochs": 1})
    with pytest.raises(DataError, match="48 faces to pre-train on are among those by which the network is judged"):
        train_mlp(config, tmp_path / "run")


def test_commands_that_show_crops_refuse_such_a_bundle(
    vector_bundle: Path, bundle_path: Path, manifest: Manifest, tmp_path: Path, run: Call
) -> None:
    out = tmp_path / "both.onnx"
    for complaint in (
        run("audit", manifest.folder, "--model", vector_bundle, "--out", tmp_path / "audit").complaint,
        run("combine", bundle_path, vector_bundle, "--manifest", manifest.folder, "--out", out).complaint,
    ):
        assert "takes vectors of 'made-up'; wanted one that takes crops" in complaint


def test_another_embedders_vectors_are_refused(
    vector_bundle: Path, make_store: MakeStore, elsewhere: Call, tmp_path: Path, run: Call
) -> None:
    store = make_store(tmp_path / "store", spec=elsewhere())
    complaint = run("evaluate", vector_bundle, store.folder).complaint
    assert "learnt from vectors of 'made-up'" in complaint
    assert "'another' (12 numbers" in complaint


def test_evaluation_and_its_report_need_no_pictures(
    vector_bundle: Path, vectors_store: Manifest, tmp_path: Path, run: Call
) -> None:
    report = tmp_path / "report"
    result = run("evaluate", vector_bundle, vectors_store.folder, "--report", report, "--json")
    assert result.json["all"]["mae"] < 8
    assert {path.name for path in report.iterdir()} == {
        "report.html",
        "figures.json",
        "figures.csv",
        "predictions.csv",
    }


def test_train_makes_a_run_of_vectors(vectors_config: MlpConfig, tmp_path: Path, run: Call) -> None:
    write_config(vectors_config, tmp_path / "made-up.yaml")
    result = run("train", tmp_path / "made-up.yaml", "--out", tmp_path / "run", "--seed", 3)
    assert result.status == 0
    assert "epoch" in result.err
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert made == {"config.yaml", "metrics.csv", "curves.png", "checkpoints", "report", "bundle.onnx"}
    lines = pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert lines["epoch"].tolist() == [1, 2, 3]
    assert load_trained_mlp(tmp_path / "run").config.seed == 3
    assert "holds a run already" in run("train", tmp_path / "made-up.yaml", "--out", tmp_path / "run").complaint
    exported = run("export", tmp_path / "run", "--out", tmp_path / "again.onnx", "--name", "again")
    assert exported.status == 0
    assert Bundle.load(tmp_path / "again.onnx").card.name == "again"
    assert "not for networks on vectors" in run("export", tmp_path / "run", "--bits", 8).complaint


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_vectors_trains(
    recipe: Path, vectors_store: Manifest, make_store: MakeStore, tmp_path: Path
) -> None:
    config = read_any_config(recipe, {"data.manifest": str(vectors_store.folder), "optim.epochs": "1"})
    assert isinstance(config, MlpConfig)
    if config.pretrain is not None:
        first = make_store(tmp_path / "first", seed=1)
        config = changed(config, pretrain__manifest=str(first.folder), pretrain__epochs=1)
    train_mlp(config, tmp_path / "run")
    assert load_trained_mlp(tmp_path / "run").config == config


def test_gender_alone_makes_no_bundle(vectors_config: MlpConfig, tmp_path: Path, run: Call) -> None:
    write_config(changed(vectors_config, head=None), tmp_path / "gender.yaml")
    result = run("train", tmp_path / "gender.yaml", "--out", tmp_path / "run")
    assert result.status == 0
    assert "learnt gender alone" in result.err
    assert not (tmp_path / "run" / "bundle.onnx").exists()
    assert "learnt gender alone" in run("export", tmp_path / "run").complaint


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"head": None, "gender": None}, "the network would tell nothing"),
        ({"head": None, "keep": "mae"}, "keep is mae, but head is null"),
        ({"gender": None, "keep": "gender"}, "keep is gender, but gender is null"),
        ({"schedule": {"kind": "plateau"}}, "plateau is not for vectors"),
        ({"mlp__depth": 3}, "no such key; did you mean"),
    ],
)
def test_configurations_that_make_no_sense_are_told(changes: Any, says: str, vectors_config: MlpConfig) -> None:
    with pytest.raises(ConfigError, match=says):
        changed(vectors_config, **changes)


def test_a_damaged_run_is_told(vector_run: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_bytes((vector_run / "config.yaml").read_bytes())
    (tmp_path / "checkpoints" / "best.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(ConfigError, match="no weights of this run"):
        load_trained_mlp(tmp_path)


def test_a_training_on_crops_is_refused(vectors_config: MlpConfig, manifest: Manifest, tmp_path: Path) -> None:
    config = changed(vectors_config, data__manifest=str(manifest.folder))
    with pytest.raises(DataError, match="wants what agelens embed writes"):
        train_mlp(config, tmp_path / "run")


def test_a_photo_goes_through_the_embedder_of_a_bundle(
    manifest: Manifest, bundle_path: Path, vectors_config: MlpConfig, detector: Detector, tmp_path: Path
) -> None:
    """The features of the tiny bundle, learnt from as vectors: a photo gives what its stored vector gives."""
    embedder = open_embedder(bundle_path)
    store = read_manifest(embed_manifest(manifest, embedder, tmp_path / "store", dtype="float32"))
    config = changed(vectors_config, data__manifest=str(store.folder), data__batch_size=8)
    train_mlp(config, tmp_path / "run")
    trained = load_trained_mlp(tmp_path / "run")
    export_mlp(trained, store, tmp_path / "deep.onnx", name="deep")
    assert AgeEstimator.load(tmp_path / "deep.onnx").embedder is None  # no file is opened because a card names it
    estimator = AgeEstimator.load(tmp_path / "deep.onnx", detector=detector, embedder=bundle_path)
    assert estimator.bundle.card.embedder is not None
    assert estimator.bundle.card.embedder.name == bundle_path.name
    rows = manifest.split("val")
    crops = np.stack([manifest.read_crop(row) for _, row in rows.iterrows()])
    stored = estimator.predict_embeddings(read_vectors(store, store.split("val")))
    assert [face.age for face in stored] == pytest.approx(
        list(ages.expected_age(estimator.bundle.run_vectors(read_vectors(store, store.split("val"))).age_probs)),
        abs=1e-3,
    )
    embed_some = estimator.embedder.embed_some
    nothing = np.full((1, estimator.embedder.spec.width), np.nan, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimator.embedder, "embed_some", lambda some: np.concatenate([nothing, embed_some(some[1:])]))
        silent, told = estimator.photos(list(crops[:2]), cropped=True, workers=1)
    assert "makes no vector of a face in it" in str(silent.error)
    assert told.error is None
    assert len(told.faces) == 1
    (face,) = estimator.predict(crops[0], cropped=True)
    assert 0 <= face.age <= 100
    assert face.box[2] > 0
    other = tmp_path / "other.onnx"
    other.write_bytes((Path(__file__).parents[3] / "src/agelens/assets/agelens-lite.onnx").read_bytes())
    with pytest.raises(BundleError, match="which mean something else"):
        AgeEstimator.load(tmp_path / "deep.onnx", embedder=other)
