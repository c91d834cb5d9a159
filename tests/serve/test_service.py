"""The service's addresses: what they take, what they answer, what they refuse."""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from starlette.testclient import TestClient

from agelens import AgeEstimator, BundleError, ConfigError
from agelens.faces.detector import Detection, FixedDetector
from agelens.serve.app import create_app
from agelens.serve.problems import PROBLEMS
from agelens.serve.settings import SETTINGS as VARIABLE
from agelens.serve.settings import ServeSettings, read_keys, settings_from_environment

Pixels = npt.NDArray[np.uint8]
SETTINGS = ServeSettings(batch_wait=1)


def _png(image: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture
def photo(make_image: Callable[..., Pixels]) -> bytes:
    return _png(make_image())


@pytest.fixture
def estimator(make_bundle: Callable[..., Path], make_detection: Callable[..., Detection]) -> AgeEstimator:
    """Of the tiny bundle, with a face in every photo."""
    return AgeEstimator.load(make_bundle(), detector=FixedDetector([make_detection(60, 45)]), threads=1)


@pytest.fixture
def serve(estimator: AgeEstimator) -> Iterator[Callable[..., TestClient]]:
    """Starts a service with other settings than the usual ones."""
    started: list[TestClient] = []

    def start(given: AgeEstimator = estimator, **changes: Any) -> TestClient:
        client = TestClient(create_app(replace(SETTINGS, **changes), given), raise_server_exceptions=False)
        client.__enter__()
        started.append(client)
        return client

    yield start
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    return serve()


def _problem(answer: Any, code: str) -> dict[str, Any]:
    """The members of a problem, seen to be one."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert answer.status_code == told["status"] == PROBLEMS[code].status
    assert told["code"] == code
    assert told["type"] == f"urn:agelens:problem:{code}"
    assert told["request_id"] == answer.headers["x-request-id"]
    assert "\n" not in told["detail"]
    return dict(told)


def test_all_ways_of_sending_a_photo_give_the_commands_answer(
    client: TestClient, estimator: AgeEstimator, photo: bytes
) -> None:
    wanted = [face.to_dict() for face in estimator.predict(photo)]
    text = base64.b64encode(photo).decode()
    answers = [
        client.post("/v1/predict", files=[("file", ("a.png", photo, "image/png"))]),
        client.post("/v1/predict", content=photo, headers={"Content-Type": "image/png"}),
        client.post("/v1/predict", content=photo, headers={"Content-Type": "application/octet-stream"}),
        client.post("/v1/predict", json={"images": [text]}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["photos"][0]["faces"] == wanted
        assert answer.json()["model"] == "tiny"
    assert [answer.json()["photos"][0]["path"] for answer in answers] == ["a.png", None, None, None]
    assert list(answers[0].json()["photos"][0]) == ["path", "width", "height", "faces", "error"]


def test_many_photos_are_answered_in_order_and_a_bad_one_carries_its_error(client: TestClient, photo: bytes) -> None:
    files = [("file", (f"{number}.png", b"bad" if number == 1 else photo, "image/png")) for number in range(4)]
    photos = client.post("/v1/predict", files=files).json()["photos"]
    assert [one["path"] for one in photos] == ["0.png", "1.png", "2.png", "3.png"]
    assert [one["error"] is None for one in photos] == [True, False, True, True]
    assert [len(one["faces"]) for one in photos] == [1, 0, 1, 1]


def test_a_crop_is_said_to_be_one_in_any_way(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Path]
) -> None:
    client = serve(AgeEstimator.load(make_bundle(), detector=FixedDetector()))
    crop = _png(np.full((40, 40, 3), 90, np.uint8))
    text = base64.b64encode(crop).decode()
    ways = [
        client.post("/v1/predict?cropped=true", content=crop, headers={"Content-Type": "image/png"}),
        client.post("/v1/predict", files=[("file", ("a.png", crop, "image/png"))], data={"cropped": "true"}),
        client.post("/v1/predict", json={"images": [text], "cropped": True}),
    ]
    assert [len(way.json()["photos"][0]["faces"]) for way in ways] == [1, 1, 1]
    assert not client.post("/v1/predict", json={"images": [text]}).json()["photos"][0]["faces"]


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("wrong-content-type", {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
        ("wrong-content-type", {"content": b"x"}),
        ("no-image", {"content": b"", "headers": {"Content-Type": "image/png"}}),
        ("no-image", {"files": [("file", ("a.png", b"", "image/png"))]}),
        ("bad-request", {"files": [("photo", ("a.png", b"x", "image/png"))]}),
        ("bad-request", {"files": [("file", ("a.png", b"x", "image/png"))], "data": {"path": "/etc/passwd"}}),
        ("bad-request", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
        ("bad-request", {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}),
        ("bad-json", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        ("bad-json", {"json": {"images": []}}),
        ("bad-json", {"json": {"images": ["no base64!"]}}),
        ("bad-json", {"json": {"images": ["aGk="], "url": "http://127.0.0.1/"}}),
        ("bad-json", {"json": [[]]}),
        ("bad-image", {"content": b"no image", "headers": {"Content-Type": "image/png"}}),
        ("too-many-images", {"json": {"images": ["aGk="] * 17}}),
        ("too-many-images", {"files": [("file", ("a.png", b"x", "image/png"))] * 17}),
        ("too-many-images", {"files": [("file", ("a.png", b"x", "image/png"))] * 40}),
    ],
)
def test_what_is_no_request_is_a_problem(client: TestClient, code: str, given: dict[str, Any]) -> None:
    answer = client.post("/v1/predict", **given)
    if code == "no-image" and "files" in given:
        assert answer.status_code == 400
    _problem(answer, code)


def test_a_body_beyond_the_limit_is_refused_by_its_header_and_by_its_bytes(serve: Callable[..., TestClient]) -> None:
    client = serve(max_bytes=1000)
    kind = {"Content-Type": "image/png"}
    told = _problem(client.post("/v1/predict", content=bytes(1001), headers=kind), "body-too-large")
    assert told["max_bytes"] == 1000
    pieces = (bytes(400) for _ in range(4))  # no length is told
    _problem(client.post("/v1/predict", content=pieces, headers=kind), "body-too-large")


def test_too_many_pixels_are_refused_before_they_are_decoded(serve: Callable[..., TestClient], photo: bytes) -> None:
    told = _problem(
        serve(max_pixels=100).post("/v1/predict", content=photo, headers={"Content-Type": "image/png"}), "bad-image"
    )
    assert "pixels" in told["detail"]


def test_keys_are_wanted_where_there_are_some(serve: Callable[..., TestClient], photo: bytes) -> None:
    client = serve(keys=("a-key-of-sixteen", "another-key-of-16"))
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic a-key-of-sixteen"}):
        answer = client.get("/v1/models", headers=headers)
        _problem(answer, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/models", headers={"Authorization": "bearer another-key-of-16"}).status_code == 200
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    _problem(client.get("/metrics"), "unauthorized")


def test_keys_are_told_to_workers_by_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the shop, until spring\n\n a-key-of-sixteen \n", encoding="utf-8")
    told = ServeSettings(keys=read_keys(file), origins=("https://example.org",)).to_json(file)
    assert "a-key" not in told
    monkeypatch.setenv(VARIABLE, told)
    assert settings_from_environment() == ServeSettings(keys=("a-key-of-sixteen",), origins=("https://example.org",))


@pytest.mark.parametrize("name", ["rate", "request_seconds", "head_seconds", "batch_wait"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_limit_that_is_no_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} is"):
        ServeSettings(**{name: value})  # type: ignore[arg-type]


def test_more_requests_than_the_rate_are_refused(serve: Callable[..., TestClient]) -> None:
    client = serve(rate=2, burst=3)
    answers = [client.get("/v1/models") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    _problem(answers[-1], "too-many-requests")
    assert answers[-1].headers["retry-after"] == "1"
    time.sleep(0.6)
    assert client.get("/v1/models").status_code == 200


class SlowDetector:
    """Takes its time, until it is told to go on."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def detect(self, image: Pixels) -> list[Detection]:
        self.go.wait(20)
        return []


def test_a_full_service_refuses_at_once_and_recovers(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Path], photo: bytes
) -> None:
    slow = SlowDetector()
    client = serve(AgeEstimator.load(make_bundle(), detector=slow), queue=2)
    kind = {"Content-Type": "image/png"}
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, "/v1/predict", content=photo, headers=kind) for _ in range(2)]
        while client.app.state.engine.inside < 2:  # type: ignore[attr-defined]
            time.sleep(0.01)
        started = time.monotonic()
        answer = client.post("/v1/predict", content=photo, headers=kind)
        assert time.monotonic() - started < 1
        _problem(answer, "overloaded")
        assert answer.headers["retry-after"] == "1"
        slow.go.set()
        assert [one.result().status_code for one in waiting] == [200, 200]
    assert client.post("/v1/predict", content=photo, headers=kind).status_code == 200


def test_a_request_that_takes_too_long_is_answered_and_its_room_kept_until_its_work_ends(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Path], photo: bytes
) -> None:
    slow = SlowDetector()
    client = serve(AgeEstimator.load(make_bundle(), detector=slow), request_seconds=0.3, queue=1)
    kind = {"Content-Type": "image/png"}
    _problem(client.post("/v1/predict", content=photo, headers=kind), "too-slow")
    _problem(client.post("/v1/predict", content=photo, headers=kind), "overloaded")
    slow.go.set()
    while client.app.state.engine.inside:  # type: ignore[attr-defined]
        time.sleep(0.01)
    assert client.post("/v1/predict", content=photo, headers=kind).status_code == 200


def test_faces_of_several_requests_share_a_run(serve: Callable[..., TestClient], photo: bytes) -> None:
    client = serve(batch_wait=200)
    kind = {"Content-Type": "image/png"}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/predict", content=photo, headers=kind), range(6)))
    assert {answer.status_code for answer in answers} == {200}
    text = client.get("/metrics").text
    runs = float(next(line for line in text.splitlines() if line.startswith("agelens_batch_faces_count")).split()[1])
    assert runs < 6
    assert "agelens_faces_total 6.0" in text


def test_a_network_that_fails_is_told_and_the_service_goes_on(
    serve: Callable[..., TestClient], estimator: AgeEstimator, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    kind = {"Content-Type": "image/png"}
    with monkeypatch.context() as patch:
        patch.setattr(AgeEstimator, "finish", lambda *_: (_ for _ in ()).throw(RuntimeError("secret path")))
        told = _problem(client.post("/v1/predict", content=photo, headers=kind), "internal")
        assert "secret" not in json.dumps(told)
    assert client.post("/v1/predict", content=photo, headers=kind).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/nope", "not-found"), ("GET", "/v1/predict", "wrong-method")]
)
def test_other_addresses_and_methods_are_problems(client: TestClient, method: str, path: str, code: str) -> None:
    _problem(client.request(method, path), code)


def test_a_request_id_of_the_client_is_kept_where_it_is_a_plain_word(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/healthz", headers={"X-Request-ID": "a\tb" * 50}).headers["x-request-id"] != "a\tb" * 50


def test_other_pages_may_ask_only_where_it_is_said(serve: Callable[..., TestClient]) -> None:
    ask = {"Origin": "https://example.org"}
    assert "access-control-allow-origin" not in serve().get("/v1/models", headers=ask).headers
    allowed = serve(origins=("https://example.org",)).get("/v1/models", headers=ask)
    assert allowed.headers["access-control-allow-origin"] == "https://example.org"


def test_models_have_their_cards(client: TestClient) -> None:
    told = client.get("/v1/models").json()["models"]
    assert [(one["name"], one["takes"], one["card"]["name"]) for one in told] == [("tiny", "photos", "tiny")]


def test_vectors_are_not_taken_where_photos_are_wanted(client: TestClient) -> None:
    _problem(client.post("/v1/predict/embedding", json={"embedder": "0" * 64, "vectors": [[1.0]]}), "takes-no-vectors")


@pytest.mark.parametrize("end", [-8, -30])
def test_a_form_that_is_cut_off_is_refused_whole(client: TestClient, photo: bytes, end: int) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + photo + b"\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    body = part + part + b"--B--\r\n"
    assert len(client.post("/v1/predict", content=body, headers=kind).json()["photos"]) == 2
    told = _problem(client.post("/v1/predict", content=body[:end], headers=kind), "bad-request")
    assert "cut off" in told["detail"]


def test_a_name_that_json_cannot_hold_is_answered_all_the_same(client: TestClient, photo: bytes) -> None:
    head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="+2AA-"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=B; charset=utf-7"}
    answer = client.post("/v1/predict", content=head + photo + b"\r\n--B--\r\n", headers=kind)
    assert (answer.status_code, answer.json()["photos"][0]["path"]) == (200, "?")


def test_a_photo_of_more_faces_than_are_allowed_is_refused(
    serve: Callable[..., TestClient],
    make_bundle: Callable[..., Path],
    make_detection: Callable[..., Detection],
    photo: bytes,
) -> None:
    faces = FixedDetector([make_detection(60, 45)] * 3)
    client = serve(AgeEstimator.load(make_bundle(), detector=faces), max_faces=2)
    told = _problem(client.post("/v1/predict", content=photo, headers={"Content-Type": "image/png"}), "bad-image")
    assert "3 faces" in told["detail"]


def test_more_images_than_the_queue_holds_are_too_many_and_not_told_to_come_again(
    serve: Callable[..., TestClient], photo: bytes
) -> None:
    files = [("file", (f"{number}.png", photo, "image/png")) for number in range(3)]
    _problem(serve(queue=2).post("/v1/predict", files=files), "too-many-images")
    kind = {"Content-Type": "image/png"}
    _problem(serve(max_held=100).post("/v1/predict", content=bytes(101), headers=kind), "body-too-large")


@pytest.mark.parametrize(
    "body", [b'{"images":[' + b'"",' * 2_000_000 + b'""]}', b'{"images":["AA=="' + b',"AA=="' * 900 + b"]}"]
)
def test_long_lists_are_refused_before_much_is_made_of_them(client: TestClient, body: bytes) -> None:
    began = time.monotonic()
    answer = client.post("/v1/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413)
    assert time.monotonic() - began < 1


def test_a_model_that_fails_is_logged_and_its_words_are_not_told(
    client: TestClient, photo: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(AgeEstimator, "finish", lambda *_: (_ for _ in ()).throw(BundleError("a secret path")))
    monkeypatch.setattr(logging.getLogger("agelens.serve"), "propagate", True)
    told = _problem(client.post("/v1/predict", content=photo, headers={"Content-Type": "image/png"}), "internal")
    assert "secret" not in json.dumps(told)
    assert "a secret path" in caplog.text


def test_a_network_that_answers_too_little_does_not_end_the_thread(
    client: TestClient, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = {"Content-Type": "image/png"}
    with monkeypatch.context() as patch:
        patch.setattr(AgeEstimator, "finish", lambda *_: [])
        _problem(client.post("/v1/predict", content=photo, headers=kind), "internal")
    assert client.post("/v1/predict", content=photo, headers=kind).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_page_that_may_ask_can_ask_first_and_read_refusals(serve: Callable[..., TestClient]) -> None:
    client = serve(origins=("https://example.org",), keys=("a-key-of-sixteen",))
    ask = {"Origin": "https://example.org"}
    wanted = {**ask, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert client.options("/v1/predict", headers=wanted).status_code == 200
    refused = client.get("/v1/models", headers=ask)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://example.org"


def test_a_wrong_method_is_told_the_right_ones_and_no_address_leads_to_another(client: TestClient) -> None:
    assert client.get("/v1/predict").headers["allow"] == "POST"
    _problem(client.get("/v1/models/", follow_redirects=False), "not-found")


def test_who_is_refused_for_a_while_is_told_to_wait_long_enough(serve: Callable[..., TestClient]) -> None:
    client = serve(rate=0.4, burst=1)
    client.get("/v1/models")
    assert client.get("/v1/models").headers["retry-after"] == "3"  # after 2.5 s, and not before


def test_what_clients_make_up_is_counted_together(client: TestClient) -> None:
    for number in range(5):
        client.request(f"MADEUP{number}", f"/made-up/{number}")
    text = client.get("/metrics").text
    assert 'agelens_requests_total{method="other",path="other",status="404"} 5.0' in text
    assert "MADEUP" not in text
    assert "made-up" not in text
