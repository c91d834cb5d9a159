"""Asks a service that ``agelens serve`` runs. Needs the extra ``client``.

from agelens.client import Client

with Client("http://127.0.0.1:8000") as client:
    for photo in client.predict(["a.jpg", "b.jpg"]):
        print(photo["path"], photo["error"] or photo["faces"])
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from agelens.errors import MissingExtraError, ServiceError

try:
    import httpx2 as http
except ModuleNotFoundError as error:
    raise MissingExtraError("client", "httpx2") from error

__all__ = ["AsyncClient", "Client"]

File = str | os.PathLike[str] | bytes

AGAIN: Final = frozenset({429, 502, 503, 504})  # answers after which another try may go well
PROBLEM: Final = "application/problem+json"
FIRST_WAIT, LONGEST_WAIT = 0.25, 30.0  # seconds


class _Asking:
    """What both clients know: addresses, bodies, and when to try again."""

    def __init__(
        self, address: str, *, key: str | None = None, timeout: float = 30.0, tries: int = 5, transport: Any = None
    ) -> None:
        """
        Args:
            address: of the service, such as "http://127.0.0.1:8000".
            key: a bearer key, where it wants one.
            timeout: seconds for each try.
            tries: at most; in between is waited as the answer says, or twice as long each time, more or less.
            transport: of httpx2, in place of the network, for tests.

        Raises:
            ValueError: the address is no http:// or https:// one, or ``tries`` is below 1.
        """
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"{address!r} is no address of a service; wanted one such as http://127.0.0.1:8000")
        if tries < 1:
            raise ValueError(f"tries is {tries}; it must be at least 1")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._options: dict[str, Any] = {
            "base_url": address,
            "headers": headers,
            "timeout": timeout,
            "transport": transport,
        }
        self._tries = tries

    def _wait(self, number: int, answer: http.Response | None) -> float | None:
        """Seconds until the next try; None: there is none."""
        if number + 1 >= self._tries or (answer is not None and not _may_go_well(answer)):
            return None
        told = "" if answer is None else answer.headers.get("retry-after", "")
        least = min(float(told), LONGEST_WAIT) if told.isdecimal() else FIRST_WAIT * 2**number
        return min(least * random.uniform(1, 1.5), LONGEST_WAIT)  # noqa: S311  (so that clients do not come back at once)


def _may_go_well(answer: http.Response) -> bool:
    """Whether another try may; a 500 that is no problem document is a proxy's, whose worker died."""
    alien = not answer.headers.get("content-type", "").startswith(PROBLEM)
    return answer.status_code in AGAIN or (answer.status_code == 500 and alien)


def _listed(files: Iterable[File]) -> list[File]:
    if isinstance(files, str | bytes | os.PathLike):
        raise TypeError("predict() takes several files; wanted a list, [file] for one")
    return list(files)


def _photos_request(files: Sequence[File], cropped: bool) -> dict[str, Any]:
    parts = []
    for number, file in enumerate(files):
        name = f"{number}" if isinstance(file, bytes) else Path(file).name
        data = file if isinstance(file, bytes) else Path(file).read_bytes()
        parts.append(("file", (name, data, "application/octet-stream")))
    return {"url": "/v1/predict", "files": parts, "params": {"cropped": str(cropped).lower()}}


def _vectors_request(vectors: npt.NDArray[np.floating[Any]], embedder: str) -> dict[str, Any]:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(vectors), allow_pickle=False)
    headers = {"Content-Type": "application/x-npy"}
    return {
        "url": "/v1/predict/embedding",
        "content": stream.getvalue(),
        "headers": headers,
        "params": {"embedder": embedder},
    }


def _told(answer: http.Response, wanted: str) -> list[Any]:
    """The member of an answer that was wanted.

    Raises:
        ServiceError: it is a refusal, or the answer of something else than this service.
    """
    try:
        body = answer.json()
    except ValueError:
        body = None
    body = dict(body) if isinstance(body, Mapping) else {}
    if answer.status_code == 200 and isinstance(body.get(wanted), list):
        return list(body[wanted])
    if answer.status_code == 200:
        raise ServiceError("200, but without what was asked for; is another service there?", 200, "unknown", body)
    code, detail = str(body.get("code", "unknown")), str(body.get("detail", answer.reason_phrase))
    raise ServiceError(f"{answer.status_code} {code}: {detail}", answer.status_code, code, body)


class Client(_Asking):
    """Asks, and waits for the answers. Close it, or use it in a ``with`` block."""

    def __init__(self, address: str, **options: Any) -> None:
        """As ``AsyncClient``: ``address``, ``key``, ``timeout``, ``tries``."""
        super().__init__(address, **options)
        self._client = http.Client(**self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def predict(self, files: Iterable[File], *, cropped: bool = False) -> list[dict[str, Any]]:
        """Photos, by path or as bytes of files, to what ``agelens predict --json`` says of each.

        Raises:
            ServiceError: the service refuses, or cannot be reached in ``tries``.
            TypeError: ``files`` is one file.
            OSError: a file cannot be read.
        """
        return _told(self._ask("POST", **_photos_request(_listed(files), cropped)), "photos")

    def predict_embeddings(self, vectors: npt.NDArray[np.floating[Any]], embedder: str) -> list[dict[str, Any]]:
        """Vectors, (N, width), of the embedder with this fingerprint to their faces; raises ``ServiceError``."""
        return _told(self._ask("POST", **_vectors_request(vectors, embedder)), "faces")

    def models(self) -> list[dict[str, Any]]:
        """The service's models with their cards; raises ``ServiceError``."""
        return _told(self._ask("GET", url="/v1/models"), "models")

    def _ask(self, method: str, **request: Any) -> http.Response:
        for number in range(self._tries):
            answer, failed = None, None
            try:
                answer = self._client.request(method, **request)
            except http.TransportError as error:
                failed = error
            wait = self._wait(number, answer)
            if wait is None:
                break
            time.sleep(wait)
        if answer is None:
            raise ServiceError(f"no answer after {number + 1} tries: {failed}") from failed
        return answer


class AsyncClient(_Asking):
    """Asks without waiting in the way of others. Close it, or use it in an ``async with`` block."""

    def __init__(self, address: str, **options: Any) -> None:
        """
        Args:
            address: of the service, such as "http://127.0.0.1:8000".
            options: ``key``, a bearer key; ``timeout``, seconds for each try; ``tries``, at most.
        """
        super().__init__(address, **options)
        self._client = http.AsyncClient(**self._options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def predict(self, files: Iterable[File], *, cropped: bool = False) -> list[dict[str, Any]]:
        """As ``Client.predict``."""
        request = await asyncio.to_thread(_photos_request, _listed(files), cropped)
        return _told(await self._ask("POST", **request), "photos")

    async def predict_embeddings(self, vectors: npt.NDArray[np.floating[Any]], embedder: str) -> list[dict[str, Any]]:
        """As ``Client.predict_embeddings``."""
        return _told(await self._ask("POST", **_vectors_request(vectors, embedder)), "faces")

    async def models(self) -> list[dict[str, Any]]:
        """As ``Client.models``."""
        return _told(await self._ask("GET", url="/v1/models"), "models")

    async def _ask(self, method: str, **request: Any) -> http.Response:
        for number in range(self._tries):
            answer, failed = None, None
            try:
                answer = await self._client.request(method, **request)
            except http.TransportError as error:
                failed = error
            wait = self._wait(number, answer)
            if wait is None:
                break
            await asyncio.sleep(wait)
        if answer is None:
            raise ServiceError(f"no answer after {number + 1} tries: {failed}") from failed
        return answer
