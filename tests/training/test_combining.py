"""Several bundles in one: what it answers, against numpy and Pillow, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from agelens import ages
from agelens.bundle import Bundle, Output
from agelens.card import CARD_KEY, Card, dump_card
from agelens.combining import LEAST, combine
from agelens.data.columns import GENDERS
from agelens.data.manifest import Manifest
from agelens.errors import BundleError, ConfigError, DataError, ExportError
from agelens.evaluate.answers import answers_of
from agelens.evaluate.evaluation import read_crops
from agelens.evaluate.figures import figures
from agelens.faces.align import CropSpec
from agelens.train.balance import training_year_weights


def _bundle(
    path: Path, size: int, *, seed: int, genders: tuple[str, ...] = GENDERS, opset: int = 20, **card: Any
) -> Path:
    """Answers by how bright each quarter of the crop is, of crops of 32 or 64 pixels."""
    rng = np.random.default_rng(seed)
    half = [size // 2] * 2
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["quarters"], kernel_shape=half, strides=half),
        helper.make_node("Flatten", ["quarters"], ["flat"]),
    ]
    outputs, weights = [], []
    for name, width in (("age_probs", 101), ("gender_probs", len(genders))):
        if width:
            weights.append(numpy_helper.from_array(rng.normal(0, 0.02, (12, width)).astype(np.float32), f"{name}_w"))
            nodes.append(helper.make_node("MatMul", ["flat", f"{name}_w"], [f"{name}_raw"]))
            nodes.append(helper.make_node("Softmax", [f"{name}_raw"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]))
    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", size, size, 3])
    graph = helper.make_graph(nodes, "made_up", [crops], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    told: dict[str, Any] = {
        "name": path.stem,
        "version": "0",
        "crop": CropSpec(size, 0.0),
        "genders": genders,
        "flip": False,
    }
    told |= {"interval_masses": {"0.9": 0.9}, "training": {"datasets": [path.stem]}, "terms": f"{path.stem}'s", **card}
    helper.set_model_props(model, {CARD_KEY: dump_card(Card(**told))})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two bundles, of 64 and 32 pixels, the second of older operators."""
    return [_bundle(tmp_path / "large.onnx", 64, seed=1), _bundle(tmp_path / "small.onnx", 32, seed=2, opset=18)]


def _faces(size: int) -> npt.NDArray[np.uint8]:
    """Ten coarse pictures."""
    coarse = np.random.default_rng(0).integers(0, 256, (10, 5, 5, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC)) for one in coarse])


def _shown(crops: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BILINEAR)) for one in crops])


def _pooled(outputs: list[Output], weights: list[float]) -> npt.NDArray[np.float64]:
    product = np.ones((len(outputs[0].age_probs), 101))
    for output, weight in zip(outputs, weights, strict=True):
        product *= (output.age_probs.astype(np.float64) + LEAST) ** weight
    return np.asarray(product / product.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("weights", [None, [0.7, 0.6]])
def test_answers_are_the_product_of_what_each_says_of_the_face_at_its_size(
    weights: list[float] | None, pair: list[Path], manifest: Manifest, tmp_path: Path
) -> None:
    card = combine(pair, tmp_path / "both.onnx", name="both", manifest=manifest, weights=weights).card
    assert (card.crop, card.genders, card.flip) == (CropSpec(64, 0.0), GENDERS, False)
    crops, shares = _faces(64), weights or [0.5, 0.5]
    alone = [Bundle.load(path).run(_shown(crops, size)) for path, size in zip(pair, (64, 32), strict=True)]
    got = Bundle.load(tmp_path / "both.onnx").run(crops)
    assert got.age_probs == pytest.approx(_pooled(alone, shares), rel=0.02, abs=1e-6)
    mean = sum(share * one.gender_probs for share, one in zip(shares, alone, strict=True)) / sum(shares)
    assert got.gender_probs == pytest.approx(mean, abs=2e-3)


def test_the_card_tells_of_all_and_is_calibrated_by_the_manifest(
    pair: list[Path], manifest: Manifest, tmp_path: Path
) -> None:
    made = combine(pair, tmp_path / "both.onnx", name="both", manifest=manifest, weights=[1.0, 3.0])
    card = Bundle.load(tmp_path / "both.onnx").card
    assert card == made.card
    assert card.name == "both"
    assert card.terms == "large's; small's"
    assert card.training["datasets"] == ["large", "small"]
    assert [(one["name"], one["weight"]) for one in card.training["members"]] == [("large", 1.0), ("small", 3.0)]
    measured = figures(answers_of(made.predictions, card.interval_mass(0.9)), 0.9)["all"]
    assert measured["mae"] == pytest.approx(card.figures["val"]["all"]["mae"], abs=1e-3)
    assert measured["coverage"] >= 0.9


def test_rare_ages_can_be_raised(pair: list[Path], manifest: Manifest, tmp_path: Path) -> None:
    for name, power in (("plain", 0.0), ("even", 0.5)):
        combine(pair, tmp_path / f"{name}.onnx", name=name, manifest=manifest, rebalance=power)
    crops = _faces(64)
    plain, even = (Bundle.load(tmp_path / f"{name}.onnx").run(crops).age_probs for name in ("plain", "even"))
    weights = training_year_weights(manifest, 0.5)
    assert weights is not None
    wanted = plain * weights
    assert even == pytest.approx(wanted / wanted.sum(axis=1, keepdims=True), rel=1e-3, abs=1e-7)


def test_one_without_gender_leaves_it_to_the_others(pair: list[Path], manifest: Manifest, tmp_path: Path) -> None:
    silent = _bundle(tmp_path / "silent.onnx", 64, seed=3, genders=())
    card = combine([silent, pair[0]], tmp_path / "both.onnx", name="both", manifest=manifest).card
    crops = _faces(64)
    got, alone = (Bundle.load(path).run(crops) for path in (tmp_path / "both.onnx", pair[0]))
    assert card.genders == GENDERS
    assert got.gender_probs == pytest.approx(alone.gender_probs, abs=1e-6)
    none = combine([silent, silent], tmp_path / "none.onnx", name="none", manifest=manifest).card
    assert none.genders == ()


def test_a_bundle_with_itself_says_the_same(bundle_path: Path, manifest: Manifest, tmp_path: Path) -> None:
    card = combine([bundle_path, bundle_path], tmp_path / "twice.onnx", name="twice", manifest=manifest, bits=16).card
    assert card.flip
    twice, once = (Bundle.load(path) for path in (tmp_path / "twice.onnx", bundle_path))
    crops = read_crops(manifest, manifest.split("val"), once)
    assert twice.run(crops).gender_probs == pytest.approx(once.run(crops).gender_probs, abs=0.01)
    assert twice.run(crops).age_probs == pytest.approx(once.run(crops).age_probs, abs=2e-3)


def test_answers_that_are_sure_stay_sure(manifest: Manifest, tmp_path: Path) -> None:
    """As of infants: what is added to each year so that none is ruled out must not move them."""
    sure = _bundle(tmp_path / "sure.onnx", 64, seed=1)
    model = onnx.load(sure)
    (weights,) = (one for one in model.graph.initializer if one.name == "age_probs_w")
    favoured = np.zeros((12, 101), np.float32)
    favoured[:, 1] = 0.02
    weights.CopyFrom(numpy_helper.from_array(favoured, weights.name))
    sure.write_bytes(model.SerializeToString())
    combine([sure, sure], tmp_path / "both.onnx", name="both", manifest=manifest)
    crops = _faces(64)
    alone, both = (ages.expected_age(Bundle.load(path).run(crops).age_probs) for path in (sure, tmp_path / "both.onnx"))
    assert alone.max() < 1.1
    assert both == pytest.approx(alone, abs=0.02)


def test_networks_whose_names_are_ours_can_be_joined(pair: list[Path], manifest: Manifest, tmp_path: Path) -> None:
    """Names that the joined network uses too, gender told first, and weights that are inputs as well."""
    model = onnx.load(pair[1])
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = {"wide": "crops_wide", "flat": "age_probs_log"}.get(name, name)
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(reversed(outputs))
    (weights,) = (one for one in model.graph.initializer if one.name == "age_probs_w")
    model.graph.input.insert(0, helper.make_tensor_value_info(weights.name, TensorProto.FLOAT, list(weights.dims)))
    odd = tmp_path / "odd.onnx"
    odd.write_bytes(model.SerializeToString())
    for name, second in (("plain", pair[1]), ("odd", odd)):
        combine([pair[0], second], tmp_path / f"with-{name}.onnx", name=name, manifest=manifest)
    plain, got = (Bundle.load(tmp_path / f"with-{name}.onnx").run(_faces(64)) for name in ("plain", "odd"))
    assert got.age_probs == pytest.approx(plain.age_probs, abs=1e-6)
    assert got.gender_probs == pytest.approx(plain.gender_probs, abs=1e-6)


def test_terms_stand_once_and_missing_ones_are_told(manifest: Manifest, tmp_path: Path) -> None:
    one = _bundle(tmp_path / "one.onnx", 64, seed=1, terms="a; b")
    two = _bundle(tmp_path / "two.onnx", 64, seed=2, terms="b", training={"datasets": None, "name": "x", "weight": "y"})
    three = _bundle(tmp_path / "three.onnx", 64, seed=3, terms="")
    card = combine([one, two, three], tmp_path / "all.onnx", name="all", manifest=manifest).card
    assert card.terms == "a; b; three: terms not stated"
    assert card.training["datasets"] == ["one", "three"]
    assert [member["name"] for member in card.training["members"]] == ["one", "two", "three"]
    assert card.training["members"][1]["training"]["weight"] == "y"


def test_a_file_with_a_built_in_models_name_is_that_file(
    pair: list[Path], manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").write_bytes(pair[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    card = combine(["./base", pair[1]], tmp_path / "both.onnx", name="both", manifest=manifest).card
    assert card.training["members"][0]["name"] == "large"


def test_what_does_not_fit_together_is_refused(pair: list[Path], manifest: Manifest, tmp_path: Path) -> None:
    wider = _bundle(tmp_path / "wider.onnx", 64, seed=1, crop=CropSpec(64, 0.1))
    others = _bundle(tmp_path / "others.onnx", 64, seed=1, genders=("female", "male"))
    newer = _bundle(tmp_path / "newer.onnx", 64, seed=1, opset=21)
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    for bundles, options, error, message in (
        (pair[:1], {}, ConfigError, "1 bundle to combine; give 2 or more"),
        (pair, {"weights": [1.0]}, ConfigError, r"weights \[1.0\] for 2 bundles"),
        (pair, {"weights": [1.0, 0.0]}, ConfigError, r"give a number of 0.01 to 100 for each"),
        (pair, {"weights": [1.0, 1e30]}, ConfigError, r"give a number of 0.01 to 100 for each"),
        (pair, {"weights": [1.0, float("nan")]}, ConfigError, r"give a number of 0.01 to 100 for each"),
        (pair, {"rebalance": 2.0}, ConfigError, "rebalance is 2.0; it must lie within 0…1"),
        ([pair[0], wider], {}, ConfigError, r"wider.onnx: its crops are of template face and margin 0.1"),
        ([pair[0], others], {}, ConfigError, "tell other genders"),
        ([pair[0], newer], {}, ExportError, "newer.onnx: has operators of 21; wanted ONNX 20 at most"),
        ([pair[0], tmp_path / "none.onnx"], {}, BundleError, "no such model file"),
        ([pair[0], tmp_path / "broken.onnx"], {}, BundleError, "not an ONNX network"),
    ):
        with pytest.raises(error, match=message):
            combine(bundles, tmp_path / "out.onnx", name="out", manifest=manifest, **options)
    assert not (tmp_path / "out.onnx").exists()


def test_a_manifest_without_validation_faces_is_refused(pair: list[Path], manifest: Manifest, tmp_path: Path) -> None:
    empty = Manifest(manifest.table[manifest.table["split"] != "val"], manifest.crop, manifest.folder)
    with pytest.raises(DataError, match="no samples in split 'val'"):
        combine(pair, tmp_path / "out.onnx", name="out", manifest=empty)


def test_the_command_writes_a_bundle_and_takes_no_inputs_place(
    pair: list[Path], manifest: Manifest, tmp_path: Path, run: Any
) -> None:
    done = run("combine", *pair, "--manifest", manifest.folder, "--out", tmp_path / "both.onnx", "--weights", 1, 2)
    assert done.status == 0
    assert "both.onnx (0.0 MB): validation MAE" in done.err
    assert Bundle.load(tmp_path / "both.onnx").card.training["members"][1]["weight"] == 2
    before = pair[0].read_bytes()
    assert "is one of the inputs" in run("combine", *pair, "--manifest", manifest.folder, "--out", pair[0]).complaint
    assert pair[0].read_bytes() == before
    assert onnx.load(tmp_path / "both.onnx").graph.name == "combined"
