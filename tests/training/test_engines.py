"""Threads or a cluster: the same samples in, the same crops out, in the same order."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

import agelens.data.embedding
import agelens.data.work
from agelens.data.cut import Cut, CutSettings, Cutter
from agelens.data.embedding import embed_manifest
from agelens.data.engines import cut_by_ray, cut_by_threads
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.reasons import Reason
from agelens.data.sources import SOURCES, Sample, read_source
from agelens.data.work import Made, MakeWork, map_by_ray, map_by_threads
from agelens.embedders import open_embedder
from agelens.errors import BundleError, DataError, MissingExtraError
from agelens.faces.align import CropSpec
from agelens.faces.detector import Detector, FixedDetector
from agelens.faces.yunet import YuNet

Prepared = Callable[..., Manifest]
Contents = Callable[[Path], dict[str, str]]
SPEC = CropSpec(40, 0.2)
# Ray warns of settings that it makes itself
pytestmark = pytest.mark.filterwarnings(r"ignore:.* is deprecated:DeprecationWarning:ray\.data\.context")


@pytest.fixture
def samples(faces_folder: Path, tmp_path: Path) -> list[Sample]:
    """Those of the made-up people and some odd ones."""
    shutil.copy(min(faces_folder.iterdir()), os.fsencode(tmp_path) + b"/\xff\n.jpg")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.jpg"))
    return [
        *read_source(SOURCES["utkface"], faces_folder),
        Sample(odd, age_low=20, age_high=29.5, apparent_age=3.3, subject="ü", race='"', split="val", fold=3),
        Sample(tmp_path / "gone.jpg", age=3),
        Sample(tmp_path / "gone.jpg", fault=Reason.BAD_LABEL, detail="line 3"),
    ]


@pytest.fixture
def make_cutter(faces_folder: Path, detector: FixedDetector) -> Callable[[], Cutter]:
    """Makes a cutter with the fixed detector."""
    return partial(Cutter, faces_folder, CutSettings(SPEC), lambda: detector)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("workers", [1, 5])
def test_a_cluster_gives_the_same_in_the_same_order(
    workers: int, samples: list[Sample], make_cutter: Callable[[], Cutter]
) -> None:
    wanted = list(cut_by_threads(make_cutter, samples, 2))
    assert [cut.row["removed"] for cut in wanted if "removed" in cut.row] == ["missing file", "bad label"]
    assert list(cut_by_ray(make_cutter, samples, workers)) == wanted


@pytest.mark.usefixtures("cluster")
def test_a_data_set_has_the_same_bytes_by_either_engine(
    manifest: Manifest,
    faces_folder: Path,
    tmp_path: Path,
    prepared: Prepared,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(faces_folder.parent)  # the cluster's processes work in other folders
    prepared(Path(faces_folder.name), tmp_path, crop=manifest.crop, val_share=0.25, engine=cut_by_ray)
    assert contents(tmp_path) == contents(manifest.folder)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    "engines", [(cut_by_threads, cut_by_ray), (cut_by_ray, cut_by_threads)], ids=["ray", "threads"]
)
def test_what_one_engine_began_the_other_ends(
    engines: tuple[object, object],
    manifest: Manifest,
    faces_folder: Path,
    tmp_path: Path,
    prepared: Prepared,
    contents: Contents,
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 17:
            raise KeyboardInterrupt

    settings = {"crop": manifest.crop, "val_share": 0.25}
    with pytest.raises(KeyboardInterrupt):
        prepared(faces_folder, tmp_path, engine=engines[0], progress=stop, **settings)
    starts: list[int] = []
    prepared(faces_folder, tmp_path, engine=engines[1], progress=lambda done, total: starts.append(done), **settings)
    assert starts[0] == 17
    assert contents(tmp_path) == contents(manifest.folder)


@pytest.mark.usefixtures("cluster")
def test_yunet_travels_to_a_cluster(portrait: Path) -> None:
    make_cutter = partial(Cutter, portrait.parent, CutSettings(SPEC), YuNet)
    samples = [Sample(portrait, age=40)] * 3
    cuts = list(cut_by_ray(make_cutter, samples, 2))
    assert cuts == list(cut_by_threads(make_cutter, samples, 2))
    assert all(cut.jpeg for cut in cuts)


@pytest.mark.usefixtures("cluster")
def test_a_cluster_that_fails_is_one_line(samples: list[Sample], faces_folder: Path) -> None:
    def fail() -> Detector:
        raise BundleError("the face detector's weights are missing")

    with pytest.raises(DataError, match=r"^Ray failed: .*weights are missing; what is done is kept, repeat") as caught:
        list(cut_by_ray(partial(Cutter, faces_folder, CutSettings(SPEC), fail), samples, 2))
    assert str(caught.value).count("\n") == 0


@pytest.mark.usefixtures("cluster")
def test_vectors_have_the_same_bytes_by_either_engine(
    manifest: Manifest, feature_bundle: Path, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agelens.data.embedding, "BATCH", 8)
    monkeypatch.chdir(manifest.folder.parent)  # the cluster's processes work in other folders
    known = read_manifest(Path(manifest.folder.name))
    for engine in (map_by_threads, map_by_ray):
        embed_manifest(known, open_embedder(feature_bundle, threads=1), tmp_path / engine.__name__, engine=engine)
    assert contents(tmp_path / "map_by_ray") == contents(tmp_path / "map_by_threads")


@pytest.mark.usefixtures("cluster")
def test_a_process_that_dies_is_one_line_and_a_repeat_goes_on(
    manifest: Manifest, feature_bundle: Path, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agelens.data.embedding, "BATCH", 8)
    monkeypatch.setattr(agelens.data.work, "DEATHS", 1)
    embedder = open_embedder(feature_bundle, threads=1)
    last = manifest.table["offset"].iloc[-1]

    def fatal(make_work: MakeWork, items: Iterable[str], workers: int) -> Iterator[Made]:
        def make() -> Callable[[str], Made]:
            work = make_work()

            def die_at_last(item: str) -> Made:
                if f'"offset": {last}' in item:
                    os._exit(1)
                return work(item)

            return die_at_last

        return map_by_ray(make, items, workers)

    with pytest.raises(DataError, match=r"^Ray failed: .*died.*; what is done is kept, repeat the command") as caught:
        embed_manifest(manifest, embedder, tmp_path / "killed", engine=fatal)
    assert "\n" not in str(caught.value)
    starts: list[int] = []
    embed_manifest(manifest, embedder, tmp_path / "killed", progress=lambda done, total: starts.append(done))
    assert 0 < starts[0] < 40
    embed_manifest(manifest, embedder, tmp_path / "whole")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_without_ray_its_install_line_is_told(
    samples: list[Sample], make_cutter: Callable[[], Cutter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"this needs 'ray', which is not installed: .*\[ray\]"):
        list(cut_by_ray(make_cutter, samples, 2))


def test_for_no_samples_no_cluster_is_started(
    make_cutter: Callable[[], Cutter], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("a cluster was started"))
    assert list(cut_by_ray(make_cutter, [], 2)) == []


def test_what_makes_a_cutter_is_small(faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    sizes: list[int] = []

    def engine(make_cutter: Callable[[], Cutter], samples: Iterable[Sample], workers: int) -> Iterator[Cut]:
        sizes.append(len(cloudpickle.dumps(make_cutter)))
        return cut_by_threads(make_cutter, samples, workers)

    names = frozenset(map(str, range(20_000))) | {path.name for path in faces_folder.iterdir()}
    prepared(faces_folder, tmp_path, engine=engine, val_names=names)
    assert sizes[0] < 5000


def test_the_command_starts_a_cluster_of_its_own_and_says_nothing_of_it(portrait: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "set").mkdir()
    with Image.open(portrait) as photo:
        small = photo.convert("RGB").resize((128, 128))
    for number in range(5):
        small.rotate(number).save(tmp_path / f"set/3{number}_1_0_{number}.jpg")
    for engine in ("threads", "ray"):
        command = [sys.executable, "-c", "from agelens.cli import main; main()"]
        arguments = ["prepare", "utkface", "set", engine, "--engine", engine, "--size", "48"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
        )
        notes = ["too few different pictures or people to hold some back: all are in the split train"]
        assert done.stderr.splitlines() == [*notes, f"wrote {engine}/manifest.parquet and removed.csv beside it"]
        assert done.returncode == 0
    for name in ("manifest.parquet", "crops.pack", "removed.csv"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "threads" / name).read_bytes()
