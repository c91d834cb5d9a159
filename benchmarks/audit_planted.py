"""Does ``agelens audit`` find faults that were planted, and nothing else?

    python benchmarks/audit_planted.py UTKFACE [--embedder FILE.onnx]

UTKFACE is the data set as it is distributed. See planting.py for what is planted among its pictures; the built-in model
judges the labels of those that it did not learn. The last column counts findings in pictures in which no such fault was
planted: UTKFace has wrong labels of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import planting
from agelens.audit.findings import Kind
from agelens.audit.run import audit
from agelens.audit.settings import AuditSettings
from agelens.bundle import Bundle
from agelens.faces.embedder import Embedder

OPINIONS = (Kind.WRONG_AGE, Kind.WRONG_GENDER)


def main() -> int:
    """Build, audit, print; the exit status is 1 when a fault was missed that takes no model's opinion to find."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utkface", type=Path)
    parser.add_argument("--embedder", type=Path, help="such as SFace, which wants raw pixels")
    arguments = parser.parse_args()
    embedder = Embedder.load(arguments.embedder, scale="raw") if arguments.embedder else None
    with tempfile.TemporaryDirectory() as folder:
        manifest, faults = planting.plant(arguments.utkface, Path(folder) / "planted")
        found = audit(manifest, AuditSettings(bundles=[Bundle.load()], embedder=embedder))
        names = found.samples.table["source_path"].tolist()
        scores = planting.score(faults, found.findings, names)
    missed = 0
    print(f"{len(names)} pictures\n\n| kind | planted | found | missed | false alarms |\n|---|---:|---:|---:|---:|")
    for kind, (planted, hit, false) in scores.items():
        missed += planted - hit if kind not in OPINIONS else 0
        print(f"| {kind} | {planted} | {hit} | {planted - hit} | {false} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
