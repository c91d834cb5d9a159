"""How well people are known again in a video: likeness of one face's frames, and of different people.

    python benchmarks/video_identities.py CROPS [--embedder sface] [--faces 300]

CROPS is what ``agelens prepare utkface`` wrote. Of each face eight frames are made as a bad camera would give them (see
video_pooling.py); told is, for several likenesses, which share of pairs of one face's frames reach it, and which share
of pairs of different faces. Few people are in UTKFace twice, and those pairs count as different here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from agelens.data.manifest import read_manifest
from agelens.embedders import SFACE, open_embedder
from agelens.faces.align import recrop_matrix, similarity, warp
from agelens.video.follower import ALIKE
from video_pooling import frame_like

FRAMES = 8


def main() -> None:
    """Make the frames, compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("--embedder", default=SFACE)
    parser.add_argument("--faces", type=int, default=300)
    given = parser.parse_args()
    manifest, embedder, random = read_manifest(given.crops), open_embedder(given.embedder), np.random.default_rng(0)
    wanted = embedder.spec.crop
    vectors = []
    for _, row in manifest.split("val").sample(given.faces, random_state=0).iterrows():
        crop = manifest.read_crop(row)
        frames = [frame_like(crop, manifest.crop, manifest.crop, random) for _ in range(FRAMES)]
        same = wanted.template == manifest.crop.template
        matrix = recrop_matrix(manifest.crop, wanted) if same else similarity(manifest.crop.points(), wanted.points())
        found = embedder.embed(np.stack([warp(frame, matrix, wanted.size) for frame in frames]))
        vectors.append(found / np.linalg.norm(found, axis=1, keepdims=True))
    all_of = np.stack(vectors)
    one = np.concatenate([(face @ face.T)[np.triu_indices(FRAMES, 1)] for face in all_of])
    first = all_of[:, 0] @ all_of[:, 1].T
    others = first[~np.eye(len(first), dtype=bool)]
    print("| likeness | pairs of one face | of different ones |\n|---:|---:|---:|")
    for likeness in (0.3, 0.363, ALIKE, 0.5, 0.6):
        print(f"| {likeness:g} | {(one >= likeness).mean():.1%} | {(others >= likeness).mean():.2%} |")


if __name__ == "__main__":
    main()
