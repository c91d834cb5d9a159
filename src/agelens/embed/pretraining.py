"""What a network on vectors starts from: random numbers, or what it learnt from other vectors before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import torch

from agelens.data.manifest import Manifest
from agelens.data.vectors import read_vectors
from agelens.embed.checks import check_apart, check_labels, check_same_embedder, embedder_of
from agelens.embed.config import MlpConfig
from agelens.embed.fit import Faces, Member, fit, plan_of
from agelens.embed.labels import labels_of
from agelens.embed.mlp import Mlp, build_mlp, dense_layers, scale_all
from agelens.train.reading import changed

__all__ = ["pretrained"]


def pretrained(
    config: MlpConfig,
    others: Manifest,
    manifest: Manifest,
    judged: pd.DataFrame,
    seeds: Sequence[int],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[int, Mlp]:
    """Networks for ``config`` whose layers have learnt from other faces, one for each seed, all in one stack.

    The last layer goes on too where both heads have as many numbers; else it is random.

    Args:
        config: what they are for, with a section ``pretrain``.
        others: what they learn from before, that section's manifest.
        manifest: what they will learn from then; its vectors must be of the same embedder.
        judged: its rows by which they will be judged, of which none may be among the others.
        seeds: of their weights and their order.
        progress: called with the number of steps done and their total.

    Raises:
        ConfigError: the loss grew beyond all numbers.
        DataError: the vectors are another embedder's, not such as can be learnt from, or some of ``judged``'s faces are
            among them.
    """
    check_same_embedder(embedder_of(manifest), embedder_of(others), str(others.folder))
    before = _config_before(config)
    rows = others.split("all")
    check_apart(rows[rows["split"].isin(["train", "val"])], judged, str(others.folder))
    faces = Faces(torch.from_numpy(read_vectors(others, rows)), labels_of(rows))
    train, val = ((rows["split"] == name).to_numpy().nonzero()[0] for name in ("train", "val"))
    check_labels(before, faces.labels, train, val, str(others.folder))
    networks = [build_mlp(before, faces.vectors.shape[1], seed) for seed in seeds]
    scale_all(networks, faces.vectors)
    members = [Member(network, train, val, seed) for network, seed in zip(networks, seeds, strict=True)]
    fit(faces, members, before, plan_of(before, len(train)), progress=progress)
    return {seed: _going_on(config, network, seed) for network, seed in zip(networks, seeds, strict=True)}


def _config_before(config: MlpConfig) -> MlpConfig:
    if config.pretrain is None:
        raise ValueError("the configuration has no section pretrain")
    told = config.pretrain.model_dump(mode="json")
    return changed(
        config,
        data__manifest=told["manifest"],
        head=told["head"],
        optim__epochs=told["epochs"],
        optim__lr=told["lr"],
        keep="loss",
        pretrain=None,
    )


@torch.no_grad()
def _going_on(config: MlpConfig, learnt: Mlp, seed: int) -> Mlp:
    """A network for ``config`` with the layers of one that may have another head."""
    network = build_mlp(config, len(learnt.mean), seed)
    network.mean.copy_(learnt.mean)
    network.scale.copy_(learnt.scale)
    network.layers.load_state_dict(learnt.layers.state_dict())
    *_, new = dense_layers(network)
    *_, old = dense_layers(learnt)
    if new.linear.weight.shape == old.linear.weight.shape:
        new.load_state_dict(old.state_dict())
    return network
