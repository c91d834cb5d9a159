"""How long an evaluation takes, and how much of it is the report.

    python benchmarks/evaluating.py CROPS

CROPS is what ``agelens prepare utkface`` wrote; all of its faces are judged by agelens-base.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from agelens.bundle import Bundle
from agelens.data.manifest import read_manifest
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.report import write_report
from agelens.evaluate.reported import reported


def main() -> None:
    """Time both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    crops = parser.parse_args().crops
    start = time.perf_counter()
    bundle, manifest = Bundle.load(), read_manifest(crops)
    found = predict_split(bundle, manifest, "all")
    predicted = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_report(reported(found, bundle.card), manifest, str(manifest.folder), Path(folder))
    done = time.perf_counter()
    print(f"{len(found.rows):,} faces: {done - start:.0f} s, of which the report {done - predicted:.0f} s")


if __name__ == "__main__":
    main()
