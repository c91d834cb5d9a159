"""The client: what it sends, when it tries again, what it raises."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from agelens import AgelensError, ServiceError
from agelens.client import AsyncClient, Client

PHOTO = {"path": "a.jpg", "width": 4, "height": 3, "faces": [], "error": None}
PROBLEM = {"Content-Type": "application/problem+json"}
Answer = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited, without waiting."""
    found: list[float] = []

    async def later(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("agelens.client.time.sleep", found.append)
    monkeypatch.setattr("agelens.client.asyncio.sleep", later)
    return found


def _both(answer: Answer, call: str, *arguments: Any, **options: Any) -> list[Any]:
    """What the plain client gives, and what the other does."""

    async def ask() -> Any:
        async with AsyncClient("http://test", transport=httpx2.MockTransport(answer), **options) as client:
            return await getattr(client, call)(*arguments)

    with Client("http://test", transport=httpx2.MockTransport(answer), **options) as client:
        plain = getattr(client, call)(*arguments)
    return [plain, asyncio.run(ask())]


def test_photos_are_sent_as_a_form_with_their_names_and_the_key(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"one")

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        assert request.headers["authorization"] == "Bearer secret"
        assert request.url.path == "/v1/predict"
        assert b'name="file"; filename="a.jpg"' in body
        assert b"one" in body
        assert b"two" in body
        return httpx2.Response(200, json={"model": "tiny", "photos": [PHOTO, PHOTO]})

    assert _both(answer, "predict", [tmp_path / "a.jpg", b"two"], key="secret") == [[PHOTO, PHOTO]] * 2


def test_vectors_are_sent_as_npy() -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)

    def answer(request: httpx2.Request) -> httpx2.Response:
        np.testing.assert_array_equal(np.load(io.BytesIO(request.read()), allow_pickle=False), vectors)
        assert request.url.params["embedder"] == "abc"
        return httpx2.Response(200, json={"model": "tiny", "faces": [{"age": 3}]})

    assert _both(answer, "predict_embeddings", vectors, "abc") == [[{"age": 3}]] * 2


def test_a_busy_service_is_asked_again_when_it_says(waits: list[float]) -> None:
    answers = iter(
        answer
        for _ in range(2)
        for answer in (
            httpx2.Response(503, json={"code": "overloaded"}, headers={"Retry-After": "2"}),
            httpx2.Response(429, json={"code": "too-many-requests"}),
            httpx2.Response(200, json={"models": []}),
        )
    )
    assert _both(lambda _: next(answers), "models") == [[], []]
    assert len(waits) == 4
    assert all(2 <= wait <= 3 for wait in waits[::2])
    assert all(0.5 <= wait <= 0.75 for wait in waits[1::2])


def test_a_proxy_whose_worker_died_is_asked_again(waits: list[float]) -> None:
    answers = iter(
        answer
        for _ in range(2)
        for answer in (httpx2.Response(500, text="Internal Server Error"), httpx2.Response(200, json={"models": []}))
    )
    assert _both(lambda _: next(answers), "models") == [[], []]
    assert len(waits) == 2


@pytest.mark.parametrize("status", [400, 401, 413, 422, 500])
def test_other_refusals_are_raised_at_once(waits: list[float], status: int) -> None:
    problem = {"code": "bad-image", "detail": "no image", "status": status, "title": "t", "request_id": "r1"}
    with pytest.raises(ServiceError, match=f"{status} bad-image: no image") as caught:
        _both(lambda _: httpx2.Response(status, json=problem, headers=PROBLEM), "predict", [b"x"])
    assert (caught.value.status, caught.value.code) == (status, "bad-image")
    assert caught.value.problem["request_id"] == "r1"
    assert isinstance(caught.value, AgelensError)
    assert not waits


def test_after_the_last_try_it_is_given_up(waits: list[float]) -> None:
    with pytest.raises(ServiceError, match="503 overloaded"):
        _both(lambda _: httpx2.Response(503, json={"code": "overloaded", "detail": "busy"}), "models", tries=3)
    assert len(waits) == 2

    def cut(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with pytest.raises(ServiceError, match="no answer after 3 tries: refused") as caught:
        _both(cut, "models", tries=3)
    assert (caught.value.status, caught.value.code) == (0, "unreachable")


def test_an_answer_that_is_no_json_is_a_service_error() -> None:
    with pytest.raises(ServiceError, match="502 unknown"):
        _both(lambda _: httpx2.Response(502, text="<html>"), "models", tries=1)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _both(lambda _: httpx2.Response(200), "predict", [tmp_path / "missing.jpg"])


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"message": "hello"}', b'{"photos": 3}'])
def test_another_services_answer_is_told(body: bytes) -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=body))
    with Client("http://x", transport=transport) as client, pytest.raises(ServiceError, match="another service"):
        client.models()


def test_a_refusal_of_any_members_is_told() -> None:
    told = {"message": "Forbidden", "self": 1, "status": "no"}
    transport = httpx2.MockTransport(lambda request: httpx2.Response(403, json=told))
    with Client("http://x", transport=transport) as client, pytest.raises(ServiceError, match="403") as caught:
        client.models()
    assert caught.value.problem == told


def test_what_is_no_address_no_list_or_no_number_is_said_at_once() -> None:
    for address in ("127.0.0.1:8000", "ftp://x", ""):
        with pytest.raises(ValueError, match="wanted one such as http"):
            Client(address)
    with pytest.raises(ValueError, match="at least 1"):
        Client("http://x", tries=0)
    with Client("http://x") as client, pytest.raises(TypeError, match="several files"):
        client.predict("a.jpg")
