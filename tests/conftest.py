"""Builders shared by the tests: a tiny bundle made without torch, faces, and photos."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper

from agelens.ages import NUM_BINS
from agelens.bundle import FEATURES
from agelens.card import CARD_KEY, Card, dump_card
from agelens.faces.align import TEMPLATES, CropSpec
from agelens.faces.detector import Detection

SIZE = 16
ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"

Floats = npt.NDArray[np.float32]

settings.register_profile("agelens", deadline=None, max_examples=50)  # no deadline: the machine may be busy
settings.load_profile("agelens")


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Imports a file that is in no package, as "benchmarks/planting.py", by its path from the repository's root."""

    def load(path: str) -> ModuleType:
        file = ROOT / path
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = module  # its dataclasses look themselves up
        spec.loader.exec_module(module)
        return module

    return load


def _card() -> Card:
    return Card(
        name="tiny",
        version="0.1.0",
        crop=CropSpec(SIZE, 0.1),
        genders=("female", "male"),
        flip=False,
        interval_masses={"0.5": 0.4, "0.9": 0.8},
    )


def _age_weights(size: int) -> tuple[Floats, Floats]:
    """Logits that are a normal density around 90 x the crop's brightness, the left half counting three times."""
    pixels = np.full((size, size, 3), 0.5)
    pixels[:, : size // 2] = 1.5
    bins = np.arange(NUM_BINS)
    weights = 90 * np.outer(pixels.ravel() / pixels.size / 255, bins / 9)
    return weights.astype(np.float32), (-(bins**2) / 18).astype(np.float32)


def _gender_weights(size: int) -> tuple[Floats, Floats]:
    """The first gender where red outweighs blue."""
    pixels = np.zeros((size, size, 3, 2))
    pixels[:, :, 0, 0] = pixels[:, :, 2, 1] = 5 / 255 / size**2
    return pixels.reshape(-1, 2).astype(np.float32), np.zeros(2, np.float32)


def _network(
    size: int = SIZE,
    *,
    crops: str = "crops",
    batch: str | int = "N",
    pixel_type: int = TensorProto.UINT8,
    outputs: Sequence[str] = ("age_probs", "gender_probs"),
    age_bias: Floats | None = None,
    last: str = "Softmax",
    gender: bool = True,
) -> onnx.ModelProto:
    age, other = _age_weights(size), _gender_weights(size)
    tables = {
        "shape": np.array([0, -1], np.int64),
        "age_weights": age[0],
        "age_bias": age[1] if age_bias is None else age_bias,
        "gender_weights": other[0],
        "gender_bias": other[1],
    }
    nodes = [
        helper.make_node("Cast", [crops], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["flat"]),
    ]
    columns = {"age": NUM_BINS, "gender": 2} if gender else {"age": NUM_BINS}
    for kind, output in zip(columns, outputs, strict=False):
        nodes.append(helper.make_node("MatMul", ["flat", f"{kind}_weights"], [f"{kind}_raw"]))
        nodes.append(helper.make_node("Add", [f"{kind}_raw", f"{kind}_bias"], [f"{kind}_logits"]))
        nodes.append(helper.make_node(last, [f"{kind}_logits"], [output]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(crops, pixel_type, [batch, size, size, 3])],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, width])
            for output, width in zip(outputs, columns.values(), strict=False)
        ],
        [numpy_helper.from_array(table, name) for name, table in tables.items() if gender or "gender" not in name],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.fixture
def card() -> Card:
    """The card of the tiny bundle."""
    return _card()


@pytest.fixture(scope="session")
def make_network() -> Callable[..., onnx.ModelProto]:
    """Builds the tiny network: uint8 crops to ages and genders; keywords make it differ from what a bundle's is."""
    return _network


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny bundle; ``network`` and ``text`` (of the card) replace its parts, other keywords the card's."""

    def make(name: str = "tiny.onnx", *, network: Any = None, text: str | None = None, **changes: Any) -> Path:
        model = _network() if network is None else network
        helper.set_model_props(model, {CARD_KEY: text or dump_card(replace(_card(), **changes))})
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return make


@pytest.fixture
def feature_bundle(make_bundle: Callable[..., Path], make_network: Callable[..., onnx.ModelProto]) -> Path:
    """A tiny bundle whose heads take the crops' numbers as they are: 768 of them, by the name of features."""
    network = make_network()
    for node in network.graph.node:
        for names in (node.input, node.output):
            names[:] = [FEATURES if name == "flat" else name for name in names]
    return make_bundle("features.onnx", network=network)


def _recognition(
    *, batch: str | int = "N", side: int = 112, kind: int = TensorProto.FLOAT, scale: float = 1.0
) -> onnx.ModelProto:
    """Means over a grid of 4 x 4 fields, colour by colour: 48 numbers a face."""
    nodes = [
        helper.make_node("AveragePool", ["faces"], ["fields"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Mul", ["fields", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["vectors"]),
    ]
    tables = {"shape": np.array([0, 48], np.int64), "scale": np.array(scale, np.float32)}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("faces", kind, [batch, 3, side, side])],
        [helper.make_tensor_value_info("vectors", kind, [batch, 48])],
        [numpy_helper.from_array(table, name) for name, table in tables.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.fixture
def write_embedder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny face-recognition network, 48 numbers a face; keywords make it another."""

    def write(name: str = "embedder.onnx", **changes: Any) -> Path:
        path = tmp_path / name
        path.write_bytes(_recognition(**changes).SerializeToString())
        return path

    return write


@pytest.fixture(scope="session")
def tiny_reference() -> Callable[[npt.NDArray[np.uint8]], tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """What the tiny network computes, written again in numpy: crops to age and gender probabilities."""

    def reference(crops: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        flat = crops.reshape(len(crops), -1).astype(np.float64)
        results = []
        for weights, bias in (_age_weights(crops.shape[1]), _gender_weights(crops.shape[1])):
            logits = flat @ weights + bias
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            results.append(powers / powers.sum(axis=1, keepdims=True))
        return results[0], results[1]

    return reference


@pytest.fixture(scope="session")
def make_detection() -> Callable[..., Detection]:
    """Builds a detection: a face whose template square has this middle, side and turn (degrees)."""

    def make(x: float, y: float, side: float = 40, turn: float = 0, score: float = 0.9) -> Detection:
        angle = np.deg2rad(turn)
        rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        landmarks = (TEMPLATES["face"] - 0.5) * side @ rotation + [x, y]
        half = side / 2
        return Detection((x - half, y - half, x + half, y + half), landmarks.astype(np.float32), score)

    return make


@pytest.fixture(scope="session")
def make_image() -> Callable[..., npt.NDArray[np.uint8]]:
    """Builds a smooth colourful RGB picture, the same for the same size and seed."""

    def make(width: int = 120, height: int = 90, seed: int = 0) -> npt.NDArray[np.uint8]:
        phases = np.random.default_rng(seed).uniform(0, 6, (3, 2))
        y, x = np.mgrid[:height, :width] / 40.0
        planes = [128 + 60 * np.sin(3 * x + a) + 60 * np.cos(4 * y + b) for a, b in phases]
        return np.stack(planes, axis=2).round().astype(np.uint8)

    return make


@pytest.fixture
def portrait() -> Path:
    """A real photo of one face."""
    photos = sorted(path for path in EXAMPLES.glob("*") if path.suffix in (".jpg", ".png"))
    if not photos:
        pytest.skip("examples/ holds no portrait")
    return photos[0]


@pytest.fixture(scope="session")
def ray_token() -> str:
    """For the Ray clusters of this process, which keeps the first one that it is told."""
    return secrets.token_hex(32)


@pytest.fixture(scope="module")
def cluster(ray_token: str) -> Iterator[None]:
    """A small Ray cluster on this machine, for the tests of one file."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_AUTH_TOKEN", ray_token)  # else it writes one into the home folder
        ray.init(
            num_cpus=2,
            object_store_memory=100 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _node_ip_address="127.0.0.1",
        )
        yield
        ray.shutdown()
