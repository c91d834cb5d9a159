"""Measure the built-in models, and write their figures into README.md and the model cards.

    python models/document.py crops/utkface crops/fairface [--written]

The two are what ``agelens prepare`` wrote of UTKFace and FairFace by default. The figures go to models/figures.json;
with ``--written`` they are taken from there instead. A face's time is that of the model's row in models/search.json.
Each document has lines like <!-- figures of base --> and <!-- end of figures -->; what stands between them is replaced.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agelens.bundle import BUILTIN, DEFAULT, Bundle
from agelens.data.manifest import read_manifest
from agelens.evaluate.answers import answers_of
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.figures import figures
from agelens.evaluate.intervals import crossfitted_coverage
from agelens.files import write_text
from measure import RECORD as SEARCH

HERE = Path(__file__).parent
RECORD = HERE / "figures.json"
README = HERE.parent / "README.md"
LEVELS = (0.5, 0.8, 0.9, 0.95)
LEVEL = 0.9
END = "<!-- end of figures -->"
HEADINGS = ("group", "faces", "MAE", "95 %", "RMSE", "bias", "CS@5", "gender", "coverage", "width")

Figures = dict[str, Any]


def measured(name: str, utkface: Path, fairface: Path) -> Figures:
    """All figures of a built-in model."""
    bundle, rows = Bundle.load(name), json.loads(SEARCH.read_text(encoding="utf-8"))
    exact = predict_split(bundle, read_manifest(utkface), "val")
    banded = predict_split(bundle, read_manifest(fairface), "val")
    told = figures(answers_of(banded, bundle.card.interval_mass(LEVEL)), LEVEL)
    return {
        "megabytes": round(BUILTIN[name].stat().st_size / 1e6, 1),
        "milliseconds": next(row["milliseconds"] for row in rows if row["name"] == name),
        "utkface": figures(answers_of(exact, bundle.card.interval_mass(LEVEL)), LEVEL),
        "thresholds": dict(bundle.card.thresholds),
        "crossfitted": {str(one): crossfitted_coverage(exact.age_probs, exact.true_age, one) for one in LEVELS},
        "fairface": {
            "faces": told["all"]["faces"],
            "bands": told["all"]["likeliest_band"],
            "bands_interval": told["all"]["uncertainty"]["likeliest_band"],
            "gender": told["all"]["gender_accuracy"],
            "gender_interval": told["all"]["uncertainty"]["gender_accuracy"],
            "races": {race: one["gender_accuracy"] for race, one in told["groups"].get("race", {}).items()},
        },
    }


def table(found: Figures) -> str:
    """The figures of all faces and of each group, as Markdown."""
    utkface, fairface = found["utkface"], found["fairface"]
    groups = {"all": utkface["all"], **utkface["decades"]}
    for kind in ("gender", "race"):
        groups |= utkface["groups"].get(kind, {})
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    lines += [f"| {name} | {' | '.join(cells(group))} |" for name, group in groups.items()]
    levels = ", ".join(f"{float(level):.0%}: {share:.1%}" for level, share in found["crossfitted"].items())
    low, high = fairface["bands_interval"]
    lines += [
        "",
        f"Coverage where each half of the faces is judged by the other half's calibration: {levels}.",
        f"On FairFace's {fairface['faces']:,} validation faces, {fairface['bands']:.1%} ({low:.1%} to {high:.1%}) fall "
        f"into the labelled band of nine, and {fairface['gender']:.1%} have the labelled gender.",
        *map(challenge, found["thresholds"].items()),
        f"The file has {found['megabytes']} MB; a face takes {found['milliseconds']:.1f} ms on one thread.",
    ]
    return "\n".join(lines) + "\n"


def challenge(known: tuple[str, Figures]) -> str:
    """One challenge age of the card in words."""
    legal, one = known
    return (
        f"Challenge age for {legal}: {one['challenge_age']:.1f} years. Of validation faces that it was not chosen on, "
        f"{one['false_pass']:.1%} of those below {legal} (most of them small children) pass, and "
        f"{one['false_fail']:.0%} of the others are asked.  "
    )


def cells(group: Figures) -> list[str]:
    """One line's figures."""
    low, high = group["uncertainty"]["mae"]
    years = [f"{group['mae']:.2f}", f"{low:.2f}–{high:.2f}", f"{group['rmse']:.2f}", f"{group['bias']:+.2f}"]
    shares = [f"{group[name]:.1%}" for name in ("cs5", "gender_accuracy", "coverage")]
    return [str(group["faces"]), *years, *shares, f"{group['interval_width']:.1f}"]


def main() -> None:
    """Measure, and replace the figures in every document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utkface", type=Path)
    parser.add_argument("fairface", type=Path)
    parser.add_argument("--written", action="store_true")
    arguments = parser.parse_args()
    if not arguments.written:
        found = {name: measured(name, arguments.utkface, arguments.fairface) for name in BUILTIN}
        write_text(RECORD, json.dumps(found, indent=1) + "\n")
    found = json.loads(RECORD.read_text(encoding="utf-8"))
    for name, path in BUILTIN.items():
        documents = [path.with_suffix(".md"), *([README] if name == DEFAULT else [])]
        for document in documents:
            start = f"<!-- figures of {name} -->\n"
            before, rest = document.read_text(encoding="utf-8").split(start)
            after = rest.split(END, 1)[1]
            write_text(document, before + start + table(found[name]) + END + after)


if __name__ == "__main__":
    main()
