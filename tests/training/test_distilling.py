"""Other models as teachers: what they say, what it counts for, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import agelens.train.teaching
from agelens import ages
from agelens.bundle import Bundle
from agelens.data.manifest import Manifest
from agelens.errors import BundleError, ConfigError, DataError
from agelens.evaluate.evaluation import predict_split
from agelens.train.config import TrainConfig, changed, read_config, write_config
from agelens.train.dataset import Batch
from agelens.train.heads import build_head
from agelens.train.lr_finder import find_lr
from agelens.train.network import Logits
from agelens.train.objective import total_loss
from agelens.train.ready import Ready, make_ready
from agelens.train.run import load_trained, train
from agelens.train.teaching import add_answers


@pytest.fixture
def taught(tiny_config: TrainConfig, bundle_path: Path) -> TrainConfig:
    """A training that learns from a bundle too."""
    return changed(tiny_config, distill={"teachers": [str(bundle_path)]})


def _asked(
    config: TrainConfig, kept: Path | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> Ready:
    """What a training starts from, its teachers asked."""
    ready = make_ready(config)
    assert config.distill is not None
    add_answers(ready.train_set, ready.manifest, config.distill.teachers, kept, progress)
    return ready


def _kept(train_set: object) -> tuple[np.ndarray, np.ndarray]:
    labels = train_set.labels  # type: ignore[attr-defined]
    return labels["taught_age"], labels["taught_gender"]


def test_answers_are_the_teachers_own_in_the_order_of_the_faces(
    taught: TrainConfig, bundle_path: Path, manifest: Manifest
) -> None:
    train_set = _asked(taught).train_set
    said = predict_split(Bundle.load(bundle_path), manifest, "train")
    age, gender = _kept(train_set)
    assert age == pytest.approx(said.age_probs, abs=1e-5)
    assert gender == pytest.approx(said.gender_probs, abs=1e-6)
    sample = train_set[0, 3]
    assert np.array_equal(sample["taught_age"], age[3])


def test_answers_of_several_teachers_are_averaged(
    taught: TrainConfig, bundle_path: Path, genderless_bundle: Path
) -> None:
    both = changed(taught, distill={"teachers": [str(bundle_path), str(genderless_bundle)]})
    alone = [changed(taught, distill={"teachers": str(one)}) for one in (bundle_path, genderless_bundle)]
    (age, gender), (first, told), (second, untold) = (_kept(_asked(one).train_set) for one in (both, *alone))
    assert age == pytest.approx((first + second) / 2, abs=1e-5)
    assert gender == pytest.approx(told, abs=1e-6)  # of those that tell one
    assert not untold.any()


def test_of_a_band_the_teachers_say_where_in_it_the_age_lies(
    taught: TrainConfig, bundle_path: Path, bands: Manifest
) -> None:
    config = changed(taught, data__manifest=str(bands.folder), checkpoint__metric="val_band")
    train_set = _asked(config).train_set
    said = predict_split(Bundle.load(bundle_path), bands, "train").age_probs
    age, _ = _kept(train_set)
    for got, whole, low, high in zip(age, said, train_set.labels["low"], train_set.labels["high"], strict=True):
        inside = slice(int(low), int(high) + 1)
        assert got[inside] == pytest.approx(whole[inside] / whole[inside].sum(), abs=1e-3)
        assert got[inside].sum() == pytest.approx(1, abs=1e-5)


def test_few_faces_are_asked_about_alone(taught: TrainConfig, manifest: Manifest) -> None:
    few = _asked(changed(taught, data__faces=5)).train_set
    every = _asked(taught).train_set
    places = [every.rows.index.get_loc(index) for index in few.rows.index]
    assert _kept(few)[0] == pytest.approx(_kept(every)[0][places], abs=1e-5)


def test_answers_are_kept_until_faces_or_teachers_are_others(
    taught: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "teachers.npz"
    asked: list[int] = []
    _asked(taught, kept, lambda done, total: asked.append(done))
    first = len(asked)
    assert first > 0
    again = _asked(taught, kept, lambda done, total: asked.append(done)).train_set
    assert len(asked) == first
    assert _kept(again)[0].shape == (len(again), ages.NUM_BINS)
    _asked(changed(taught, data__faces=5), kept, lambda done, total: asked.append(done))
    assert len(asked) > first
    whole = kept.read_bytes()
    for broken in (b"no numbers", whole[: len(whole) // 2], whole[:-40], whole[:300] + b"?" * 64 + whole[364:]):
        before = len(asked)
        kept.write_bytes(broken)
        _asked(taught, kept, lambda done, total: asked.append(done))
        assert len(asked) > before
    with np.load(kept, allow_pickle=False) as file:
        assert set(file) == {"asked", "age", "gender"}


def test_the_loss_is_the_labels_and_the_distance_from_the_teachers(taught: TrainConfig) -> None:
    head = build_head(taught.head)
    generator = torch.Generator().manual_seed(0)
    logits = Logits(torch.randn(4, head.outputs, generator=generator), torch.randn(4, 2, generator=generator))
    batch = Batch(
        crop=torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
        age=torch.tensor([1.0, 20, 40, float("nan")]),
        low=torch.tensor([1.0, 20, 40, 60]),
        high=torch.tensor([1.0, 20, 40, 69]),
        gender=torch.tensor([0, 1, -1, 1]),
        weight=torch.tensor([1.0, 2, 0.5, 1]),
    )
    alone = total_loss(head, logits, batch, taught)
    batch["taught_age"] = torch.randn(4, ages.NUM_BINS, generator=generator).softmax(dim=1)
    batch["taught_gender"] = torch.randn(4, 2, generator=generator).softmax(dim=1)
    for weight in (1.0, 2.5):
        config = changed(taught, distill__weight=weight)
        distances = -(batch["taught_age"] * head.probs(logits.age).log()).sum(dim=1)
        genders = -(batch["taught_gender"] * logits.gender.softmax(dim=1).log()).sum(dim=1)  # type: ignore[union-attr]
        counted = ((distances + config.gender.weight * genders) * batch["weight"]).mean()  # type: ignore[union-attr]
        assert total_loss(head, logits, batch, config) == pytest.approx(float(alone + weight * counted), rel=1e-5)


def test_a_network_comes_to_say_what_its_teacher_says(
    taught: TrainConfig, bundle_path: Path, manifest: Manifest, tmp_path: Path
) -> None:
    said = predict_split(Bundle.load(bundle_path), manifest, "train").age
    far = []
    for weight in (1e-6, 50.0):
        config = changed(taught, distill__weight=weight, optim__epochs=12, optim__ema_decay=0.0, gender=None)
        ready = _asked(config)
        train(config, tmp_path / str(weight), progress=False)
        network = load_trained(tmp_path / str(weight)).network
        crops = torch.stack([ready.train_set[0, place]["crop"] for place in range(len(ready.train_set))])
        with torch.inference_mode():
            got = ages.expected_age(network.head.probs(network(crops).age).numpy())
        far.append(np.abs(got - said).mean())
    assert far[1] < far[0]


def test_a_taught_run_is_gone_on_with(taught: TrainConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(taught, run, progress=False)
    assert (run / "teachers.npz").is_file()
    assert read_config(run / "config.yaml") == taught
    train(taught, run, progress=False, resume=True)


def test_what_is_no_teacher_is_refused(taught: TrainConfig, tmp_path: Path) -> None:
    for teachers, error, words in [
        ([tmp_path / "none.onnx"], BundleError, "no such model file"),
        ([Path(os.devnull)], BundleError, "no such model file"),
    ]:
        config = changed(taught, distill={"teachers": [str(one) for one in teachers]})
        with pytest.raises(error, match=words):
            make_ready(config)
    with pytest.raises(ConfigError, match=r"distill\.teachers"):
        changed(taught, distill={"teachers": []})


def test_a_teacher_that_wants_more_around_the_face_is_refused(
    taught: TrainConfig, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Bundle.load

    def wider(path: Path) -> Bundle:
        bundle = loaded(path)
        bundle.card = replace(bundle.card, crop=replace(bundle.card.crop, margin=0.5))
        return bundle

    monkeypatch.setattr(agelens.train.teaching.Bundle, "load", wider)
    with pytest.raises(DataError, match="margin"):
        make_ready(taught)


def test_one_teacher_needs_no_list(tmp_path: Path, taught: TrainConfig) -> None:
    write_config(taught, tmp_path / "config.yaml")
    write_config(changed(taught, distill=None), tmp_path / "alone.yaml")
    for name in ("config.yaml", "alone.yaml"):
        got = read_config(tmp_path / name, {"distill.teachers": "a.onnx"})
        assert got.distill is not None
        assert got.distill.teachers == (Path("a.onnx"),)


def test_a_built_in_model_teaches_by_its_name(taught: TrainConfig, manifest: Manifest) -> None:
    config = changed(taught, distill={"teachers": ["lite"]})
    age, _ = _kept(_asked(config).train_set)
    assert age == pytest.approx(predict_split(Bundle.load("lite"), manifest, "train").age_probs, abs=1e-4)


def test_a_teacher_of_other_genders_is_refused(
    taught: TrainConfig, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(bundle_path)
    bundle.card = replace(bundle.card, genders=("female", "male"))
    monkeypatch.setattr(agelens.train.teaching.Bundle, "load", lambda path: bundle)
    with pytest.raises(ConfigError, match="tells the genders"):
        make_ready(taught)


def test_nothing_is_asked_where_the_training_cannot_begin(taught: TrainConfig, tmp_path: Path) -> None:
    asked: list[int] = []
    config = changed(taught, trainer__devices=8, trainer__accelerator="gpu")
    with pytest.raises(ConfigError):
        train(config, tmp_path / "run", progress=False, asking=lambda done, total: asked.append(done))
    assert not asked


def test_a_sweep_asks_for_the_training_that_follows(taught: TrainConfig, tmp_path: Path) -> None:
    kept = tmp_path / "teachers.npz"
    find_lr(taught, steps=20, answers=kept)
    asked: list[int] = []
    _asked(taught, kept, lambda done, total: asked.append(done))
    assert not asked
