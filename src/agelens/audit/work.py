"""The parts of an audit, one after another; they share what was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agelens.audit.balance import find_imbalance
from agelens.audit.copies import find_copies, find_leaks, find_parted_subjects
from agelens.audit.crops import CropReader
from agelens.audit.faces import embed_faces, face_links
from agelens.audit.findings import Finding
from agelens.audit.labels import find_labels, subject_key
from agelens.audit.photos import Photos, group_photos, hash_links, registration_links
from agelens.audit.pictures import find_blank, find_damaged, find_doubtful
from agelens.audit.samples import Samples
from agelens.audit.settings import AuditSettings, Stage
from agelens.audit.suspects import find_suspects
from agelens.data.nearest import GREY_SIDE, grey, nearest_pairs

__all__ = ["Work"]

Rows = npt.NDArray[np.int64]
Greys = npt.NDArray[np.uint8]


class Work:
    """One audit's work."""

    def __init__(self, samples: Samples, settings: AuditSettings, stage: Stage) -> None:
        """Read the crops, if anything that is looked for needs them.

        Args:
            samples: of the manifest.
            settings: what to look for.
            stage: called with the name of each part.
        """
        self._samples, self._settings, self._stage = samples, settings, stage
        self._reader = CropReader(samples)
        wanted = {"duplicates", "leaks", "pictures"} & set(settings.checks)
        self._rows, self._greys = self._read_greys() if wanted else NOTHING

    def photos(self) -> Photos | None:
        """Which samples show one photo; None when neither duplicates nor leaks are looked for.

        Raises:
            BundleError: the embedder fails.
        """
        if not {"duplicates", "leaks"} & set(self._settings.checks):
            return None
        kept = self._samples.kept
        with self._stage("comparing hashes") as progress:
            links = {"hash": hash_links(self._samples, progress)}
        with self._stage("looking for alike crops") as progress:
            pairs = nearest_pairs(self._greys, progress)
        places = np.searchsorted(kept.index.to_numpy(), self._rows)
        with self._stage("laying crops over each other") as progress:
            links["registration"] = registration_links(len(kept), places, self._greys, pairs, progress)
        if self._settings.embedder is not None:
            with self._stage("embedding faces") as progress:
                rows, vectors = embed_faces(self._reader, self._rows, self._settings.embedder, progress)
            places = np.searchsorted(kept.index.to_numpy(), rows)
            with self._stage("comparing faces") as progress:
                links["face"] = face_links(len(kept), places, vectors, self._settings.same_face, progress)
        return group_photos(kept, links)

    def findings(self, photos: Photos | None, judged: Sequence[Rows]) -> Iterator[Finding]:
        """Everything that is looked for.

        Args:
            photos: which samples show one photo.
            judged: the rows that each bundle judges.

        Raises:
            DataError: the crops do not fit a bundle.
            BundleError: a network fails.
        """
        kept, checks = self._samples.kept, self._settings.checks
        if photos is not None and "duplicates" in checks:
            yield from find_copies(kept, photos)
        if photos is not None and "leaks" in checks:
            yield from find_leaks(kept, photos)
            yield from find_parted_subjects(kept, subject_key(kept))
        if "labels" in checks:
            yield from find_labels(self._samples)
        if "pictures" in checks:
            yield from find_doubtful(kept)
            yield from find_blank(self._rows, self._greys)
        if "balance" in checks:
            yield from find_imbalance(kept)
        if judged:
            with self._stage("judging labels") as progress:
                yield from find_suspects(self._reader, self._settings.bundles, judged, progress)
        yield from find_damaged(self._reader)

    def _read_greys(self) -> tuple[Rows, Greys]:
        wanted = self._samples.kept.index.to_numpy(dtype=np.int64)
        rows, greys = np.zeros_like(wanted), np.zeros((len(wanted), GREY_SIDE, GREY_SIDE), np.uint8)
        done = 0
        with self._stage("reading crops") as progress:
            for found, some in self._reader.batches(wanted, grey, progress):
                rows[done : done + len(found)], greys[done : done + len(found)] = found, some
                done += len(found)
        return rows[:done], greys[:done]


NOTHING: Final[tuple[Rows, Greys]] = np.zeros(0, np.int64), np.zeros((0, GREY_SIDE, GREY_SIDE), np.uint8)
