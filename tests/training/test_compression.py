"""Fewer bits a weight: what comes of the numbers, of the file and of its answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

import agelens.finishing
from agelens.bundle import Bundle
from agelens.compression import Bits, compressed, to_eight_bits
from agelens.data.manifest import Manifest
from agelens.errors import ExportError
from agelens.evaluate.evaluation import read_crops
from agelens.export import export


@pytest.fixture
def product() -> tuple[onnx.ModelProto, npt.NDArray[np.float32]]:
    """A network that multiplies (N, 64) by weights (64, 32), and the weights."""
    weights = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 32])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), weights


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3)),
        elements=st.floats(-1e6, 1e6, width=32).filter(lambda one: one == 0 or abs(one) > 1e-29),
    )
)
def test_a_weight_in_eight_bits_is_off_by_half_a_step_at_most(weights: npt.NDArray[np.float32]) -> None:
    codes, steps = to_eight_bits(weights)
    assert codes.dtype == np.int8
    assert steps.shape == (len(weights), 1, 1)
    off = np.abs(codes.astype(np.float64) * steps - weights)
    assert (off <= 0.5001 * steps).all()
    assert np.array_equal(np.abs(codes).max(axis=(1, 2)) == 127, np.abs(weights).max(axis=(1, 2)) > 0)


@pytest.mark.parametrize(("bits", "off"), [(32, 0.0), (16, 2**-11), (8, 1 / 254)])
def test_a_product_is_what_the_rounded_weights_give(
    product: tuple[onnx.ModelProto, npt.NDArray[np.float32]], bits: Bits, off: float
) -> None:
    model, weights = product
    smaller = compressed(model, bits)
    onnx.checker.check_model(smaller, full_check=True)
    session = onnxruntime.InferenceSession(smaller.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"x": np.eye(64, dtype=np.float32)})  # the weights themselves
    assert np.abs(got - weights).max() <= off * np.abs(weights).max()
    assert (np.abs(got - weights).max() == 0) == (bits == 32)
    assert [one.name for one in model.graph.initializer] == ["w"]  # the one that was given stays


def test_a_bundle_with_fewer_bits_is_smaller_and_says_nearly_the_same(
    trained_run: Path, manifest: Manifest, tmp_path: Path
) -> None:
    paths = {bits: tmp_path / f"{bits}.onnx" for bits in (32, 16, 8)}
    moved = {bits: export(trained_run, path, name="tiny", bits=bits).moved for bits, path in paths.items()}
    assert 0 == moved[32] < moved[16] < moved[8]
    sizes = {bits: path.stat().st_size for bits, path in paths.items()}
    assert sizes[16] < 0.7 * sizes[32]
    assert sizes[8] < 0.8 * sizes[16]
    bundles = {bits: Bundle.load(path) for bits, path in paths.items()}
    crops = read_crops(manifest, manifest.split("val"), bundles[32])
    said = {bits: bundle.run(crops).age_probs for bits, bundle in bundles.items()}
    assert 0 < np.abs(said[16] - said[32]).max() < 1e-3
    assert 0 < np.abs(said[8] - said[32]).max() < 0.02


def test_bits_that_move_the_ages_too_far_are_refused(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agelens.finishing, "MAX_ROUNDING", 1e-9)
    with pytest.raises(ExportError, match=r"fewer bits move the age by .* take more bits"):
        export(trained_run, tmp_path / "small.onnx", name="tiny", bits=8)
    assert not (tmp_path / "small.onnx").exists()


def test_the_card_says_the_bits(trained_run: Path, tmp_path: Path) -> None:
    for bits in (None, 16):
        export(trained_run, tmp_path / "bundle.onnx", name="tiny", bits=bits)
        assert Bundle.load(tmp_path / "bundle.onnx").card.training["config"]["bits"] == (bits or 32)
