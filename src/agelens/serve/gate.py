"""What every request passes: its id, its key, its rate, the size of its body, its time; and what is told of it."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from typing import Any, Final

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agelens.serve.logs import log, log_request
from agelens.serve.metrics import Metrics
from agelens.serve.problems import Problem, problem_response
from agelens.serve.rates import Rates
from agelens.serve.settings import ServeSettings

__all__ = ["Gate", "whole"]

OPEN: Final = frozenset({"/healthz", "/readyz"})  # without a key or a rate
KNOWN_PATHS: Final = frozenset(
    {"/v1/predict", "/v1/predict/embedding", "/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json"}
)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS"})  # others are counted together, as any word can be one
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Gate:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        """``app`` gets what passes."""
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._rates = Rates(settings.rate, settings.burst)
        self._held = 0  # bytes of the bodies of all requests that are inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        visit = _Visit(scope, headers.get("x-request-id", ""), send)
        try:
            self._check(scope, headers)
            async with asyncio.timeout(self._settings.request_seconds):
                await self._app(scope, self._limited(receive, visit), visit.send)
        except Problem as problem:
            await visit.refuse(problem, scope, receive)
        except TimeoutError:
            code = "timeout" if not visit.whole else "too-slow"
            detail = f"more than {self._settings.request_seconds:g} s"
            await visit.refuse(Problem(code, detail, retry_after=1.0 if visit.whole else None), scope, receive)
        except h11.LocalProtocolError:  # its first lines were well, its body was no HTTP: uvicorn has said so
            visit.status = visit.status or 400
        except Exception:
            log.exception("request %s failed", visit.id)
            await visit.refuse(Problem("internal", "the request could not be answered; it is logged"), scope, receive)
        finally:
            self._held -= visit.came
            self._count(scope, visit)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        if scope["path"] in OPEN:
            return
        client = scope["client"][0] if scope.get("client") else ""
        if self._settings.keys:
            client = self._key(headers.get("authorization", ""))
        wait = self._rates.wait(client)
        if wait > 0:
            self._metrics.refused.labels("too-many-requests").inc()
            raise Problem("too-many-requests", f"more than {self._settings.rate:g} requests a second", retry_after=wait)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._settings.body_bytes:
            raise _too_large(self._settings.body_bytes)

    def _limited(self, receive: Receive, visit: _Visit) -> Receive:
        """The body, as long as it is not too large, whatever its header said, and there is room for it."""

        async def limited() -> Message:
            message = await receive()
            size = len(message.get("body", b""))
            visit.came += size
            self._held += size
            if visit.came > self._settings.body_bytes:
                raise _too_large(self._settings.body_bytes)
            if self._held > self._settings.max_held:
                self._metrics.refused.labels("overloaded").inc()
                raise Problem("overloaded", "there is no room for the body; try again later", retry_after=1.0)
            return message

        return limited

    def _key(self, authorization: str) -> str:
        kind, _, given = authorization.partition(" ")
        key = given.strip().encode()
        known = [one for one in self._settings.keys if hmac.compare_digest(one.encode(), key)]
        if kind.lower() != "bearer" or not known:
            raise Problem("unauthorized", "wanted the header Authorization: Bearer KEY with a key of this service")
        return known[0]

    def _count(self, scope: Scope, visit: _Visit) -> None:
        path = scope["path"] if scope["path"] in KNOWN_PATHS else "other"
        seconds = time.monotonic() - visit.began
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(path, method, visit.status).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        if path not in OPEN or visit.status >= 400:  # a health check's line every few seconds tells nobody anything
            log_request(visit.id, method, path, visit.status, seconds)


class _Visit:
    """One request: its id, and what was sent to who asks."""

    def __init__(self, scope: Scope, given: str, send: Send) -> None:
        self.id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self.began = time.monotonic()
        self.status = 0
        self.whole = False
        self.came = 0
        self._send = send
        scope.setdefault("state", {})["request_id"] = self.id
        scope["state"]["visit"] = self

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self.id.encode())]}
        await self._send(message)

    async def refuse(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        if self.status:  # an answer has begun: all that is left is to break it off
            return
        await problem_response(problem, self.id)(scope, receive, self.send)


def _too_large(most: int) -> Problem:
    return Problem("body-too-large", f"at most {most:,} bytes a request", max_bytes=most)


def whole(scope: Any) -> None:
    """Note that a request's body has come."""
    scope["state"]["visit"].whole = True
