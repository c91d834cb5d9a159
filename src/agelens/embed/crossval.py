"""Cross-validation of networks on vectors: all folds and seeds in one stack, from scratch and pre-trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

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


def crossvalidate(
    config: MlpConfig,
    plan: CrossvalPlan,
    out: Path,
    *,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """Train a network for every fold and seed, from scratch, and pre-trained where the configuration says so.

    Called again after it was cut off, it goes on with the runs that are missing.

    Args:
        config: of the trainings.
        plan: which.
        out: the folder of the results, see ``crossval``.
        progress: called with what is being trained, the number of steps done and their total.

    Returns:
        What ``crossval.json`` holds.

    Raises:
        ConfigError: ``out`` holds another cross-validation, or the loss grew beyond all numbers.
        DataError: the manifest holds no vectors, or not such as can be learnt from.
        OutputError: ``out`` cannot be written.
    """
    manifest = read_manifest(config.data.manifest)
    rows = manifest.split("all")
    faces = Faces(torch.from_numpy(read_vectors(manifest, rows)), labels_of(rows))
    parts = _parts(rows, faces, plan, config)
    asked = {**plan._asdict(), "together": None, "faces": fingerprint(rows, manifest)}
    if config.pretrain is not None:
        first = read_manifest(config.pretrain.manifest)
        check_same_embedder(embedder_of(manifest), embedder_of(first), str(first.folder))
        asked["pretrain"] = fingerprint(first.split("all"), first)
    book = RunBook(out, config, asked)
    steps = plan_of(config, max(len(one.train) for one in parts.values()))
    for variant in (SCRATCH, PRETRAINED) if config.pretrain else (SCRATCH,):
        missing = book.missing(variant, parts)
        if not missing:
            continue
        starts = _starts(variant, config, faces, manifest, rows, {seed for _, seed in missing}, progress)
        for begin in range(0, len(missing), plan.together):
            chosen = missing[begin : begin + plan.together]
            members = [Member(copy.deepcopy(starts[seed]), *parts[fold, seed][:2], seed) for fold, seed in chosen]
            what = f"{variant}, {len(members)} of {len(parts)} networks"
            fit(faces, members, config, steps, progress=partial(progress, what))
            networks = zip(chosen, members, strict=True)
            book.add([_judged(variant, place, one.network, parts[place], faces, config) for place, one in networks])
    return book.finish()


def _parts(rows: pd.DataFrame, faces: Faces, plan: CrossvalPlan, config: MlpConfig) -> dict[tuple[int, int], FoldParts]:
    """By fold and seed; each known to be such as can be learnt from."""
    folds, parts = folds_of(rows, plan.folds), {}
    for fold in range(int(folds.max()) + 1):
        for seed in range(plan.seeds):
            one = fold_parts(rows, folds, fold, val_share=plan.val_share, seed=seed)
            check_labels(config, faces.labels, one.train, one.val, f"fold {fold}")
            parts[fold, seed] = one
    return parts


def _starts(
    variant: str,
    config: MlpConfig,
    faces: Faces,
    manifest: Manifest,
    rows: pd.DataFrame,
    seeds: set[int],
    progress: Callable[[str, int, int], None],
) -> dict[int, Mlp]:
    """By seed, what the members of a variant start from."""
    if variant == PRETRAINED and config.pretrain is not None:
        told = partial(progress, "pre-training")
        return pretrained(config, config.pretrain, manifest, rows, sorted(seeds), progress=told)
    starts = {seed: build_mlp(config, faces.vectors.shape[1], seed) for seed in seeds}
    scale_all(list(starts.values()), faces.vectors)
    return starts


def _judged(
    variant: str, place: tuple[int, int], network: Mlp, parts: FoldParts, faces: Faces, config: MlpConfig
) -> Run:
    figures = {name: judge(network, *faces, places, config) for name, places in parts._asdict().items()}
    return Run(variant, *place, figures)
