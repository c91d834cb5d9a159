"""The same faces in the same splits, cut otherwise: crops for choices that a preparation does not leave open.

    python models/recut.py crops/utkface UTKFace crops/utkface-own --own
    python models/recut.py crops/utkface UTKFace crops/utkface-wide --margin 0.3

The first argument is what ``agelens prepare`` wrote, the second the data set itself, the third the folder to write.
With ``--own`` a picture as the data set has it is the crop; else the landmarks of the manifest align it again, with
that margin, at the same pixels of face in what is stored: a training sees as many as its ``input.size`` leaves.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from agelens.data.crops import PACK_NAME, PackWriter, encode
from agelens.data.manifest import MANIFEST_NAME, Manifest, read_manifest, write_manifest
from agelens.faces.align import CropSpec, align, crop_whole
from agelens.images import read_image


def recut(manifest: Manifest, pictures: Path, out: Path, *, margin: float | None) -> Manifest:
    """Cut every face that was kept anew, and keep all else; a margin of None takes whole pictures."""
    made = manifest.crop
    size = made.size if margin is None else round(made.size * (1 + 2 * margin) / (1 + 2 * made.margin))
    spec = CropSpec(size, margin or 0.0, made.template)
    table = manifest.table.copy()
    out.mkdir(parents=True)
    with closing(PackWriter(out / PACK_NAME)) as pack:
        for place in table.index[table["removed"].isna()]:
            row = table.loc[place]
            picture = read_image((pictures / row["source_path"]).read_bytes())
            whole = margin is None
            crop = crop_whole(picture, spec) if whole else align(picture, np.reshape(row["landmarks"], (5, 2)), spec)
            offset, length = pack.append(encode(crop))
            table.loc[place, ["path", "offset", "length"]] = [PACK_NAME, offset, length]
        pack.flush()
    again = replace(manifest, table=table, crop=spec, folder=out)
    write_manifest(again, out / MANIFEST_NAME)
    return again


def main() -> None:
    """Cut a prepared data set anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--own", action="store_true", help="pictures as they are")
    how.add_argument("--margin", type=float)
    given = parser.parse_args()
    made = recut(read_manifest(given.manifest), given.pictures, given.out, margin=given.margin)
    print(f"{given.out}: {int(made.table['removed'].isna().sum()):,} crops of {made.crop.size} pixels")


if __name__ == "__main__":
    main()
