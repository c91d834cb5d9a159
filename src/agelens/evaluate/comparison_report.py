"""Several models on several data sets as files: a page that links to each model's own, and the figures."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agelens.data.manifest import Manifest
from agelens.evaluate.comparison_page import draw_comparison
from agelens.evaluate.figures_csv import figures_table
from agelens.evaluate.report import PAGE, short_name, write_report
from agelens.evaluate.reported import Reported
from agelens.files import staged_folder, write_text

__all__ = ["write_comparison"]

PAGES: Final = "pages"
PLAIN: Final = 60  # characters of a name that go into a folder's


def write_comparison(
    measured: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Reported]],
    manifests: Mapping[str, Manifest],
    folder: Path,
) -> None:
    """Write ``report.html``, ``figures.json`` and ``.csv``, and in ``pages`` a folder for each pair.

    Those are ``write_report``'s. All files take their places together, when all are made, and an older comparison's
    make room.

    Args:
        measured: what ``compare`` gives, by the data sets' names.
        models: whose answers those are, by data set and name.
        manifests: by name, which is the path.
        folder: where they go; made where it is missing.

    Raises:
        DataError: a crop is missing or damaged.
        OutputError: the folder cannot be written in.
    """
    reports: dict[tuple[str, str], str] = {}
    with staged_folder(folder) as stage:
        for place, said in models.items():
            for name, one in said.items():
                inside = f"{PAGES}/{len(reports) + 1:02d}-{_plain(one.name)}-on-{_plain(short_name(place))}"
                write_report(one, manifests[place], place, stage / inside)
                reports[place, name] = f"{inside}/{PAGE}"
        write_text(stage / "figures.json", json.dumps(measured, indent=1) + "\n")
        write_text(stage / "figures.csv", figures_table(measured).to_csv(index=False))
        write_text(stage / PAGE, draw_comparison(measured, reports))


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name)[-PLAIN:].strip("-.") or "model"
