"""The service on a Ray cluster of this machine: the same answers, problems and limits."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from agelens import AgeEstimator, ConfigError
from agelens.client import Client
from agelens.serve.settings import SETTINGS, ServeSettings

pytest.importorskip("ray.serve")

from agelens.serve.ray import DEPLOYMENT, app, arguments

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTO = EXAMPLES / "eileen-collins.jpg"
KEY = "a-key-of-sixteen"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def address(cluster: None, make_bundle: Callable[..., Path], tmp_path: Path) -> Iterator[str]:
    """Of a deployment with the tiny bundle and a key."""
    from ray import serve

    keys, port = tmp_path / "keys", _free_port()
    keys.write_text(KEY + "\n", encoding="utf-8")
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    given = {"model": str(make_bundle()), "keys_file": str(keys), "max_bytes": 1_000_000, "log": "none"}
    serve.run(app(given), name="agelens", logging_config={"log_level": "ERROR"})
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


def test_a_replica_answers_as_the_estimator_does_and_refuses_as_the_service_does(
    address: str, make_bundle: Callable[..., Path]
) -> None:
    wanted = [face.to_dict() for face in AgeEstimator.load(make_bundle(), threads=1).predict(PHOTO)]
    assert wanted
    with Client(address, key=KEY) as client:
        told = client.predict([PHOTO, b"no image"])
        assert told[0]["faces"] == wanted
        assert "not an image" in told[1]["error"]
    options: dict[str, Any] = {"base_url": address, "headers": {"Authorization": f"Bearer {KEY}"}}
    with httpx2.Client(**options) as plain:
        bad = plain.post("/v1/predict", content=b"no image", headers={"Content-Type": "image/png"})
        assert (bad.status_code, bad.json()["code"]) == (422, "bad-image")
        assert bad.headers["content-type"] == "application/problem+json"
        assert bad.headers.get_list("x-request-id") == [bad.json()["request_id"]]
        large = plain.post("/v1/predict", content=bytes(1_000_001), headers={"Content-Type": "image/png"})
        assert (large.status_code, large.json()["code"]) == (413, "body-too-large")
        named = plain.get("/v1/models", headers={"X-Request-ID": "abc-1"})
        assert named.headers.get_list("x-request-id") == ["abc-1"]
        assert named.json()["models"][0]["name"] == "tiny"
        assert plain.get("/readyz").json() == {"status": "ready"}
        assert 'agelens_images_total{outcome="unreadable"} 2.0' in plain.get("/metrics").text
    with httpx2.Client(base_url=address) as stranger:
        assert stranger.get("/v1/models").json()["code"] == "unauthorized"


def test_a_model_that_is_not_there_is_told(cluster: None, tmp_path: Path) -> None:
    from ray import serve

    serve.start(proxy_location="Disabled")
    with pytest.raises(RuntimeError, match="agelens failed"):
        serve.run(app({"model": str(tmp_path / "missing.onnx")}), name="agelens", route_prefix=None)
    told = serve.status().applications["agelens"].deployments[DEPLOYMENT].message
    serve.shutdown()
    assert "missing.onnx: no such model file" in told


def test_arguments_are_settings_over_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert arguments({}) == (ServeSettings(), "", 1)
    monkeypatch.setenv(SETTINGS, json.dumps({"model": "open", "queue": 8, "origins": ["https://example.org"]}))
    settings, keys_file, replicas = arguments({"model": "lite", "batch_wait": "2.5", "replicas": "3", "keys_file": "k"})
    wanted = ServeSettings(model="lite", queue=8, batch_wait=2.5, origins=("https://example.org",))
    assert (settings, keys_file, replicas) == (wanted, "k", 3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"modle": "lite"}, "'modle': no such argument; wanted keys_file, replicas or one of batch_size"),
        ({"keys": [KEY]}, "'keys': no such argument"),
        ({"queue": "many"}, "queue: Input should be a valid integer"),
        ({"replicas": "two"}, "replicas: Input should be a valid integer"),
    ],
)
def test_arguments_that_are_none_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        arguments(given)


def test_the_example_of_a_configuration_is_one() -> None:
    from ray.serve.schema import ServeDeploySchema

    raw = yaml.safe_load((EXAMPLES / "ray_serve.yaml").read_text(encoding="utf-8"))
    known = ServeDeploySchema.model_validate(raw)
    (application,) = known.applications
    assert application.import_path == "agelens.serve.ray:app"
    assert application.deployments[0].name == DEPLOYMENT
    settings, _, _ = arguments(application.args)
    assert settings.queue <= application.deployments[0].max_ongoing_requests
