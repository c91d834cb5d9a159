"""The service: addresses, and what they answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from agelens._version import VERSION
from agelens.errors import AgelensError
from agelens.estimator import AgeEstimator
from agelens.faces.detectors import open_detector
from agelens.results import Photo
from agelens.serve.bodies import read_images, read_vectors
from agelens.serve.document import DESCRIPTION, IMAGE_BODY, POSTED, VECTOR_BODY, describe, refusals
from agelens.serve.engine import Engine
from agelens.serve.gate import Gate, whole
from agelens.serve.logs import log
from agelens.serve.metrics import Metrics
from agelens.serve.problems import Problem, problem_response
from agelens.serve.schema import HealthAnswer, ModelsAnswer, PredictAnswer, VectorsAnswer
from agelens.serve.settings import ServeSettings

__all__ = ["create_app", "load_estimator"]

GONE: Final = 499  # for the log and the metrics: who asked went away before the body was whole
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def load_estimator(settings: ServeSettings) -> AgeEstimator:
    """The estimator that the settings name, whose network has one thread: many photos are in work at once.

    Raises:
        AgelensError: the model or the detector cannot be used.
        ValueError: the model has no intervals at this level.
    """
    return AgeEstimator.load(
        settings.model,
        detector=open_detector(settings.detector),
        level=settings.level,
        threads=1,
        embedder=settings.embedder or None,
    )


def create_app(settings: ServeSettings | None = None, estimator: AgeEstimator | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: limits and choices; None for the usual ones.
        estimator: in place of the one that the settings name.

    Raises:
        AgelensError, ValueError: as of ``load_estimator``.
    """
    settings = settings or ServeSettings()
    estimator = estimator or load_estimator(settings)
    metrics = Metrics()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = Engine(estimator, settings, metrics)
        app.state.ready = True
        yield
        app.state.ready = False
        await app.state.engine.drain()

    app = FastAPI(
        title="agelens",
        version=VERSION,
        lifespan=life,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    describe(app)
    app.state.settings, app.state.estimator, app.state.metrics = settings, estimator, metrics
    _add_routes(app)
    _add_problems(app)
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    if settings.origins:  # outermost: browsers ask without a key, and must be able to read refusals
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    return app


def _add_routes(app: FastAPI) -> None:
    app.post("/v1/predict", response_model=PredictAnswer, responses=refusals(*POSTED), openapi_extra=IMAGE_BODY)(
        predict
    )
    app.post(
        "/v1/predict/embedding", response_model=VectorsAnswer, responses=refusals(*POSTED), openapi_extra=VECTOR_BODY
    )(predict_embedding)
    app.get("/v1/models", response_model=ModelsAnswer, responses=refusals(401, 429))(models)
    app.get("/healthz", response_model=HealthAnswer)(healthz)
    app.get("/readyz", response_model=HealthAnswer, responses=refusals(500, 503))(readyz)
    app.get("/metrics", response_class=PlainTextResponse, responses=refusals(401, 429))(metrics_text)


async def predict(
    request: Request, cropped: Annotated[bool, Query(description="each image is the crop of one face")] = False
) -> dict[str, Any]:
    """Ages of the faces in photos: fields `file` of a form, the bytes of one file, or base64 in JSON.

    A photo that cannot be read carries its error, and the others are answered; one alone is a problem.
    """
    state = request.app.state
    _check_open(state)
    if state.estimator.bundle.card.embedder is not None and state.estimator.embedder is None:
        raise Problem("takes-vectors-only", "send vectors to /v1/predict/embedding")
    asked = await read_images(request, cropped, state.settings)
    whole(request.scope)
    photos = await state.engine.predict(asked.files, asked.cropped)
    for photo in photos:
        state.metrics.images.labels("read" if photo.error is None else "unreadable").inc()
        state.metrics.faces.inc(len(photo.faces))
    if len(photos) == 1 and photos[0].error is not None:
        raise Problem("bad-image", str(photos[0].error))
    named = zip(photos, asked.names, strict=True)
    return {"model": state.estimator.bundle.card.name, "photos": [_photo(photo, name) for photo, name in named]}


async def predict_embedding(
    request: Request,
    embedder: Annotated[str | None, Query(description="fingerprint, where an npy file is sent")] = None,
) -> dict[str, Any]:
    """Ages of an embedder's vectors: JSON, or an npy file of floats (N, width)."""
    state = request.app.state
    _check_open(state)
    wanted = state.estimator.bundle.card.embedder
    if wanted is None:
        raise Problem("takes-no-vectors", "send photos to /v1/predict")
    asked = await read_vectors(request, embedder, state.settings)
    whole(request.scope)
    if asked.embedder != wanted.fingerprint:
        raise Problem(
            "wrong-embedder",
            f"vectors of an embedder {asked.embedder[:12]!r}; wanted those of {wanted.name!r}, {wanted.fingerprint}",
        )
    try:
        faces = await state.engine.predict_vectors(asked.vectors)
    except ValueError as error:
        raise Problem("bad-vectors", str(error)[:300]) from error
    state.metrics.faces.inc(len(faces))
    return {"model": state.estimator.bundle.card.name, "faces": [face.to_dict() for face in faces]}


async def models(request: Request) -> dict[str, Any]:
    """What this service answers with: the model's card."""
    estimator = request.app.state.estimator
    card = estimator.bundle.card
    takes = "vectors" if card.embedder is not None and estimator.embedder is None else "photos"
    return {"models": [{"name": card.name, "takes": takes, "card": card.to_dict()}]}


async def healthz() -> dict[str, str]:
    """Whether the process is alive."""
    return {"status": "alive"}


async def readyz(request: Request) -> dict[str, str]:
    """Whether requests are taken."""
    _check_open(request.app.state)
    return {"status": "ready"}


async def metrics_text(request: Request) -> Response:
    """For Prometheus."""
    return PlainTextResponse(request.app.state.metrics.text(), media_type=METRICS_TYPE)


def _check_open(state: Any) -> None:
    if not state.engine.alive:
        raise Problem("internal", "the network has ended; the service must be started anew")
    if not state.ready:
        raise Problem("draining", "the service is about to end; ask another", retry_after=1.0)


def _photo(photo: Photo, name: str | None) -> dict[str, Any]:
    return {**photo.to_dict(), "path": name}


def _add_problems(app: FastAPI) -> None:
    def told(request: Request, problem: Problem) -> Response:
        return problem_response(problem, request.scope["state"]["request_id"])

    async def of_http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 400
        code = {404: "not-found", 405: "wrong-method"}.get(status, "bad-request")
        answer = told(request, Problem(code, f"{request.method} {request.url.path[:200]}"))
        answer.headers.update(getattr(error, "headers", None) or {})  # such as Allow
        return answer

    async def of_arguments(request: Request, error: Exception) -> Response:
        first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
        return told(request, Problem("bad-request", f"{'.'.join(map(str, first['loc']))[:80]}: {first['msg'][:200]}"))

    async def of_problem(request: Request, error: Exception) -> Response:
        return told(request, error if isinstance(error, Problem) else Problem("internal", "a fault of the service"))

    async def of_gone(request: Request, error: Exception) -> Response:
        return Response(status_code=GONE)

    async def of_model(request: Request, error: Exception) -> Response:
        log.error("request %s: the model failed", request.scope["state"]["request_id"], exc_info=error)
        return told(request, Problem("internal", "the model failed; it is logged"))

    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_arguments)
    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(ClientDisconnect, of_gone)
    app.add_exception_handler(AgelensError, of_model)
