"""The service against its own OpenAPI document: what it says that it takes and answers holds for what is made up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from agelens import AgeEstimator
from agelens.faces.detector import Detection, FixedDetector
from agelens.serve.app import create_app
from agelens.serve.settings import ServeSettings

POSTED = ["/v1/predict", "/v1/predict/embedding"]
ASKED = ["/v1/models", "/healthz", "/readyz", "/metrics"]
VALID, ODD = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@pytest.fixture
def schema(make_bundle: Callable[..., Path], make_detection: Callable[..., Detection]) -> Any:
    """Of a service with the tiny bundle."""
    estimator = AgeEstimator.load(make_bundle(), detector=FixedDetector([make_detection(60, 45)]), threads=1)
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(ServeSettings(batch_wait=0), estimator))


@pytest.mark.parametrize(("address", "mode"), [*product(POSTED, (VALID, ODD)), *product(ASKED, (VALID,))])
def test_whatever_is_sent_the_answer_is_as_described(schema: Any, address: str, mode: GenerationMode) -> None:
    (method,) = schema[address]
    # bytes are a file's by the document, and an image only when they can be decoded
    beyond = [positive_data_acceptance] if address in POSTED else []

    @given(schema[address][method].as_strategy(generation_mode=mode))
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def ask(case: Any) -> None:
        case.call_and_validate(excluded_checks=beyond)

    ask()


def test_the_documents_examples_are_what_is_taken_and_answered(schema: Any) -> None:
    address = "/v1/predict"
    document = schema.raw_schema
    sent = document["paths"][address]["post"]["requestBody"]["content"]["application/json"]["schema"]["examples"]
    shapes = {
        name: document["components"]["schemas"][name] for name in ("PredictAnswer", "VectorsAnswer", "ProblemAnswer")
    }
    for shape in shapes.values():
        wanted = {"components": document["components"], **shape}
        jsonschema.validate(shape["examples"][0], wanted)
    client = TestClient(schema.app)
    with client:
        for body in sent:
            answer = client.post(address, json=body)
            assert answer.status_code == 200
            assert answer.json()["photos"][0]["faces"]


def test_all_addresses_are_described(schema: Any) -> None:
    assert sorted(found.ok().path for found in schema.get_all_operations()) == sorted(POSTED + ASKED)
