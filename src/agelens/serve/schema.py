"""The shapes of requests and answers, for OpenAPI and for checks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "FaceAnswer",
    "ImagesRequest",
    "ModelAnswer",
    "ModelsAnswer",
    "PhotoAnswer",
    "PredictAnswer",
    "ProblemAnswer",
    "VectorsAnswer",
    "VectorsRequest",
]

Probability = Annotated[float, Field(ge=0, le=1)]
Years = Annotated[float, Field(ge=0, le=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaceAnswer(BaseModel):
    """A face, as ``agelens predict --json`` writes it."""

    box: Annotated[list[float], Field(description="x1, y1, x2, y2 in pixels of the upright photo")]
    score: Annotated[
        Probability | None, Field(description="the detector's confidence; null where the whole image is the face")
    ]
    age: Annotated[Years, Field(description="expected age; an estimate, no proof")]
    interval: Annotated[list[Years], Field(description="low and high end of the interval", min_length=2, max_length=2)]
    level: Annotated[Probability, Field(description="share of true ages that such intervals hold")]
    gender: Annotated[str | None, Field(description="as annotators perceive such faces, one of two words")]
    gender_confidence: Probability | None


class PhotoAnswer(BaseModel):
    """A photo with its faces, or why it could not be read."""

    path: Annotated[str | None, Field(description="the name that was sent with it")]
    width: int
    height: int
    faces: list[FaceAnswer]
    error: str | None


class PredictAnswer(BaseModel):
    """The photos of a request, in order."""

    model: str
    photos: list[PhotoAnswer]


class VectorsAnswer(BaseModel):
    """The faces of a request's vectors, in order."""

    model: str
    faces: list[FaceAnswer]


class ModelAnswer(BaseModel):
    """What the service answers with."""

    name: str
    takes: Annotated[str, Field(description='"photos", or "vectors" where nothing here makes them from photos')]
    card: dict[str, Any]


class ModelsAnswer(BaseModel):
    """The models of this service."""

    models: list[ModelAnswer]


class ProblemAnswer(BaseModel):
    """RFC 9457, with a code that does not change."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str


class ImagesRequest(_Strict):
    """Images in base64."""

    images: Annotated[list[str], Field(min_length=1, description="base64 of JPEG, PNG, WebP, BMP, TIFF or GIF files")]
    cropped: Annotated[bool, Field(description="each image is the crop of one face")] = False


class VectorsRequest(_Strict):
    """Vectors of an embedder."""

    embedder: Annotated[str, Field(description="fingerprint of the embedder that made them, see /v1/models")]
    vectors: Annotated[list[list[float]], Field(min_length=1)]
