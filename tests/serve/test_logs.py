"""What is written of each request."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from starlette.testclient import TestClient

from agelens import AgeEstimator
from agelens.faces.detector import FixedDetector
from agelens.serve.app import create_app
from agelens.serve.logs import LogKind, log, log_request, start_logs
from agelens.serve.settings import ServeSettings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    yield
    log.handlers[:], log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.mark.parametrize("kind", get_args(LogKind))
def test_a_request_is_a_line_or_none(kind: LogKind, capsys: pytest.CaptureFixture[str]) -> None:
    start_logs(kind)
    start_logs(kind)  # not twice
    log_request("id-1", "POST", "/v1/predict", 200, 0.0123)
    lines = capsys.readouterr().err.splitlines()
    if kind == "none":
        assert lines == []
    elif kind == "text":
        assert [line.split("INFO ")[1] for line in lines] == ["id-1 POST /v1/predict 200 12.3 ms"]
    else:
        (line,) = lines
        told = json.loads(line)
        assert told.pop("time").endswith("+00:00")
        assert told == {
            "level": "info", "request_id": "id-1", "method": "POST", "path": "/v1/predict", "status": 200, "ms": 12.3
        }  # fmt: skip


@pytest.mark.parametrize("kind", get_args(LogKind))
def test_a_fault_is_told_whatever_the_kind(kind: LogKind, capsys: pytest.CaptureFixture[str]) -> None:
    start_logs(kind)
    try:
        raise RuntimeError("why")
    except RuntimeError:
        log.exception("request %s failed", "id-1")
    told = capsys.readouterr().err
    assert "request id-1 failed" in told
    assert "RuntimeError: why" in told
    assert logging.getLogger("agelens.serve") is log


def test_health_checks_are_no_lines(make_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    start_logs("text")
    estimator = AgeEstimator.load(make_bundle(), detector=FixedDetector())
    with TestClient(create_app(ServeSettings(), estimator)) as client:
        for path in ("/healthz", "/readyz", "/v1/models", "/nowhere"):
            client.get(path)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" GET ")[1].rsplit(" ", 2)[0] for line in lines] == ["/v1/models 200", "other 404"]
