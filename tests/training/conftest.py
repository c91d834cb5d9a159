"""Made-up faces in UTKFace's layout, and a training small enough for a test."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from PIL import Image

from agelens.cli import main
from agelens.data.cut import CutSettings
from agelens.data.duplicates import digest
from agelens.data.grouping import SplitPlan
from agelens.data.manifest import Manifest, read_manifest, write_manifest
from agelens.data.prepare import Preparation, prepare
from agelens.export import export
from agelens.faces.align import CropSpec
from agelens.faces.detector import Detection, Detector, FixedDetector
from agelens.finishing import Finished
from agelens.train.config import TrainConfig, changed
from agelens.train.keeping import Keeper
from agelens.train.run import train
from agelens.train.sections import BackboneConfig, DataConfig, InputConfig, OptimConfig, TrainerConfig

Picture = npt.NDArray[np.uint8]
SIDE = 64
SPEC = CropSpec(size=48, margin=0.1)
PEOPLE = 40


def draw_face(seed: int, age: int) -> Picture:
    """A (64, 64, 3) picture like no other: coarse coloured noise, brighter with age, and two dark eyes."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 120, (8, 8, 3), dtype=np.uint8)
    noise = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.int64)
    picture = np.clip(noise + age, 0, 255).astype(np.uint8)
    picture[18:22, 20:25] = picture[18:22, 39:44] = 10
    return picture


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread for torch: networks this small only wait for the others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def made_up_face() -> Callable[[int, int], Picture]:
    """``made_up_face(seed, age)`` draws a (64, 64, 3) uint8 picture; other seeds give quite other pictures."""
    return draw_face


@pytest.fixture(scope="session")
def faces_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty made-up people in UTKFace's layout, ages 1…79, one with the gender unknown. Not to be written to."""
    folder = tmp_path_factory.mktemp("UTKFace")
    for number in range(PEOPLE):
        age = 1 + 2 * number
        labels = f"{age}" if number == 7 else f"{age}_{number % 2}_{number % 5}"
        path = folder / f"{labels}_{20170116000000000 + number}.jpg.chip.jpg"
        Image.fromarray(draw_face(number, age)).save(path, quality=95)
    return folder


@pytest.fixture(scope="session")
def detector() -> FixedDetector:
    """Finds one face in the middle of a 64-pixel picture, wherever it is asked."""
    landmarks = np.array([[22, 20], [42, 20], [32, 32], [24, 42], [40, 42]], dtype=np.float32)
    return FixedDetector([Detection((10.0, 6.0, 54.0, 58.0), landmarks, 0.9)])


@pytest.fixture(scope="session")
def manifest(faces_folder: Path, detector: FixedDetector, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The made-up people, prepared at 48 pixels and margin 0.1, a quarter of them for validation."""
    preparation = Preparation(
        "utkface", CutSettings(SPEC), split=SplitPlan(val_share=0.25), make_detector=lambda: detector
    )
    return read_manifest(prepare(preparation, faces_folder, tmp_path_factory.mktemp("crops")))


@pytest.fixture(scope="session")
def prepared(detector: FixedDetector) -> Callable[..., Manifest]:
    """``prepared(folder, out, faces="only", val_share=0.5, workers=3)``: crops of 40 pixels, from UTKFace's layout.

    Keywords are those of Preparation, CutSettings, SplitPlan and prepare; ``detector`` takes the fixed one's place.
    """

    def make(
        folder: Path, out: Path, source: str = "utkface", *, detector: Detector = detector, **settings: Any
    ) -> Manifest:
        settings = {"crop": CropSpec(40, 0.2)} | settings
        cut, split, rest = (
            {name: settings.pop(name) for name in kind.__dataclass_fields__ if name in settings}
            for kind in (CutSettings, SplitPlan, Preparation)
        )
        preparation = Preparation(
            source, CutSettings(**cut), split=SplitPlan(**split), make_detector=lambda: detector, **rest
        )
        return read_manifest(prepare(preparation, folder, out, **settings))

    return make


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, str]]:
    """Gives a digest for each file in a folder and below it."""

    def read(folder: Path) -> dict[str, str]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in files}

    return read


@pytest.fixture(scope="session")
def tiny_config(manifest: Manifest) -> TrainConfig:
    """Two epochs of timm's smallest ResNet at 32 pixels."""
    return TrainConfig(
        data=DataConfig(manifest=manifest.folder, batch_size=8, workers=0),
        backbone=BackboneConfig(name="test_resnet"),
        input=InputConfig(size=32),
        optim=OptimConfig(epochs=2, ema_decay=0.5),
        trainer=TrainerConfig(precision="float32"),
    )


@pytest.fixture(scope="session")
def trained_run(tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of ``tiny_config``. Not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny_config, run, progress=False)
    return run


@pytest.fixture(scope="session")
def exported(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A bundle of that run, and what export said of it. Not to be written to."""
    path = tmp_path_factory.mktemp("bundles") / "tiny.onnx"
    return path, export(trained_run, path, name="tiny", terms="made up", flip=True)


@pytest.fixture(scope="session")
def bundle_path(exported: tuple[Path, Finished]) -> Path:
    """The bundle of the tiny run. Not to be written to."""
    return exported[0]


@pytest.fixture(scope="session")
def genderless_bundle(tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a run of one epoch that was taught no gender. Not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "genderless"
    train(changed(tiny_config, gender=None, optim__epochs=1), run, progress=False)
    export(run, run / "bundle.onnx", name="genderless")
    return run / "bundle.onnx"


@pytest.fixture(scope="session")
def edited(manifest: Manifest) -> Callable[..., Path]:
    """``edited(folder, change)``: a copy of the made-up people's crops, whose table ``change`` made another."""

    def make(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table) -> Path:
        shutil.copytree(manifest.folder, folder)
        write_manifest(Manifest(change(manifest.table.copy()), manifest.crop, folder), folder / "manifest.parquet")
        return folder

    return make


@pytest.fixture(scope="session")
def bands(edited: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The made-up people with nothing but the decade of their ages known. Not to be written to."""

    def only_bands(table: pd.DataFrame) -> pd.DataFrame:
        low = table["age"] // 10 * 10
        return table.assign(age=None, age_low=low, age_high=low + 9)

    return read_manifest(edited(tmp_path_factory.mktemp("bands") / "crops", only_bands))


@pytest.fixture(scope="session")
def rows() -> Callable[[Path], list[dict[str, str]]]:
    """The lines of a run's metrics.csv."""

    def read(run: Path) -> list[dict[str, str]]:
        with (run / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture(scope="session")
def checkpoint() -> Callable[..., dict[str, Any]]:
    """``checkpoint(run, name="last")``: what a checkpoint of a run holds."""

    def read(run: Path, name: str = "last") -> dict[str, Any]:
        state: dict[str, Any] = torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)
        return state

    return read


@pytest.fixture(scope="session")
def cut_off() -> Callable[..., None]:
    """``cut_off(config, run, step, resume=False)`` trains, and ends as a power cut would before the given step."""

    def cut(config: TrainConfig, run: Path, step: int, *, resume: bool = False) -> None:
        start = Keeper.on_train_batch_start

        def failing(self: Keeper, trainer: Any, *arguments: Any) -> None:
            if trainer.global_step == step:
                raise ZeroDivisionError
            start(self, trainer, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Keeper, "on_train_batch_start", failing)
            with pytest.raises(ZeroDivisionError):
                train(config, run, resume=resume, progress=False)

    return cut


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """No curves.png, which takes longer than an epoch of a network this small."""
    monkeypatch.setattr("agelens.train.keeping.draw_curves", lambda rows, path: None)


class Result(NamedTuple):
    """What a call of the command line left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that it printed."""
        value: dict[str, Any] = json.loads(self.out)
        return value

    @property
    def complaint(self) -> str:
        """The one line in which a failed call said what is wrong."""
        assert self.status == 2
        assert "unexpected" not in self.err
        (line,) = self.err.splitlines()
        return line.removeprefix("error: ")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls the command line in this process."""
    monkeypatch.delenv("AGELENS_DEBUG", raising=False)

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, *capsys.readouterr())

    return call
