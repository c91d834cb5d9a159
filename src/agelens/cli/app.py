"""``agelens app``: the web page."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from streamlit.web import bootstrap

from agelens.app.settings import SETTINGS, AppSettings
from agelens.bundle import Bundle
from agelens.errors import OutputError

__all__ = ["app"]


def app(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65535))] = 8501,
    model: Annotated[list[Path] | None, Parameter(negative="")] = None,
    runs: Path = Path("runs"),
    max_upload: Annotated[int, Parameter(validator=Number(gte=1, lte=4096))] = 200,
    max_seconds: Annotated[int, Parameter(validator=Number(gte=1))] = 600,
) -> None:
    """Serve a web page for photos, videos and the webcam.

    Everything is looked at on this machine; nothing that is uploaded is kept. By default only this machine can open the
    page. Ctrl-C ends it.

    Example:  agelens app --model runs/first/bundle.onnx

    Parameters
    ----------
    host
        Address to listen on; 0.0.0.0 lets other machines in, without a password.
    port
        Port to listen on.
    model
        A bundle that can be chosen beside the built-in models; may be given several times, the first is the default.
    runs
        Folder of the trainings that the page shows.
    max_upload
        Megabytes of one upload at most.
    max_seconds
        Seconds of a video at most.
    """
    bundles = tuple(str(path) for path in model or ())
    for bundle in bundles:
        Bundle.load(bundle)  # said here, and not on the page
    os.environ[SETTINGS] = AppSettings(bundles, str(runs), max_upload, max_seconds).to_json()
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.maxUploadSize": max_upload,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "logger.level": "warning",
        "theme.light.primaryColor": "#106EBE",
        "theme.dark.primaryColor": "#4DA3E8",
    }
    _check_free(host, port)
    flags = {name.replace(".", "_"): value for name, value in options.items()}
    bootstrap.load_config_options(flags)
    script = find_spec("agelens.app.main")
    bootstrap.run(str(script.origin if script else ""), False, [], flags)


def _check_free(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise OutputError(f"{host}:{port}: cannot be listened on ({error.strerror or error}); try --port") from error
