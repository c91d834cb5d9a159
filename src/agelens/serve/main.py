"""The application that uvicorn's workers import; ``agelens serve`` tells them its settings by the environment."""

from __future__ import annotations

from agelens.serve.process import start
from agelens.serve.settings import settings_from_environment

__all__ = ["app"]

app = start(settings_from_environment())
