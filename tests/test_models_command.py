"""The models that come with agelens, as they are listed and found by their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agelens import AgeEstimator
from agelens.bundle import BUILTIN, DEFAULT, Bundle
from agelens.cli import main


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["models", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_default_is_listed_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert next(iter(BUILTIN)) == DEFAULT
    head, *lines = [line.split() for line in _run(capsys).splitlines() if line.strip(" ─")]
    assert head == ["model", "MB", "input", "MAE", "in", "band", "terms"]
    assert [line[0] for line in lines] == list(BUILTIN)
    for line, path in zip(lines, BUILTIN.values(), strict=True):
        assert float(line[1]) == pytest.approx(path.stat().st_size / 1e6, abs=0.06)


def test_a_program_gets_the_whole_card(capsys: pytest.CaptureFixture[str]) -> None:
    for line, (name, path) in zip(_run(capsys, "--json").splitlines(), BUILTIN.items(), strict=True):
        told = json.loads(line)
        assert (told.pop("model"), told.pop("path"), told.pop("bytes")) == (name, str(path), path.stat().st_size)
        card = Bundle.load(name).card
        assert told == json.loads(json.dumps(card.to_dict()))


def test_a_name_and_the_path_of_its_file_are_the_same_model() -> None:
    for name, path in BUILTIN.items():
        assert AgeEstimator.load(name).bundle.card == AgeEstimator.load(path).bundle.card
    assert AgeEstimator.load().bundle.card == AgeEstimator.load(Path(DEFAULT)).bundle.card


def test_a_name_is_no_input_that_an_output_could_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    portrait = Path(__file__).parents[1] / "examples" / "eileen-collins.jpg"
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(portrait), "--csv", DEFAULT])
    assert ended.value.code == 0
    assert (tmp_path / DEFAULT).read_text().startswith("path,")
