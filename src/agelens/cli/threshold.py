"""``agelens threshold``: at which estimated age to let pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.bundle import Bundle, model_file
from agelens.cli.console import note, print_json, print_line, print_table, progress_bar
from agelens.data.manifest import read_manifest
from agelens.data.moving import check_not_input, input_files
from agelens.errors import ConfigError
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.threshold_plot import draw_threshold
from agelens.evaluate.thresholds import choose_threshold, sides, threshold_figures
from agelens.files import check_file, write_text

__all__ = ["threshold"]


def threshold(
    bundle: Path,
    manifest: Path,
    /,
    *,
    age: Annotated[int, Parameter(validator=Number(gte=1, lte=100))] = 18,
    max_false_pass: Annotated[float, Parameter(validator=Number(gte=0.0001, lt=1))] = 0.01,
    youngest: Annotated[float, Parameter(validator=Number(gte=0, lte=99))] = 0,
    split: str = "val",
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
    out: Path | None = None,
    plot: Path | None = None,
) -> None:
    """Find the estimated age from which to let pass, and how often that is wrong.

    As in "Challenge 25": who is estimated younger is asked for a proof of age. The challenge age is the lowest at which
    at most the given share of those below the legal age pass. Rates come with their exact 95 % intervals, by year of
    true age and by group. The line "not chosen on" tells the rates of faces that played no part in the choice: each
    tenth of them by the challenge age of the others, which varies as shown. Use faces that the bundle was not trained
    on, and that are like those it will see.

    Example:  agelens threshold base crops/utkface --age 18 --max-false-pass 0.01

    Parameters
    ----------
    bundle
        A bundle, or the name of a built-in model, as agelens models lists them.
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    age
        The legal age in years.
    max_false_pass
        Share of those below it that may pass, 0.0001 or more.
    youngest
        Leave out faces below this age, as small children, whom every model tells from adults: without them the
        challenge age is that of the hard cases.
    split
        train, val, test or all.
    json_lines
        Print everything, with the curve, as one JSON object instead of the table.
    out
        Write that object into this file too.
    plot
        Draw both rates over the challenge age into this PNG file.
    """
    if out is not None and plot is not None and out.absolute() == plot.absolute():
        raise ConfigError(f"--out and --plot are both {out}; choose another name for one of them")
    if youngest >= age:
        raise ConfigError(f"--youngest {youngest:g} is not below --age {age}; nobody could pass falsely")
    for target in (out, plot):
        if target is not None:
            check_file(target)
    model, table = Bundle.load(bundle), read_manifest(manifest)
    for target in (out, plot):
        if target is not None:
            check_not_input(target, [model_file(bundle), *input_files(manifest, table)])
    with progress_bar("evaluating") as advance:
        faces = sides(predict_split(model, table, split, progress=advance), age, youngest=youngest)
    challenge = choose_threshold(faces, max_false_pass)
    asked = {"age": age, "max_false_pass": max_false_pass, "youngest": youngest}
    measured = asked | threshold_figures(faces, challenge, max_false_pass)
    if json_lines:
        print_json(measured)
    else:
        _show(measured)
    if out is not None:
        write_text(out, json.dumps(measured, indent=1) + "\n")
        note(f"wrote {out}")
    if plot is not None:
        draw_threshold(faces, challenge, plot)
        note(f"wrote {plot}")


def _show(measured: dict[str, Any]) -> None:
    legal = measured["age"]
    headings = [f"below {legal}", "passed", "95%", f"{legal} and over", "asked", "95% "]
    groups = [("all", measured["all"])]
    for kind, found in measured["groups"].items():
        groups += [(f"aged {name}" if kind == "age" else name, one) for name, one in found.items()]
    rows = [[name, *_cells(one["false_pass"]), *_cells(one["false_fail"])] for name, one in groups]
    fresh = measured["not_chosen_on"]
    if fresh is not None:
        shares = [format(fresh[name], ".1%") for name in ("false_pass", "false_fail")]
        spread = f"at {fresh['lowest']:.1f}–{fresh['highest']:.1f}"
        rows.insert(1, [f"not chosen on, {spread}", "", shares[0], "", "", shares[1], ""])
    print_line(
        f"challenge age {measured['challenge_age']:.1f}: who is estimated younger is asked for a proof of {legal}"
    )
    print_table({"group": "left"} | dict.fromkeys(headings, "right"), rows)
    if fresh is None:
        note("too few faces below the age to choose on nine tenths of them and judge by the last")
    if measured["faces_left_out"]:
        note(f"left out: {measured['faces_left_out']} faces that may be on either side of {legal}, perhaps the hardest")
    if measured["challenge_age"] < legal:
        note(f"the challenge age is below {legal}: people below it look younger than they are to this model")


def _cells(one: dict[str, Any] | None) -> list[str]:
    if one is None:
        return ["", "", ""]
    low, high = one["interval"]
    return [str(one["faces"]), f"{one['share']:.1%}", f"{low:.1%}–{high:.1%}"]
