"""The audit: everything that is wrong, and a manifest without it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agelens.audit.crops import silent
from agelens.audit.findings import Finding, Kind
from agelens.audit.fix import REASONS, fix
from agelens.audit.photos import Photos
from agelens.audit.samples import Samples, open_samples, samples_of
from agelens.audit.settings import AuditSettings, Stage
from agelens.audit.suspects import choose_judges
from agelens.audit.work import Work
from agelens.data.manifest import Manifest

__all__ = ["Audit", "audit", "fix_all"]

MOST_ROUNDS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        samples: that were looked at.
        findings: by kind, the worst of each first.
        photos: which samples show one photo; None when nobody looked.
    """

    samples: Samples
    findings: tuple[Finding, ...]
    photos: Photos | None


def audit(path: Path, settings: AuditSettings, stage: Stage = lambda what: nullcontext(silent)) -> Audit:
    """Find the faults of a data set.

    Args:
        path: the manifest, or its folder.
        settings: what to look for.
        stage: called with the name of each part of the work.

    Raises:
        DataError: the file is missing, no manifest, has no rows or not the right columns, or its crops do not fit a
            bundle.
        ConfigError: a model has nothing to judge, or there are not as many models as folds.
        BundleError: a network fails.
    """
    return _audit(open_samples(path), settings, stage)


def fix_all(
    found: Audit,
    settings: AuditSettings,
    *,
    labels: bool = False,
    stage: Stage = lambda what: nullcontext(silent),
) -> Manifest:
    """The manifest without the faults that were found, nor others that came to light when those were gone.

    Each crop is compared with the few that look most alike. When copies leave, others take their places in that order,
    so the rest is looked through again.

    Args:
        found: by ``audit``, with the same settings.
        settings: what was looked for; leaks are closed if they were.
        labels: remove samples whose labels are likely wrong too.
        stage: called with the name of each part of the work.

    Raises:
        DataError: nothing would be left.
    """
    # all hashes and faces are compared with all: these find nothing new
    again = replace(settings, bundles=(), embedder=None)
    for _ in range(MOST_ROUNDS):
        leaks = found.photos if "leaks" in settings.checks else None
        fixed = fix(found.samples, found.findings, leaks, labels=labels)
        found = _audit(samples_of(fixed, found.samples.file), again, stage)
        if not any(finding.kind in FIXED for finding in found.findings):
            break
    return fixed


FIXED: Final = {*REASONS, Kind.DUPLICATE_ACROSS, Kind.SUBJECT_ACROSS} - {Kind.DOUBTFUL_AGE}


def _audit(samples: Samples, settings: AuditSettings, stage: Stage) -> Audit:
    count = len(settings.bundles) if "model" in settings.checks else 0
    judged = choose_judges(samples, count, in_sample=settings.in_sample) if count else []
    work = Work(samples, settings, stage)
    photos = work.photos()
    order = {kind: place for place, kind in enumerate(Kind)}
    findings = sorted(work.findings(photos, judged), key=lambda one: (order[one.kind], -one.score, one.rows))
    return Audit(samples, tuple(findings), photos)
