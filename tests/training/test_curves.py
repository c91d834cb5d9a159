"""The picture of a training so far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.errors import OutputError
from agelens.train.curves import draw_curves

ROWS = [
    {"epoch": epoch, "train_loss": 4 / epoch, "val_loss": 5 / epoch, "train_mae": 20 / epoch, "val_mae": 22 / epoch}
    for epoch in range(1, 6)
]


def _drawn(rows: list[dict[str, float]], path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    draw_curves(rows, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_each_figure_has_its_plot(tmp_path: Path) -> None:
    one = [{"epoch": row["epoch"], "val_loss": row["val_loss"]} for row in ROWS]
    more = [row | {"val_band": 0.5, "val_gender": 0.6} for row in ROWS]
    widths = [_drawn(rows, tmp_path / "curves.png").shape for rows in (one, ROWS, more)]
    assert widths == [(512, 576, 3), (512, 2 * 576, 3), (512, 4 * 576, 3)]


def test_the_same_figures_give_the_same_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, rows in {"one": ROWS, "same": ROWS, "other": [*ROWS[:-1], ROWS[-1] | {"val_mae": 9.0}]}.items():
        draw_curves(rows, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "same").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_training_and_validation_are_drawn_from_the_first_epoch_on(epochs: int, tmp_path: Path) -> None:
    empty = _drawn([{"epoch": 1, "val_loss": float("nan"), "val_mae": float("nan")}], tmp_path / "empty.png")
    picture = _drawn([dict(row) for row in ROWS[:epochs]], tmp_path / "curves.png")
    for colour in ((42, 111, 151), (242, 166, 90)):
        assert (picture == colour).all(axis=2).sum() > (empty == colour).all(axis=2).sum()


def test_a_picture_grows_with_the_run(tmp_path: Path) -> None:
    pictures = [_drawn([dict(row) for row in ROWS[:epochs]], tmp_path / "curves.png") for epochs in (2, 3, 4)]
    assert len({picture.tobytes() for picture in pictures}) == 3


def test_figures_that_come_late_are_drawn_where_they_are_known(tmp_path: Path) -> None:
    late = [*ROWS[:2], *(row | {"val_gender": 0.7} for row in ROWS[2:])]
    assert _drawn(late, tmp_path / "curves.png").shape == (512, 3 * 576, 3)


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        draw_curves(ROWS, tmp_path / "file/curves.png")
