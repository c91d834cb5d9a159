"""Cross-validation of networks on vectors: all folds and seeds in one stack, from scratch and pre-trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from agelens.bundle import BUILTIN, Bundle
from agelens.crossval import PRETRAINED, SCRATCH, CrossvalPlan, Run, RunBook
from agelens.data.folds import FoldParts, fold_parts, folds_of
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.vectors import read_vectors
from agelens.embed.checks import check_labels, check_same_embedder, embedder_of, fingerprint
from agelens.embed.config import MlpConfig
from agelens.embed.fit import Faces, Member, fit, plan_of
from agelens.embed.judge import judge
from agelens.embed.labels import labels_of
from agelens.embed.mlp import Mlp, build_mlp, scale_all
from agelens.embed.pretraining import pretrained

__all__ = ["crossvalidate"]

Progress = Callable[[str, int, int], None]


def crossvalidate(
    config: MlpConfig,
    plan: CrossvalPlan,
    out: Path,
    *,
    progress: Progress = lambda what, done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a network for every fold and seed, from scratch, and pre-trained where the configuration says so.

    Called again after it was cut off, it goes on with the runs that are missing.

    Args:
        config: of the trainings.
        plan: which.
        out: the folder of the results, see ``crossval``.
        progress: called with what is being trained, the number of steps done and their total.
        say: called with what people should know of the figures.

    Returns:
        What ``crossval.json`` holds.

    Raises:
        ConfigError: the loss grew beyond all numbers.
        DataError: the manifest holds no vectors, or not such as can be learnt from.
        OutputError: ``out`` cannot be written, or holds another cross-validation.
    """
    manifest = read_manifest(config.data.manifest)
    rows = manifest.split("all")
    faces = Faces(torch.from_numpy(read_vectors(manifest, rows)), labels_of(rows))
    parts = _parts(rows, faces, plan, config)
    asked = {**plan._asdict(), "together": None, "faces": fingerprint(rows, manifest)}
    first = None if config.pretrain is None else read_manifest(config.pretrain.manifest)
    if first is not None:
        check_same_embedder(embedder_of(manifest), embedder_of(first), str(first.folder))
        asked["pretrain_faces"] = fingerprint(first.split("all"), first)
    _say_if_known(embedder_of(manifest).name, rows, say)
    steps = plan_of(config, max(len(one.train) for one in parts.values()))
    with closing(RunBook(out, config, asked)) as book:
        for variant, others in ((SCRATCH, None), (PRETRAINED, first))[: 1 if first is None else 2]:
            missing = book.missing(variant, parts)
            starts = _starts(config, faces, manifest, others, rows, {seed for _, seed in missing}, progress)
            for begin in range(0, len(missing), plan.together):
                chosen = missing[begin : begin + plan.together]
                members = [Member(copy.deepcopy(starts[seed]), *parts[fold, seed][:2], seed) for fold, seed in chosen]
                what = f"{variant}, {len(members)} of {len(parts)} networks"
                fit(faces, members, config, steps, progress=partial(progress, what))
                for place, one in zip(chosen, members, strict=True):
                    book.add(_judged(variant, place, one.network, parts[place], faces, config))
        return book.finish()


def _say_if_known(name: str, rows: pd.DataFrame, say: Callable[[str], None]) -> None:
    """A built-in model's vectors of faces that it learnt from are better than those of others."""
    learnt = Bundle.load(name).card.training.get("datasets", ()) if name in BUILTIN else ()
    known = sorted({*learnt} & {*rows["dataset"]})
    if known:
        say(f"{name}, whose vectors these are, was trained on {', '.join(known)}: figures are too good")


def _parts(rows: pd.DataFrame, faces: Faces, plan: CrossvalPlan, config: MlpConfig) -> dict[tuple[int, int], FoldParts]:
    """By fold and seed; each known to be such as can be learnt from."""
    folds, parts = folds_of(rows, plan.folds), {}
    for fold in np.unique(folds).tolist():
        for seed in range(plan.seeds):
            one = fold_parts(rows, folds, fold, val_share=plan.val_share, seed=seed)
            check_labels(config, faces.labels, one.train, one.val, f"fold {fold}")
            parts[fold, seed] = one
    return parts


def _starts(
    config: MlpConfig,
    faces: Faces,
    manifest: Manifest,
    first: Manifest | None,
    rows: pd.DataFrame,
    seeds: set[int],
    progress: Progress,
) -> dict[int, Mlp]:
    """By seed, what the members of a variant start from: random numbers, or what was learnt ``first``."""
    if first is not None and seeds:
        return pretrained(config, first, manifest, rows, sorted(seeds), progress=partial(progress, "pre-training"))
    starts = {seed: build_mlp(config, faces.vectors.shape[1], seed) for seed in seeds}
    scale_all(list(starts.values()), faces.vectors)
    return starts


def _judged(
    variant: str, place: tuple[int, int], network: Mlp, parts: FoldParts, faces: Faces, config: MlpConfig
) -> Run:
    figures = {name: judge(network, *faces, places, config) for name, places in parts._asdict().items()}
    return Run(variant, *place, figures)
