"""Asks a service on this machine for the ages in a photo, and for its figures: python docker/ask.py PHOTO"""

from __future__ import annotations

import json
import sys
from http.client import HTTPConnection
from pathlib import Path


def _ask(method: str, path: str, body: bytes | None = None) -> bytes:
    connection = HTTPConnection("127.0.0.1", 8000, timeout=30)
    connection.request(method, path, body, {} if body is None else {"Content-Type": "application/octet-stream"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{method} {path}: {answer.status} {text.decode()}")
    return text


if __name__ == "__main__":
    told = json.loads(_ask("POST", "/v1/predict", Path(sys.argv[1]).read_bytes()))
    faces = told["photos"][0]["faces"]
    print(f"/v1/predict, {told['model']}:", *(f"{face['age']:.1f} ({face['interval']})" for face in faces))
    if not faces or b"agelens_images_total" not in _ask("GET", "/metrics"):
        raise SystemExit("no face, or no figures")
