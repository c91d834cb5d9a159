"""What an audit found, as JSON and as counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agelens._version import VERSION
from agelens.audit.findings import ABOUT, Finding, Kind
from agelens.audit.run import Audit

__all__ = ["FORMAT", "count_kinds", "to_json"]

FORMAT: Final = 1


def count_kinds(findings: Sequence[Finding]) -> dict[Kind, tuple[int, int]]:
    """For each kind that was found, how many findings there are and how many samples they concern."""
    counts = {}
    for kind in Kind:
        found = [finding for finding in findings if finding.kind == kind]
        if found:
            counts[kind] = len(found), len({row for finding in found for row in finding.rows})
    return counts


def to_json(found: Audit, manifest: str, checks: Sequence[str]) -> dict[str, Any]:
    """Everything that was found, JSON-ready.

    Args:
        found: by the audit.
        manifest: how the user named it.
        checks: what was looked for.
    """
    table = found.samples.table
    paths = table["source_path"].where(table["source_path"].notna(), None).tolist()
    return {
        "format": FORMAT,
        "agelens": VERSION,
        "manifest": manifest,
        "rows": len(table),
        "kept": len(found.samples.kept),
        "checks": list(checks),
        "samples": len({row for finding in found.findings for row in finding.rows}),
        "counts": {
            str(kind): {"severity": ABOUT[kind].severity, "findings": findings, "samples": samples}
            for kind, (findings, samples) in count_kinds(found.findings).items()
        },
        "findings": [_plain(finding, paths) for finding in found.findings],
    }


def _plain(finding: Finding, paths: Sequence[str | None]) -> Mapping[str, Any]:
    return {
        "kind": str(finding.kind),
        "severity": finding.severity,
        "what": finding.what,
        "score": round(finding.score, 4),
        "rows": list(finding.rows),
        "paths": [paths[row] for row in finding.rows],
        "details": dict(finding.details),
    }
