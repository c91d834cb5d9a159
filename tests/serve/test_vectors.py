"""Vectors over HTTP: JSON and npy, and everything that is no vector."""

from __future__ import annotations

import io
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from starlette.testclient import TestClient

from agelens import AgeEstimator
from agelens.embedders import open_embedder
from agelens.faces.detector import FixedDetector
from agelens.faces.embedder import EMBEDDER_CROP
from agelens.serve.app import create_app
from agelens.serve.settings import ServeSettings

WIDTH = 48
NPY = {"Content-Type": "application/x-npy"}


def _network() -> onnx.ModelProto:
    weights = np.random.default_rng(0).normal(0, 3, (WIDTH, 101)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["vectors", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["age_probs"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["N", WIDTH])],
        [helper.make_tensor_value_info("age_probs", TensorProto.FLOAT, ["N", 101])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.fixture
def estimator(make_bundle: Callable[..., Path], write_embedder: Callable[..., Path]) -> AgeEstimator:
    """Of a bundle that takes the tiny embedder's vectors, which nothing here makes."""
    spec = open_embedder(write_embedder()).spec
    path = make_bundle(network=_network(), crop=EMBEDDER_CROP, genders=(), embedder=spec)
    return AgeEstimator.load(path, detector=FixedDetector())


@pytest.fixture
def fingerprint(estimator: AgeEstimator) -> str:
    embedder = estimator.bundle.card.embedder
    assert embedder is not None
    return embedder.fingerprint


@pytest.fixture
def client(estimator: AgeEstimator) -> Iterator[TestClient]:
    with TestClient(create_app(ServeSettings(max_vectors=5), estimator), raise_server_exceptions=False) as client:
        yield client


def _vectors(count: int = 3) -> np.ndarray[Any, Any]:
    vectors = np.random.default_rng(1).normal(size=(count, WIDTH))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _npy(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["float64", "float32", ">f4"])
def test_json_and_npy_give_the_estimators_answer(
    client: TestClient, estimator: AgeEstimator, fingerprint: str, dtype: str
) -> None:
    vectors = _vectors().astype(dtype)
    faces = estimator.predict_embeddings(vectors.astype(np.float64))
    wanted = pytest.approx([face.age for face in faces], abs=0.02)
    asked = {"embedder": fingerprint, "vectors": vectors.tolist()}
    for body in (vectors, np.asfortranarray(vectors)):
        answer = client.post(f"/v1/predict/embedding?embedder={fingerprint}", content=_npy(body), headers=NPY)
        assert [face["age"] for face in answer.json()["faces"]] == wanted
    told = client.post("/v1/predict/embedding", json=asked).json()
    assert [face["age"] for face in told["faces"]] == wanted
    assert told["model"] == "tiny"
    assert told["faces"][0]["gender"] is None


def test_the_model_says_which_vectors_it_takes(client: TestClient, fingerprint: str) -> None:
    model = client.get("/v1/models").json()["models"][0]
    assert model["takes"] == "vectors"
    assert model["card"]["embedder"]["fingerprint"] == fingerprint


def test_photos_are_not_taken_where_nothing_makes_vectors_of_them(client: TestClient) -> None:
    answer = client.post("/v1/predict", content=b"x", headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (409, "takes-vectors-only")


@pytest.mark.parametrize(
    "vectors",
    [
        [],
        [[]],
        [[1.0] * 47],
        [[1.0] * 48, [1.0]],
        [["x"] * 48],
        [[1e400] * 48],
        [[0.0] * 48],
        [[1.0] * 48] * 6,
        None,
        3,
    ],
)
def test_what_are_no_vectors_are_a_problem(client: TestClient, fingerprint: str, vectors: Any) -> None:
    import json

    body = json.dumps({"embedder": fingerprint, "vectors": vectors})
    answer = client.post("/v1/predict/embedding", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("bad-json", "bad-vectors")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 100,
        _npy(np.array([{"a": 1}], dtype=object), allow_pickle=True),
        _npy(np.zeros((2, WIDTH), np.int32)),
        _npy(np.zeros((2, WIDTH), np.complex64)),
        _npy(np.zeros((2, 2, WIDTH))),
        _npy(np.zeros((0, WIDTH))),
        _npy(np.array(1.0)),
        _npy(np.full((2, WIDTH), np.nan)),
        _npy(np.full((2, WIDTH), np.inf)),
        _npy(_vectors())[:-8],
        _npy(_vectors()) + b"more",
        _npy(_vectors()).replace(b"(3, 48)", b"(3e9,8)"),
        _npy(_vectors(6)),
    ],
)
def test_hostile_npy_files_are_a_problem(client: TestClient, fingerprint: str, body: bytes) -> None:
    answer = client.post(f"/v1/predict/embedding?embedder={fingerprint}", content=body, headers=NPY)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-vectors")


def test_a_size_that_is_only_claimed_takes_no_memory(client: TestClient, fingerprint: str) -> None:
    claimed = _npy(_vectors()).replace(b"'shape': (3, 48), }        ", b"'shape': (300000000000, 48)")
    claimed = claimed.replace(b"(300000000000, 48)", b"(300000000, 48), } ")
    answer = client.post(f"/v1/predict/embedding?embedder={fingerprint}", content=claimed, headers=NPY)
    assert answer.json()["code"] == "bad-vectors"


def test_another_embedders_vectors_are_refused(client: TestClient) -> None:
    answer = client.post("/v1/predict/embedding", json={"embedder": "0" * 64, "vectors": _vectors().tolist()})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-embedder")
    answer = client.post("/v1/predict/embedding", content=_npy(_vectors()), headers=NPY)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-request")


def test_nothing_is_unpickled(client: TestClient, fingerprint: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("unpickled",))

    for body in (pickle.dumps(Bomb()), _npy(np.array([Bomb()], dtype=object), allow_pickle=True)):
        answer = client.post(f"/v1/predict/embedding?embedder={fingerprint}", content=body, headers=NPY)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad-vectors")


def test_vectors_take_room_as_photos_do(
    estimator: AgeEstimator, fingerprint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    plain = AgeEstimator.predict_embeddings
    monkeypatch.setattr(AgeEstimator, "predict_embeddings", lambda *given: (go.wait(20), plain(*given))[1])
    address, body = f"/v1/predict/embedding?embedder={fingerprint}", _npy(_vectors())
    app = create_app(ServeSettings(queue=1), estimator)
    with TestClient(app) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, address, content=body, headers=NPY)
        while not app.state.engine.inside:
            time.sleep(0.01)
        assert client.post(address, content=body, headers=NPY).json()["code"] == "overloaded"
        go.set()
        assert len(first.result().json()["faces"]) == 3


@pytest.mark.parametrize("vectors", [b"[]," * 3_000_000 + b"[]", b"[" + b"1," * 5_000_000 + b"1]"])
def test_long_lists_are_refused_before_much_is_made_of_them(
    client: TestClient, fingerprint: str, vectors: bytes
) -> None:
    body = b'{"embedder":"' + fingerprint.encode() + b'","vectors":[' + vectors + b"]}"
    began = time.monotonic()
    answer = client.post("/v1/predict/embedding", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert time.monotonic() - began < 1
