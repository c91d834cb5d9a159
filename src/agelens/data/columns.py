"""The columns of a manifest."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

__all__ = ["COLUMNS", "GENDERS", "OLDEST", "SPLITS"]

# Gender as the data sets label it: perceived, two values. The order is that of every model's output.
GENDERS: Final = ("male", "female")
SPLITS: Final = ("train", "val", "test")
OLDEST: Final = 130

COLUMNS: Final = pa.schema(
    [
        ("path", pa.string()),  # the file that holds the crop, relative to the manifest; null when there is none
        ("offset", pa.int64()),  # where in that file the crop's JPEG starts; null when the file is the crop
        ("length", pa.int32()),  # its bytes
        ("source_path", pa.string()),  # the original, relative to the data set's folder
        ("dataset", pa.string()),
        ("age", pa.float32()),  # years; null when only a band is known
        ("age_low", pa.float32()),  # the band, both ends within it
        ("age_high", pa.float32()),
        ("apparent_age", pa.float32()),  # mean and spread of what people guessed
        ("apparent_std", pa.float32()),
        ("gender", pa.string()),  # one of GENDERS, or null
        ("race", pa.string()),
        ("subject", pa.string()),
        ("group", pa.int32()),  # samples that must not be parted by a split share one: duplicates, and a subject's
        ("split", pa.string()),  # one of SPLITS; null when it was removed
        ("fold", pa.int32()),  # for cross-validation, counted from 0
        ("box", pa.list_(pa.float32(), 4)),  # in pixels of the original
        ("landmarks", pa.list_(pa.float32(), 10)),
        ("score", pa.float32()),  # the detector's
        ("digest", pa.string()),  # of the original file's bytes: equal for exact copies
        ("phash", pa.string()),  # perceptual hash of the crop: close for near copies
        ("removed", pa.string()),  # why it was left out, or null
        ("detail", pa.string()),  # what exactly was wrong, or null
    ]
)
