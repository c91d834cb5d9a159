"""What the OpenAPI document says beyond the shapes of answers: bodies, and refusals as problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from agelens.serve.bodies import FIELD
from agelens.serve.problems import MEDIA_TYPE
from agelens.serve.schema import (
    FaceAnswer,
    ImagesRequest,
    PhotoAnswer,
    PredictAnswer,
    ProblemAnswer,
    VectorsAnswer,
    VectorsRequest,
)

__all__ = ["DESCRIPTION", "IMAGE_BODY", "POSTED", "VECTOR_BODY", "describe", "refusals"]

DESCRIPTION: Final = (
    "Ages of faces in photos, with intervals. An estimate is no proof of age or identity; gender is what annotators "
    "see in photos, one of two words."
)
POSTED: Final = (400, 401, 408, 409, 413, 415, 422, 429, 500, 503)  # statuses of what is refused of photos and vectors
FILE: Final = {"schema": {"type": "string", "format": "binary"}}


def _body(kinds: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": kinds}}


IMAGE_BODY: Final = _body(
    {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "additionalProperties": False,
                "properties": {
                    FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
                    "cropped": {"type": "boolean"},
                },
            }
        },
        "application/json": {"schema": ImagesRequest.model_json_schema()},
        "image/*": FILE,
        "application/octet-stream": FILE,
    }
)
VECTOR_BODY: Final = _body(
    {"application/json": {"schema": VectorsRequest.model_json_schema()}, "application/x-npy": FILE}
)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Of an address: its statuses that are problems."""
    shape = {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: shape}} for status in statuses}


def describe(app: FastAPI) -> None:
    """Give the document the shape of problems, which FastAPI would have as plain JSON, and examples with their nulls,
    which it leaves out.
    """
    made = app.openapi

    def document() -> dict[str, Any]:
        found = made()
        schemas = found["components"]["schemas"]
        schemas["ProblemAnswer"] = ProblemAnswer.model_json_schema()
        for shape in (FaceAnswer, PhotoAnswer, PredictAnswer, VectorsAnswer):
            schemas[shape.__name__]["examples"] = shape.model_json_schema()["examples"]
        return found

    app.openapi = document  # type: ignore[method-assign]
