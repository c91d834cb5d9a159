"""What goes wrong, said as RFC 9457 has it: ``application/problem+json`` with a stable code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import JSONResponse

__all__ = ["MEDIA_TYPE", "PROBLEMS", "Problem", "problem_response"]

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its HTTP status and title."""

    status: int
    title: str


PROBLEMS: Final[Mapping[str, Kind]] = {
    "bad-request": Kind(400, "The request is not what this address takes"),
    "no-image": Kind(400, "The request holds no image"),
    "bad-image": Kind(422, "The image cannot be read"),
    "bad-json": Kind(400, "The body is no JSON of the kind that is wanted"),
    "bad-vectors": Kind(422, "The vectors are not what the model takes"),
    "wrong-embedder": Kind(409, "The vectors are another embedder's"),
    "takes-no-vectors": Kind(409, "The model takes photos, and no vectors"),
    "takes-vectors-only": Kind(409, "The model takes vectors, and nothing here makes them from photos"),
    "unauthorized": Kind(401, "A key is wanted"),
    "not-found": Kind(404, "There is nothing at this address"),
    "wrong-method": Kind(405, "This address does not take this method"),
    "body-too-large": Kind(413, "The body is too large"),
    "too-many-images": Kind(413, "There are too many images"),
    "wrong-content-type": Kind(415, "The body is of a kind that is not taken"),
    "too-many-requests": Kind(429, "Too many requests"),
    "timeout": Kind(408, "The request took too long to arrive"),
    "overloaded": Kind(503, "The service is busy"),
    "draining": Kind(503, "The service is about to end"),
    "too-slow": Kind(503, "The answer took too long"),
    "internal": Kind(500, "A fault of the service"),
}


class Problem(Exception):  # noqa: N818  (RFC 9457's word)
    """Ends a request with a problem's answer."""

    def __init__(self, code: str, detail: str, *, retry_after: float | None = None, **more: Any) -> None:
        """
        Args:
            code: a name in ``PROBLEMS``.
            detail: what came, what was wanted, what to do.
            retry_after: seconds, for the header of that name.
            more: further members of the answer.
        """
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.more = more


def problem_response(problem: Problem, request_id: str) -> JSONResponse:
    """A problem as an answer."""
    kind = PROBLEMS[problem.code]
    body = {"type": f"urn:agelens:problem:{problem.code}", "title": kind.title, "status": kind.status}
    body |= {"code": problem.code, "detail": problem.detail, "request_id": request_id, **problem.more}
    headers = {} if problem.retry_after is None else {"Retry-After": str(max(1, math.ceil(problem.retry_after)))}
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, kind.status, headers, MEDIA_TYPE)
