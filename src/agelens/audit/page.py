"""The page: what an audit found, with the crops, in one file that needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from agelens._version import VERSION
from agelens.audit.findings import ABOUT, Finding, Kind
from agelens.audit.report import count_kinds
from agelens.audit.run import Audit
from agelens.data.overview import age_text
from agelens.errors import DataError

__all__ = ["MOST_FINDINGS", "draw_page"]

MOST_FINDINGS: Final = 60  # a kind
MOST_CROPS: Final = 6  # a finding
SIDE: Final = 128
QUALITY: Final = 80


def draw_page(found: Audit, manifest: str) -> str:
    """The page as HTML; whatever comes from the data set is escaped.

    Args:
        found: by the audit.
        manifest: how the user named it.
    """
    environment = Environment(
        loader=PackageLoader("agelens.audit", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    counts = count_kinds(found.findings)
    return environment.get_template("page.html.j2").render(
        version=VERSION,
        manifest=manifest,
        rows=len(found.samples.table),
        kept=len(found.samples.kept),
        concerned=len({row for finding in found.findings for row in finding.rows}),
        sections=[_section(found, kind, *counts[kind]) for kind in counts],
    )


def _section(found: Audit, kind: Kind, findings: int, samples: int) -> Mapping[str, Any]:
    shown = [finding for finding in found.findings if finding.kind == kind][:MOST_FINDINGS]
    return {
        "name": str(kind),
        "anchor": kind.name.lower(),
        **ABOUT[kind]._asdict(),
        "findings": findings,
        "samples": samples,
        "shown": [_card(found, finding) for finding in shown],
        "more": findings - len(shown),
    }


def _card(found: Audit, finding: Finding) -> Mapping[str, Any]:
    return {
        "what": finding.what,
        "crops": list(_crops(found, finding.rows[:MOST_CROPS])),
        "more": max(0, len(finding.rows) - MOST_CROPS),
        "table": finding.details.get("table"),
    }


def _crops(found: Audit, rows: tuple[int, ...]) -> Iterator[Mapping[str, Any]]:
    table, readable = found.samples.table, found.samples.readable
    for row in rows:
        sample = table.iloc[row]
        yield {
            "row": row,
            "path": _text(sample["source_path"]) or "unnamed",
            "picture": _picture(found, sample) if readable[row] else None,
            "age": age_text(*(_number(sample[name]) for name in ("age", "age_low", "age_high"))) or "no age",
            "labels": [text for name in ("gender", "split", "subject") if (text := _text(sample[name]))],
            "fold": _text(sample["fold"]),
        }


def _picture(found: Audit, sample: pd.Series[Any]) -> str | None:
    """A small JPEG in base64, or None where the crop cannot be read."""
    try:
        crop = found.samples.manifest.read_crop(sample)
    except DataError:
        return None
    small: npt.NDArray[np.uint8] = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return b64encode(data.tobytes()).decode() if done else None


def _text(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
