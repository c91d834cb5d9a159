"""``agelens models``: what comes with agelens."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from agelens.bundle import BUILTIN, Bundle
from agelens.cli.console import print_json, print_table

__all__ = ["models"]


def models(*, json_lines: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """List the models that come with agelens: sizes, figures and terms.

    The first is used where none is named; predict, evaluate and audit take the others by --model NAME, Python by
    AgeEstimator.load(NAME). Figures are those of the card, on faces that the model was not trained on: the mean error
    in years or, of a model that learnt from age bands alone, the share of answers within them. The model cards say
    more.

    Example:  agelens models --json

    Parameters
    ----------
    json_lines
        Print one JSON object a line for each model, with its whole card, instead of the table.
    """
    cards = {name: Bundle.load(name).card for name in BUILTIN}
    if json_lines:
        for name, card in cards.items():
            print_json(
                {"model": name, "path": str(BUILTIN[name]), "bytes": BUILTIN[name].stat().st_size, **card.to_dict()}
            )
        return
    columns = {"model": "left", "MB": "right", "input": "right", "MAE": "right", "in band": "right", "terms": "left"}
    print_table(columns, [[name, *_cells(name, card.to_dict())] for name, card in cards.items()], whole=True)


def _cells(name: str, card: dict[str, Any]) -> list[str]:
    measured = card["figures"].get("val", {}).get("all", {})
    mae, band = measured.get("mae"), measured.get("band_accuracy")
    return [
        f"{BUILTIN[name].stat().st_size / 1e6:.1f}",
        f"{card['crop']['size']} px",
        "" if mae is None else f"{mae:.2f}",
        "" if band is None else f"{band:.1%}",
        card["terms"],
    ]
