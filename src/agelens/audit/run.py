"""The audit: every check that was asked for, and all that they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from agelens.audit.balance import find_imbalance
from agelens.audit.copies import find_copies, find_leaks, find_parted_subjects
from agelens.audit.crops import CropReader, Progress, silent
from agelens.audit.faces import SAME_FACE, embed_faces, face_links
from agelens.audit.findings import Finding, Kind
from agelens.audit.labels import find_labels, subject_key
from agelens.audit.photos import Photos, group_photos, hash_links, registration_links
from agelens.audit.pictures import find_blank, find_damaged, find_doubtful
from agelens.audit.samples import Samples, open_samples
from agelens.audit.suspects import choose_judges, find_suspects
from agelens.bundle import Bundle
from agelens.data.nearest import grey, nearest_pairs
from agelens.faces.embedder import Embedder

__all__ = ["CHECKS", "Audit", "AuditSettings", "Check", "Stage", "audit"]

Check = Literal["duplicates", "leaks", "labels", "pictures", "balance", "model"]
CHECKS: Final[tuple[Check, ...]] = get_args(Check)

# Says that a part of the work begins, and takes how far it is: ``cli.console.progress_bar``, or nobody.
Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What to look for, and with what.

    Attributes:
        checks: what to look for; "model" needs bundles.
        bundles: models whose opinion of the labels counts: one, or as many as there are folds.
        in_sample: one model judges the training split too.
        embedder: finds faces alike, beside what hashes and registration find.
        same_face: cosine of two embeddings from which they are one photo.
    """

    checks: Sequence[Check] = CHECKS
    bundles: Sequence[Bundle] = ()
    in_sample: bool = False
    embedder: Embedder | None = None
    same_face: float = SAME_FACE


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        samples: that were looked at.
        findings: by kind, the worst of each first.
        photos: which samples show one photo; None when neither duplicates nor leaks were looked for.
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
    samples = open_samples(path)
    judged = choose_judges(samples, len(settings.bundles), in_sample=settings.in_sample) if settings.bundles else []
    work = _Work(samples, settings, stage)
    photos = work.photos() if {"duplicates", "leaks"} & set(settings.checks) else None
    found = list(work.findings(photos, judged))
    found += find_damaged(work.reader)
    order = {kind: place for place, kind in enumerate(Kind)}
    found.sort(key=lambda one: (order[one.kind], -one.score, one.rows))
    return Audit(samples, tuple(found), photos if "leaks" in settings.checks else None)


class _Work:
    """The parts of an audit, which share what was read."""

    def __init__(self, samples: Samples, settings: AuditSettings, stage: Stage) -> None:
        self.samples, self.settings, self.stage = samples, settings, stage
        self.reader = CropReader(samples)
        rows, greys = self._greys() if {"duplicates", "leaks", "pictures"} & set(settings.checks) else _NOTHING
        self.rows, self.greys = rows, greys

    def _greys(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        with self.stage("reading crops") as progress:
            parts = list(self.reader.batches(self.samples.kept.index.to_numpy(), grey, progress))
        if not parts:
            return _NOTHING
        rows, greys = zip(*parts, strict=True)
        return np.concatenate(rows), np.concatenate(greys)

    def photos(self) -> Photos:
        kept = self.samples.kept
        with self.stage("comparing hashes") as progress:
            links = {"hash": hash_links(self.samples, progress)}
        with self.stage("looking for alike crops") as progress:
            pairs = nearest_pairs(self.greys, progress)
        places = np.searchsorted(kept.index.to_numpy(), self.rows)
        with self.stage("laying crops over each other") as progress:
            links["registration"] = registration_links(len(kept), places, self.greys, pairs, progress)
        if self.settings.embedder is not None:
            with self.stage("embedding faces") as progress:
                rows, vectors = embed_faces(self.reader, self.rows, self.settings.embedder, progress)
            with self.stage("comparing faces") as progress:
                places = np.searchsorted(kept.index.to_numpy(), rows)
                links["face"] = face_links(len(kept), places, vectors, self.settings.same_face, progress)
        return group_photos(kept, links)

    def findings(self, photos: Photos | None, judged: Sequence[npt.NDArray[np.int64]]) -> Iterator[Finding]:
        kept, checks = self.samples.kept, self.settings.checks
        if photos is not None and "duplicates" in checks:
            yield from find_copies(kept, photos)
        if photos is not None and "leaks" in checks:
            yield from find_leaks(kept, photos)
            yield from find_parted_subjects(kept, subject_key(kept))
        if "labels" in checks:
            yield from find_labels(self.samples)
        if "pictures" in checks:
            yield from find_doubtful(kept)
            yield from find_blank(self.rows, self.greys)
        if "balance" in checks:
            yield from find_imbalance(kept)
        if "model" in checks and judged:
            with self.stage("judging labels") as progress:
                yield from find_suspects(self.reader, self.settings.bundles, judged, progress)


_NOTHING: Final = (np.zeros(0, np.int64), np.zeros((0, 64, 64), np.uint8))
