"""The application that uvicorn's workers import; ``agelens serve`` tells them its settings by the environment."""

from __future__ import annotations

import cv2

from agelens.serve.app import create_app
from agelens.serve.logs import start_logs
from agelens.serve.memory import give_memory_back
from agelens.serve.settings import settings_from_environment

__all__ = ["app"]

give_memory_back()
cv2.setNumThreads(1)  # as many photos are in work as there are cores
settings = settings_from_environment()
start_logs(settings.log)
app = create_app(settings)
