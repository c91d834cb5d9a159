"""What a trained model is worth: a row of docs/model-search.md for each run.

    python models/measure.py MANIFEST RUN [--note "what was tried"] [--bundle FILE] [--name NAME]

RUN is a folder that ``agelens train`` wrote. Its bundle, or FILE, which was made of it, is run on the validation faces
of MANIFEST, UTKFace's and FairFace's: mean absolute error over UTKFace and its age groups with 95 % bootstrap
intervals, gender of those of ten years and over, the share of FairFace's faces put into the right one of its nine
bands, the size of the file, and the time a face takes on one thread. The row goes to models/search.json, the run's
configuration to models/search/, and the table of docs/model-search.md is written anew.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agelens.bundle import Bundle
from agelens.data.decades import DECADES, decade_of
from agelens.data.manifest import read_manifest
from agelens.evaluate.answers import answers_of
from agelens.evaluate.bootstrap import mean_interval
from agelens.evaluate.evaluation import Predictions, predict_split
from agelens.files import write_text
from agelens.train.config import read_config

HERE = Path(__file__).parent
RECORD = HERE / "search.json"
PAGE = HERE.parent / "docs" / "model-search.md"
MARKS = ("<!-- rows -->", "<!-- end of rows -->")
TIMED = 200

Row = dict[str, Any]
Values = npt.NDArray[np.float64]


def measured(found: Predictions) -> Row:
    """Figures of what a bundle says of the validation faces of a manifest."""
    exact = found.rows["age"].notna().to_numpy()
    true = found.true_age
    errors = np.abs(found.age - true)
    adult = exact & (true >= 10) & found.rows["gender"].notna().to_numpy()
    decades = decade_of(np.where(exact, true, 0))
    return {
        "mae": _mean(errors[exact]),
        "mae_60": _mean(errors[exact & (true >= 60)]),
        "mae_0_9": _mean(errors[exact & (true < 10)]),
        "decades": {name: _mean(errors[exact & (decades == place)]) for place, name in enumerate(DECADES)},
        "gender_10": _mean((found.gender == found.rows["gender"].to_numpy())[adult].astype(float)),
        "bands": _mean(right_bands(found)),
    }


def right_bands(found: Predictions) -> Values:
    """1 for each face of a known band whose likeliest band is that one, 0 for the others: (faces with a band,)."""
    bands = answers_of(found, 0.9).bands
    known = bands.labelled >= 0
    return np.asarray(bands.likeliest == bands.labelled, dtype=np.float64)[known]


def _mean(values: Values) -> tuple[float, float, float] | None:
    """Mean and the ends of its bootstrap interval; None of nothing."""
    if not len(values):
        return None
    low, high = mean_interval(values)
    return round(float(values.mean()), 4), round(low, 4), round(high, 4)


def milliseconds(path: Path) -> float:
    """Median time of one face on one thread, mirror image included where the bundle has it so."""
    bundle = Bundle.load(path, threads=1)
    crop = np.random.default_rng(0).integers(0, 256, (1, bundle.card.crop.size, bundle.card.crop.size, 3), np.uint8)
    times = []
    for _ in range(TIMED):
        start = time.perf_counter()
        bundle.run(crop)
        times.append(time.perf_counter() - start)
    return round(1000 * float(np.median(times)), 2)


def minutes(run: Path) -> float:
    """How long a run trained, without validation, from its figures."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    config = read_config(run / "config.yaml")
    steps = np.diff([0, *(int(row["step"]) for row in rows)])
    speeds = [float(row["faces_per_second"]) for row in rows]
    return round(sum(steps * config.data.batch_size / np.array(speeds)) / 60, 1)


def add(run: Path, manifest: Path, bundle: Path, *, name: str, note: str) -> Row:
    """Measure a bundle of a run, and keep its row and the run's configuration."""
    config, crop = read_config(run / "config.yaml"), Bundle.load(bundle).card.crop
    row = {
        "name": name,
        "run": run.name,
        "note": note,
        "backbone": config.backbone.name,
        "size": crop.size,
        "margin": crop.margin,
        "seed": config.seed,
        "epochs": config.optim.epochs,
        "minutes": minutes(run),
        "megabytes": round(bundle.stat().st_size / 1e6, 1),
        "milliseconds": milliseconds(bundle),
        **measured(predict_split(Bundle.load(bundle), read_manifest(manifest), "val")),
    }
    (HERE / "search").mkdir(exist_ok=True)
    shutil.copyfile(run / "config.yaml", HERE / "search" / f"{run.name}.yaml")
    rows = list(json.loads(RECORD.read_text())) if RECORD.exists() else []
    rows = [one for one in rows if one["name"] != name] + [row]
    write_rows(RECORD, rows, table(rows), MARKS)
    return row


def write_rows(record: Path, rows: list[Row], lines: str, marks: tuple[str, str]) -> None:
    """Keep rows, and write their table into the page, between its marks."""
    write_text(record, json.dumps(rows, indent=1) + "\n")
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(marks[0])[0], text.split(marks[1])[1]
    write_text(PAGE, f"{before}{marks[0]}\n{lines}\n{marks[1]}{after}")


def table(rows: list[Row]) -> str:
    """The rows for people, and their errors by decade below."""
    head = (
        "| run | what it tries | seed | input | epochs | minutes | MAE | 0–9 | 60+ | gender | bands | MB | ms |\n"
        "|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    lines = []
    for row in rows:
        mae, low, high = row["mae"]
        parts = [
            f"[{row['name']}](../models/search/{row['run']}.yaml)",
            row["note"] or row["backbone"],
            row["seed"],
            f"{row['size']} px, {row['margin']:g}",
            row["epochs"],
            row["minutes"],
            f"{mae:.2f} ({low:.2f}–{high:.2f})",
            *(f"{row[name][0]:.2f}" for name in ("mae_0_9", "mae_60")),
            *("–" if row[name] is None else f"{100 * row[name][0]:.1f}" for name in ("gender_10", "bands")),
            f"{row['megabytes']:.1f}",
            f"{row['milliseconds']:.1f}",
        ]
        lines.append("| " + " | ".join(map(str, parts)) + " |")
    return head + "\n".join(lines) + "\n\n" + by_decade(rows)


def by_decade(rows: list[Row]) -> str:
    """Mean absolute error over UTKFace's faces of each decade, for people."""
    lines = ["| run | " + " | ".join(DECADES) + " |", "|---|" + "---:|" * len(DECADES)]
    for row in rows:
        known = (row["decades"].get(name) for name in DECADES)
        parts = [row["name"], *("–" if one is None else f"{one[0]:.2f}" for one in known)]
        lines.append("| " + " | ".join(parts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure a run and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--note", default="")
    parser.add_argument("--bundle", type=Path, help="the run's own by default")
    parser.add_argument("--name", help="of the row; the run's by default")
    given = parser.parse_args()
    if given.bundle and not given.name:
        parser.error("a --bundle that was made of a run needs a --name of its own")
    bundle, name = given.bundle or given.run / "bundle.onnx", given.name or given.run.name
    print(json.dumps(add(given.run, given.manifest, bundle, name=name, note=given.note)))


if __name__ == "__main__":
    main()
