"""The shapes of requests and answers, for OpenAPI and for checks."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, FailFast, Field

__all__ = [
    "FaceAnswer",
    "HealthAnswer",
    "ImagesRequest",
    "ModelAnswer",
    "ModelsAnswer",
    "PhotoAnswer",
    "PredictAnswer",
    "ProblemAnswer",
    "VectorsAnswer",
    "VectorsRequest",
]

MOST_IMAGES: Final = 1000  # whatever the settings say: lists are refused before they are made
MOST_VECTORS: Final = 100_000
WIDEST: Final = 10_000
Vector = Annotated[list[float], Field(min_length=1, max_length=WIDEST), FailFast()]
Probability = Annotated[float, Field(ge=0, le=1)]
Years = Annotated[float, Field(ge=0, le=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


TINY_PNG: Final = (  # 2 x 2 pixels of grey
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR4nGNsYGBiYAAAApIAhPd8o1gAAAAASUVORK5CYII="
)
FACE: Final = {
    "box": [212.4, 96.1, 298.7, 214.9],
    "score": 0.9312,
    "age": 32.41,
    "interval": [24.35, 45.02],
    "level": 0.9,
    "gender": "female",
    "gender_confidence": 0.8731,
}
PHOTO: Final = {"path": "photo.jpg", "width": 512, "height": 512, "faces": [FACE], "error": None}


def _example(**members: Any) -> ConfigDict:
    """An answer as OpenAPI shows it."""
    return ConfigDict(json_schema_extra={"examples": [members]})


class FaceAnswer(BaseModel):
    """A face, as ``agelens predict --json`` writes it."""

    model_config = _example(**FACE)

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

    model_config = _example(**PHOTO)

    path: Annotated[str | None, Field(description="the name that was sent with it")]
    width: int
    height: int
    faces: list[FaceAnswer]
    error: str | None


class PredictAnswer(BaseModel):
    """The photos of a request, in order."""

    model_config = _example(model="base", photos=[PHOTO])

    model: str
    photos: list[PhotoAnswer]


class VectorsAnswer(BaseModel):
    """The faces of a request's vectors, in order."""

    model_config = _example(model="light", faces=[{**FACE, "box": [0, 0, 0, 0], "score": None}])

    model: str
    faces: list[FaceAnswer]


class HealthAnswer(BaseModel):
    """How the process is."""

    model_config = _example(status="ready")

    status: str


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

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:agelens:problem:overloaded",
                    "title": "The service is busy",
                    "status": 503,
                    "code": "overloaded",
                    "detail": "64 images are in work, of at most 64; try again later",
                    "request_id": "3f9c2a71d0b4e658",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str


class ImagesRequest(_Strict):
    """Images in base64."""

    model_config = _example(images=[TINY_PNG], cropped=True)

    images: Annotated[
        list[str],
        Field(min_length=1, max_length=MOST_IMAGES, description="base64 of JPEG, PNG, WebP, BMP, TIFF or GIF files"),
    ]
    cropped: Annotated[bool, Field(description="each image is the crop of one face")] = False


class VectorsRequest(_Strict):
    """Vectors of an embedder."""

    model_config = _example(embedder="0" * 64, vectors=[[0.12, -0.07, 0.31, 0.05]])

    embedder: Annotated[str, Field(description="fingerprint of the embedder that made them, see /v1/models")]
    vectors: Annotated[list[Vector], Field(min_length=1, max_length=MOST_VECTORS), FailFast()]
