"""The service on Ray Serve: replicas of the same application, on one machine or on many. Needs the extra ``ray-serve``.

    RAY_USAGE_STATS_ENABLED=0 serve run agelens.serve.ray:app model=lite replicas=2

or, with other options, by a file: ``examples/ray_serve.yaml``, described in ``docs/scaling.md``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agelens.errors import ConfigError, MissingExtraError
from agelens.serve.process import start
from agelens.serve.settings import SETTINGS, ServeSettings, read_keys

try:
    import ray
    from ray import serve
except ImportError as error:
    raise MissingExtraError("ray-serve", error.name or "ray[serve]") from error

__all__ = ["DEPLOYMENT", "app", "arguments"]

DEPLOYMENT: Final = "ages"  # what a configuration of Ray Serve calls it
OWN: Final = ("keys_file", "replicas")  # arguments beside those of ServeSettings
SPARE_SECONDS: Final = 10.0  # for a replica's end, after the last request


def app(given: dict[str, Any]) -> serve.Application:
    """What ``serve run`` and ``serve deploy`` start.

    Args:
        given: values of ``ServeSettings`` by name, over those of the variable ``AGELENS_SERVE``; ``keys_file`` with a
            bearer key in each line, which every machine must have, as it must have the model; ``replicas``.

    Raises:
        ConfigError: an argument has no such name, or a value is not of its kind.
    """
    settings, keys_file, replicas = arguments(given)

    def build() -> FastAPI:  # in each replica: a network does not travel
        return _replica_app(settings, keys_file)

    @serve.deployment(
        name=DEPLOYMENT,
        num_replicas=replicas,
        ray_actor_options={"num_cpus": 1},
        max_ongoing_requests=2 * settings.queue,  # more than the queue: the application itself says that it is full
        max_queued_requests=2 * settings.queue,
        graceful_shutdown_timeout_s=settings.request_seconds + SPARE_SECONDS,
        health_check_period_s=5,
        health_check_timeout_s=30,
    )
    @serve.ingress(build)
    class Ages:
        async def check_health(self) -> None:
            """For Ray, which puts another replica in the place of one that raises."""
            if not self.app.state.engine.alive:  # type: ignore[attr-defined]
                raise RuntimeError("the inference thread has ended")

    return Ages.bind()  # type: ignore[no-any-return, attr-defined]


def arguments(given: Mapping[str, Any]) -> tuple[ServeSettings, str, int]:
    """The settings, the file of keys ("" for none) and the number of replicas; texts become numbers.

    Raises:
        ConfigError: as of ``app``.
    """
    names = {field.name for field in fields(ServeSettings)} - {"keys"}  # Ray shows arguments: no secrets in them
    if unknown := sorted(set(given) - names - set(OWN)):
        raise ConfigError(f"{', '.join(map(repr, unknown))[:200]}: no such argument; wanted {', '.join(OWN)} or one of "
                          f"{', '.join(sorted(names))}")  # fmt: skip
    rest = {name: value for name, value in given.items() if name not in OWN}
    try:
        settings = TypeAdapter(ServeSettings).validate_python({**json.loads(os.environ.get(SETTINGS, "{}")), **rest})
        replicas = TypeAdapter(int).validate_python(given.get("replicas", 1))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc'])) or 'replicas'}: {first['msg']}") from error
    return settings, str(given.get("keys_file", "")), replicas


def _replica_app(settings: ServeSettings, keys_file: str) -> FastAPI:
    """The application of this replica, with as many threads as it was given cores."""
    if keys_file:
        settings = replace(settings, keys=read_keys(Path(keys_file)))
    if not settings.threads:
        cores = ray.get_runtime_context().get_assigned_resources().get("CPU", 1.0)  # type: ignore[no-untyped-call]
        settings = replace(settings, threads=max(1, math.ceil(cores)))
    made = start(settings)
    made.add_middleware(_OneRequestId)
    return made


class _OneRequestId:
    """Takes the request's id from the answer's headers: Ray's proxy, which gave it, writes it there itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def bare(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name.lower() != b"x-request-id"]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, bare)
