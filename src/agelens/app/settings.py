"""What ``agelens app`` was started with; this file knows nothing of Streamlit."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Final

__all__ = ["SETTINGS", "AppSettings", "settings"]

SETTINGS: Final = "AGELENS_APP"  # variable of the environment by which the command tells the page


@dataclass(frozen=True, slots=True)
class AppSettings:
    """What the command line said.

    Attributes:
        models: paths of bundles that can be chosen beside the built-in ones, the first of them by default.
        runs: folder whose trainings are shown; files elsewhere are never opened.
        max_megabytes: of one upload.
        max_seconds: of a video, beyond which it is not followed.
    """

    models: tuple[str, ...] = ()
    runs: str = "runs"
    max_megabytes: int = 200
    max_seconds: int = 600

    def to_json(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))


def settings() -> AppSettings:
    """What the command line said."""
    raw = json.loads(os.environ.get(SETTINGS, "{}"))
    return AppSettings(**{**raw, "models": tuple(raw.get("models", ()))})
