"""``agelens serve``: the HTTP service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import uvicorn
from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.bundle import DEFAULT
from agelens.cli.console import note
from agelens.cli.signals import end_well_by_sigterm
from agelens.errors import ConfigError
from agelens.faces.detectors import DetectorName
from agelens.serve.app import load_estimator
from agelens.serve.logs import LogKind
from agelens.serve.protocol import BoundedProtocol
from agelens.serve.settings import SETTINGS, ServeSettings, read_keys

__all__ = ["serve"]

Count = Annotated[int, Parameter(validator=Number(gte=1, lte=1_000_000))]
DRAIN_SECONDS = 30


def serve(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65535))] = 8000,
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=256))] = 1,
    model: Path = Path(DEFAULT),
    detector: DetectorName = "yunet",
    level: float = 0.9,
    embedder: str = "",
    max_megabytes: Count = 20,
    max_held: Count = 512,
    max_images: Count = 16,
    max_faces: Count = 100,
    max_megapixels: Count = 40,
    threads: Annotated[int, Parameter(validator=Number(gte=0, lte=1024))] = 0,
    batch_size: Count = 4,
    batch_wait: Annotated[float, Parameter(validator=Number(gte=0, lte=1000))] = 5.0,
    queue: Count = 32,
    head_seconds: Annotated[float, Parameter(validator=Number(gt=0, lte=3600))] = 10.0,
    request_seconds: Annotated[float, Parameter(validator=Number(gt=0, lte=3600))] = 20.0,
    rate: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0,
    burst: Count = 20,
    keys: Path | None = None,
    origin: Annotated[list[str] | None, Parameter(negative="")] = None,
    log: LogKind = "text",
) -> None:
    """Serve ages over HTTP: photos or vectors in, JSON out.

    Addresses: POST /v1/predict and /v1/predict/embedding, GET /v1/models, /healthz, /readyz, /metrics and
    /openapi.json. SIGTERM ends it when what is in work is answered.

    Example:  agelens serve --port 8000 --workers 2

    Parameters
    ----------
    host
        Address to listen on; 0.0.0.0 lets other machines in.
    port
        Port to listen on.
    workers
        Processes; they share nothing but the port.
    model
        A built-in model, as agelens models lists them, or a bundle.
    detector
        What finds the faces: yunet, or mtcnn, which is slower and needs the extra mtcnn.
    level
        Share of the true ages that the intervals hold: 0.5, 0.8, 0.9 or 0.95.
    embedder
        For a bundle that takes vectors, what makes them from photos.
    max_megabytes
        Of a request's body at most.
    max_held
        Megabytes of all requests' bodies in one process at most; more are refused with 503.
    max_images
        Images of a request at most.
    max_faces
        Faces of an image at most.
    max_megapixels
        Of an image at most, by its header.
    threads
        Threads of one process that decode and look for faces; 0 for as many as there are cores.
    batch_size
        Faces for one run of the network, about; on a GPU more are faster, on a CPU not.
    batch_wait
        Milliseconds that the first photo of a batch waits for others.
    queue
        Images in one process at most; more are refused with 503.
    head_seconds
        Seconds in which a request must get to its body.
    request_seconds
        Seconds of a request at most.
    rate
        Requests a second of one client, on average; 0 for any number.
    burst
        Requests that one client may send at once where there is a rate.
    keys
        File with a bearer key in each line, one of which every request must carry.
    origin
        Another page that may ask from a browser (CORS); may be given several times.
    log
        A line on standard error for each request: text, json, or none.
    """
    settings = ServeSettings(
        model=str(model),
        detector=detector,
        level=level,
        embedder=embedder,
        max_bytes=max_megabytes * 2**20,
        max_held=max_held * 2**20,
        max_images=max_images,
        max_faces=max_faces,
        max_pixels=max_megapixels * 10**6,
        threads=threads,
        batch_size=batch_size,
        batch_wait=batch_wait,
        queue=queue,
        head_seconds=head_seconds,
        request_seconds=request_seconds,
        rate=rate,
        burst=burst,
        keys=() if keys is None else read_keys(keys),
        origins=tuple(origin or ()),
        log=log,
    )
    _check(settings)
    os.environ[SETTINGS] = settings.to_json(keys)
    _run(host, port, workers)


def _check(settings: ServeSettings) -> None:
    """Say here, once, what workers would say each."""
    try:
        load_estimator(settings)
    except ValueError as error:
        raise ConfigError(f"--level: {error}") from error


def _run(host: str, port: int, workers: int) -> None:
    end_well_by_sigterm()
    note(f"agelens serve: http://{host}:{port}  (described at /openapi.json; Ctrl-C ends it)")
    uvicorn.run(
        "agelens.serve.main:app",
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        http=BoundedProtocol,
        ws="none",
        proxy_headers=False,  # else whoever connects from this machine could choose the address that --rate counts
        h11_max_incomplete_event_size=16_384,
    )
