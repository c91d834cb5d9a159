"""Write the built-in model's figures, as its card has them, into README.md and the model card.

    python benchmarks/document.py

Each document has the lines <!-- figures --> and <!-- end of figures -->; what stands between them is replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agelens.bundle import Bundle

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "src" / "agelens" / "assets" / "MODEL_CARD.md")
START, END = "<!-- figures -->\n", "<!-- end of figures -->"
HEADINGS = ("age", "faces", "MAE", "RMSE", "bias", "CS@5", "gender", "coverage", "width")


def table(measured: dict[str, Any]) -> str:
    """The figures of all faces and of each decade, as Markdown."""
    groups = {"all": measured["all"], **measured["decades"]}
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    lines += [f"| {name} | {' | '.join(cells(group))} |" for name, group in groups.items()]
    coverage = measured["crossfitted_coverage"]
    levels = ", ".join(f"{float(level):.0%}: {share:.1%}" for level, share in coverage.items())
    lines += ["", f"Coverage where each half of the faces is judged by the other half's calibration: {levels}."]
    return "\n".join(lines) + "\n"


def cells(group: dict[str, Any]) -> list[str]:
    """One line's figures."""
    years = [f"{group[name]:.2f}" for name in ("mae", "rmse")]
    shares = [f"{group[name]:.1%}" for name in ("cs5", "gender_accuracy", "coverage")]
    return [str(group["faces"]), *years, f"{group['bias']:+.2f}", *shares, f"{group['interval_width']:.1f}"]


def main() -> None:
    """Replace the figures in every document."""
    text = table(dict(Bundle.load().card.figures["val"]))
    for document in DOCUMENTS:
        before, rest = document.read_text().split(START)
        _, after = rest.split(END)
        document.write_text(before + START + text + END + after)


if __name__ == "__main__":
    main()
