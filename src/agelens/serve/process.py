"""The application of a process that does nothing else: a worker of ``agelens serve``, a replica of Ray's."""

from __future__ import annotations

import cv2
from fastapi import FastAPI

from agelens.serve.app import create_app
from agelens.serve.logs import start_logs
from agelens.serve.memory import give_memory_back
from agelens.serve.settings import ServeSettings

__all__ = ["start"]


def start(settings: ServeSettings) -> FastAPI:
    """Set up this process, and make its application; raises as ``create_app``."""
    give_memory_back()
    cv2.setNumThreads(1)  # as many photos are in work as there are cores
    start_logs(settings.log)
    return create_app(settings)
