"""What an audit looks for, and with what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, get_args

from agelens.audit.crops import Progress
from agelens.audit.faces import SAME_FACE
from agelens.bundle import Bundle
from agelens.faces.embedder import Embedder

__all__ = ["CHECKS", "AuditSettings", "Check", "Stage"]

Check = Literal["duplicates", "leaks", "labels", "pictures", "balance", "model"]
CHECKS: Final[tuple[Check, ...]] = get_args(Check)

# Says that a part of the work begins, and takes how far it is: ``cli.console.progress_bar``, or nobody.
Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What to look for.

    Attributes:
        checks: parts of the audit; "model" needs bundles.
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
