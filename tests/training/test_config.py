"""A training written down: what is read, and what is refused with file and key."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from agelens.errors import ConfigError, OutputError
from agelens.train.config import TrainConfig, changed, read_config, write_config
from agelens.train.head_configs import CoralHead, DldlHead, RangesHead, RegressionHead
from agelens.train.heads import HEADS
from agelens.train.schedule_configs import CosineSchedule, OneCycleSchedule
from agelens.train.sections import FinetuneConfig, GenderConfig

RECIPES = sorted(
    path for path in (Path(__file__).parents[2] / "configs").glob("*.yaml") if not path.stem.endswith("-vectors")
)
KINDS = {"head": set(HEADS), "schedule": {"constant", "one-cycle", "cosine", "exponential", "cyclic", "plateau"}}
Read = Callable[..., TrainConfig]
MINIMAL: dict[str, Any] = {"data": {"manifest": "crops"}, "backbone": {"name": "resnet18"}}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a configuration from YAML text, or from what is dumped as YAML, with dotted overrides."""

    def write_and_read(content: Any, overrides: dict[str, str] | None = None) -> TrainConfig:
        path = tmp_path / "recipe.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return read_config(path, overrides)

    return write_and_read


def _with(**sections: Any) -> dict[str, Any]:
    return {name: {**MINIMAL.get(name, {}), **values} for name, values in {**MINIMAL, **sections}.items()}


def test_recipes_show_every_head_and_what_a_schedule_may_be() -> None:
    configs = [read_config(recipe) for recipe in RECIPES]
    assert {config.head.kind for config in configs} == KINDS["head"]
    assert {config.schedule.kind for config in configs} >= KINDS["schedule"] - {"constant"}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_reads_and_round_trips(recipe: Path, tmp_path: Path) -> None:
    config = read_config(recipe)
    write_config(config, tmp_path / "again.yaml")
    assert read_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_says_by_which_command_it_is_trained(recipe: Path) -> None:
    assert f"#   agelens train configs/{recipe.name} " in recipe.read_text(encoding="utf-8")


EVERYTHING: dict[str, Any] = {
    "data": {
        "manifest": "crops",
        "faces": 500,
        "batch_size": 7,
        "workers": 3,
        "fold": {"number": 1, "count": 5, "val_share": 0.2, "seed": 3},
        "augment": "strong",
        "balance": "smoothed",
    },
    "backbone": {
        "name": "resnet18",
        "weights": "hub",
        "pretrained": True,
        "dropout": 0.1,
        "settings": {"layers": [1, 1, 1, 1], "avg_down": True, "drop_path_rate": 0.1, "act_layer": "relu"},
    },
    "input": {"size": 96, "margin": 0.05, "template": "arcface"},
    "head": {"weight": 2.0, "neck": 64, "kind": "ranges", "bands": [[0, 9], [12, 40], [41, 100]]},
    "gender": {"weight": 0.25},
    "distill": {"teachers": ["a.onnx", "b.onnx"], "weight": 0.5},
    "finetune": {
        "freeze": "backbone",
        "unfreeze": "progressive",
        "epochs": [1, 2],
        "lr_factor": 0.5,
        "layer_decay": 0.9,
    },
    "optim": {"name": "sgd", "lr": 3e-4, "weight_decay": 1e-5, "epochs": 3, "ema_decay": 0.9, "clip": 1.0},
    "schedule": {"kind": "cyclic", "mode": "exp_range", "floor": 0.1, "half_cycle": 0.5, "gamma": 0.99},
    "checkpoint": {"metric": "val_cs5", "every": 50, "patience": 4},
    "trainer": {
        "devices": 2,
        "num_nodes": 3,
        "accelerator": "cpu",
        "precision": "bf16",
        "deterministic": True,
        "compile": True,
    },
    "flip": False,
    "rebalance": 0.5,
    "bits": 8,
    "log": ["tensorboard", "mlflow"],
    "seed": 5,
}


def test_every_value_survives_the_round_trip(tmp_path: Path) -> None:
    config = TrainConfig.model_validate(EVERYTHING)
    write_config(config, tmp_path / "again.yaml")
    assert yaml.safe_load((tmp_path / "again.yaml").read_text()) == EVERYTHING
    assert read_config(tmp_path / "again.yaml") == config


def test_every_value_of_that_is_another_than_the_default() -> None:
    default = TrainConfig.model_validate(MINIMAL).model_dump(mode="json")
    for section, values in EVERYTHING.items():
        if isinstance(values, dict):
            same = {key for key, value in values.items() if (default[section] or {}).get(key, "none") == value}
            assert same <= {"manifest", "name"}, section
        else:
            assert default[section] != values


@pytest.mark.parametrize("section", KINDS)
def test_every_kind_can_be_named_alone_and_survives_the_round_trip(section: str, read: Read, tmp_path: Path) -> None:
    for kind in KINDS[section]:
        config = read(MINIMAL | {section: {"kind": kind}})
        assert getattr(config, section).kind == kind
        write_config(config, tmp_path / "again.yaml")
        assert read_config(tmp_path / "again.yaml") == config


def test_what_is_not_said_has_a_default(read: Read) -> None:
    config = read(MINIMAL)
    assert config.data.manifest == Path("crops")
    assert config.data.faces is None
    assert config.backbone.start is None
    assert config.head == DldlHead(age_deviation=2.0, l1_weight=0.1)
    assert config.gender == GenderConfig(weight=0.5)
    assert config.schedule == OneCycleSchedule(warmup=0.25, start=1 / 25, end=1 / 25 / 1e4)
    assert config.finetune == FinetuneConfig()
    assert config.optim.epochs == 8
    assert config.checkpoint.metric == "val_mae"
    assert config.flip
    assert config.log == ()


def test_regression_weighs_ten_times_as_much_by_default() -> None:
    assert (RegressionHead().weight, DldlHead().weight) == (10.0, 1.0)


def test_ranges_are_five_years_each_by_default() -> None:
    assert RangesHead().bands == (*((low, low + 4) for low in range(0, 80, 5)), (80, 100))


def test_null_is_no_gender_head(read: Read) -> None:
    assert read(MINIMAL | {"gender": None}).gender is None


@pytest.mark.parametrize(
    ("backbone", "start"),
    [
        ({}, None),
        ({"weights": None}, None),
        ({"pretrained": False, "weights": "a.pth"}, "a.pth"),
        ({"weights": "hub"}, "hub"),
        ({"pretrained": True}, "hub"),
        ({"pretrained": True, "weights": "hub"}, "hub"),
    ],
)
def test_pretrained_is_another_way_to_say_hub(backbone: dict[str, Any], start: str | None, read: Read) -> None:
    assert read(_with(backbone=backbone)).backbone.start == start


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (MINIMAL | {"optimizer": {}}, "optimizer: no such key; did you mean 'optim'?"),
        (MINIMAL | {"sede": 1}, "sede: no such key; did you mean 'seed'?"),
        (_with(optim={"learning_rate": 1}), "optim.learning_rate: no such key; did you mean '"),
        (_with(data={"batchsize": 8}), "data.batchsize: no such key; did you mean 'batch_size'?"),
        (_with(backbone={"weigths": None}), "backbone.weigths: no such key; did you mean 'weights'?"),
        (_with(input={"sise": 64}), "input.sise: no such key; did you mean 'size'?"),
        (_with(gender={"wieght": 1}), "gender.wieght: no such key; did you mean 'weight'?"),
        (_with(finetune={"unfreze": "last"}), "finetune.unfreze: no such key; did you mean 'unfreeze'?"),
        (_with(checkpoint={"metrik": "val_mae"}), "checkpoint.metrik: no such key; did you mean 'metric'?"),
        (_with(trainer={"precison": "bf16"}), "trainer.precison: no such key; did you mean 'precision'?"),
        (_with(head={"kind": "dldl", "l1": 1}), "head.l1: no such key; did you mean 'l1_weight'?"),
        (_with(head={"kind": "histogram", "bins": 1}), "head.bins: no such key; did you mean 'num_bins'?"),
        (_with(head={"kind": "regression", "delta": 1}), "head.delta: no such key; did you mean 'huber_delta'?"),
        (_with(head={"kind": "coral", "wait": 1}), "head.wait: no such key; did you mean 'weight'?"),
        (
            _with(head={"kind": "mean-variance", "variance": 1}),
            "head.variance: no such key; did you mean 'variance_weig",
        ),
        (_with(schedule={"kind": "plateau", "patence": 1}), "schedule.patence: no such key; did you mean 'patience'?"),
        (_with(schedule={"kind": "cyclic", "halfcycle": 1}), "schedule.halfcycle: no such key; did you mean 'half_cy"),
        (_with(schedule={"kind": "cosine", "warm_up": 1}), "schedule.warm_up: no such key; did you mean 'warmup'?"),
    ],
)
def test_unknown_key_names_the_nearest(content: dict[str, Any], message: str, read: Read) -> None:
    with pytest.raises(ConfigError) as caught:
        read(content)
    assert f"recipe.yaml: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (_with(optim={"lr": "fast"}), "optim.lr"),
        (_with(optim={"lr": float("nan")}), "optim.lr"),
        (_with(optim={"lr": float("inf")}), "optim.lr"),
        (_with(optim={"lr": 0}), "optim.lr"),
        (_with(optim={"epochs": 0}), "optim.epochs"),
        (_with(optim={"epochs": 2.5}), "optim.epochs"),
        (_with(optim={"name": "lion"}), "optim.name"),
        (_with(schedule={"kind": "one-cycle", "warmup": 1}), "schedule.warmup"),
        (_with(schedule={"kind": "one-cycle", "warmup": 0}), "schedule.warmup"),
        (_with(schedule={"kind": "cosine", "end": -0.1}), "schedule.end"),
        (_with(schedule={"kind": "exponential", "gamma": 1.1}), "schedule.gamma"),
        (_with(schedule={"kind": "cyclic", "mode": "square"}), "schedule.mode"),
        (_with(schedule={"kind": "plateau", "factor": 1}), "schedule.factor"),
        (MINIMAL | {"schedule": "cosine"}, "schedule"),
        (_with(optim={"ema_decay": 1}), "optim.ema_decay"),
        (_with(optim={"weight_decay": float("nan")}), "optim.weight_decay"),
        (_with(head={"kind": "dldl", "age_deviation": 0}), "head.age_deviation"),
        (_with(head={"kind": "dldl", "l1_weight": float("inf")}), "head.l1_weight"),
        (_with(head={"kind": "regression", "loss": "mape"}), "head.loss"),
        (_with(head={"kind": "histogram", "num_bins": 1}), "head.num_bins"),
        (_with(head={"kind": "coral", "neck": 0}), "head.neck"),
        (_with(head={"kind": "ranges", "bands": [[0, 4, 5], [6, 9]]}), "head.bands.0"),
        (_with(head={"kind": "ranges", "bands": [[0, 4], [6, 101]]}), "head.bands.1.1"),
        (_with(head={"kind": "ranges", "bands": [[0, 4], [4, 9]]}), "head"),
        (MINIMAL | {"head": None}, "head"),
        (MINIMAL | {"head": [1]}, "head"),
        (_with(gender={"weight": -1}), "gender.weight"),
        (MINIMAL | {"gender": True}, "gender"),
        (_with(input={"template": "passport"}), "input"),
        (_with(data={"faces": 1}), "data.faces"),
        (_with(data={"balance": "fair"}), "data.balance"),
        (_with(finetune={"layer_decay": 0}), "finetune.layer_decay"),
        (_with(finetune={"epochs": [0]}), "finetune.epochs.0"),
        (_with(checkpoint={"metric": "mae"}), "checkpoint.metric"),
        (_with(checkpoint={"patience": 0}), "checkpoint.patience"),
        (_with(trainer={"devices": 0}), "trainer.devices"),
        (_with(trainer={"precision": "float8"}), "trainer.precision"),
        (_with(trainer={"compile": "perhaps"}), "trainer.compile"),
        (MINIMAL | {"log": ["wandb"]}, "log.0"),
        (MINIMAL | {"flip": "both"}, "flip"),
        (_with(input={"size": 8}), "input.size"),
        (_with(input={"margin": float("nan")}), "input.margin"),
        (_with(data={"batch_size": 1}), "data.batch_size"),
        (_with(data={"batch_size": [64]}), "data.batch_size"),
        (_with(data={"augment": "wild"}), "data.augment"),
        (_with(data={"manifest": 5}), "data.manifest"),
        (_with(backbone={"name": None}), "backbone.name"),
        (_with(backbone={"weights": 3}), "backbone.weights"),
        (_with(backbone={"settings": {"checkpoint_path": "a.pth"}}), "backbone.settings"),
        (_with(backbone={"settings": {"pretrained_cfg": "a"}}), "backbone.settings"),
        (_with(backbone={"settings": {"layers": {"a": 1}}}), "backbone.settings"),
        (_with(backbone={"settings": {"layers": [999_999]}}), "backbone.settings"),
        (_with(backbone={"settings": {"drop_rate": float("nan")}}), "backbone.settings"),
        (_with(backbone={"settings": {"device": "meta"}}), "backbone.settings"),
        (MINIMAL | {"optim": [1, 2]}, "optim"),
        (MINIMAL | {"seed": -1}, "seed"),
        (MINIMAL | {"seed": 2**32}, "seed"),
        ({"backbone": {"name": "resnet18"}}, "data"),
        ({"data": {}, "backbone": {"name": "resnet18"}}, "data.manifest"),
        (MINIMAL | {7: 8}, "7"),
    ],
)
def test_wrong_value_is_named_with_file_and_key_in_one_line(content: dict[str, Any], key: str, read: Read) -> None:
    with pytest.raises(ConfigError) as caught:
        read(content)
    assert f"recipe.yaml: {key}: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", KINDS)
@pytest.mark.parametrize(("values", "got"), [({"kind": "Nope"}, " (got 'Nope')"), ({"kind": 3}, " (got '3')")])
def test_a_kind_that_there_is_not_names_those_that_there_are(
    section: str, values: dict[str, Any], got: str, read: Read
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(MINIMAL | {section: values})
    start, _, kinds = str(caught.value).removesuffix(got).removesuffix(" is wanted").partition(".kind: one of ")
    assert start.endswith(f"recipe.yaml: {section}")
    assert {kind.strip("'") for kind in kinds.split(", ")} == KINDS[section]


def test_without_a_kind_a_section_is_of_the_usual_one(read: Read) -> None:
    config = read(MINIMAL | {"head": {"neck": 8}, "schedule": {"warmup": 0.5}})
    assert (config.head.kind, config.head.neck) == ("dldl", 8)
    assert (config.schedule.kind, config.schedule.warmup) == ("one-cycle", 0.5)


def test_a_kind_may_be_given_before_and_after_the_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | {"head": {"kind": "histogram", "num_bins": 5}}))
    both = [read_config(path, dict(keys)) for keys in permutations([("head.neck", "8"), ("head.kind", "coral")])]
    assert [(one.head.kind, one.head.neck) for one in both] == [("coral", 8), ("coral", 8)]


def test_a_key_of_the_name_of_its_kind_is_named(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"head\.coral: no such key; did you mean"):
        read(MINIMAL | {"head": {"kind": "coral", "coral": 1}})


PROGRESSIVE = {"freeze": "backbone", "unfreeze": "progressive"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            _with(finetune={"unfreeze": "last"}),
            "finetune: unfreeze needs freeze: backbone; nothing is frozen otherwise",
        ),
        (
            _with(finetune={"freeze": "backbone", "epochs": [1]}),
            "finetune: epochs say when to unfreeze, and unfreeze is none",
        ),
        (
            _with(finetune={"freeze": "backbone", "unfreeze": "last", "epochs": [1, 2]}),
            "finetune: unfreeze: last frees one stage, once; give one epoch",
        ),
        (_with(finetune=PROGRESSIVE | {"epochs": [2, 1]}), "finetune: epochs must rise"),
        (_with(finetune=PROGRESSIVE | {"epochs": [2, 2]}), "finetune: epochs must rise"),
        (
            _with(finetune=PROGRESSIVE | {"epochs": [1, 8]}),
            "finetune.epochs end with 8, but there are 8 epochs in all",
        ),
        (
            _with(checkpoint={"metric": "val_gender"}) | {"gender": None},
            "checkpoint.metric is val_gender, but gender is null",
        ),
        (
            _with(backbone={"pretrained": True, "weights": "own.pth"}),
            "backbone: pretrained is true and weights is 'own.pth'; give one of the two",
        ),
        (_with(input={"template": "passport"}), "input: no template 'passport'; there are: face, arcface"),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(content: dict[str, Any], message: str, read: Read) -> None:
    with pytest.raises(ConfigError) as caught:
        read(content)
    assert str(caught.value).partition("recipe.yaml: ")[2] == message


@pytest.mark.parametrize(
    "content",
    [
        _with(finetune=PROGRESSIVE | {"epochs": [1, 7]}),
        _with(finetune={"freeze": "backbone", "unfreeze": "last", "epochs": [7]}),
        _with(checkpoint={"metric": "val_gender"}),
        _with(backbone={"pretrained": True, "weights": "hub"}),
    ],
)
def test_values_at_the_edge_of_what_fits_are_taken(content: dict[str, Any], read: Read) -> None:
    read(content)


# overrides


@pytest.mark.parametrize(
    ("key", "text", "wanted"),
    [
        ("optim.lr", "3e-4", 3e-4),
        ("optim.epochs", "3", 3),
        ("optim.clip", "null", None),
        ("backbone.pretrained", "true", True),
        ("data.manifest", "other/crops", Path("other/crops")),
        ("head", "{kind: dldl, neck: 32}", DldlHead(neck=32)),
        ("head.kind", "coral", CoralHead()),
        ("schedule", "{kind: cosine, warmup: 0.1}", CosineSchedule(warmup=0.1)),
        ("gender", "null", None),
        ("gender.weight", "2", 2.0),
        ("finetune.layer_decay", "0.5", 0.5),
        ("log", "[mlflow]", ("mlflow",)),
        ("seed", "7", 7),
    ],
)
def test_an_override_takes_the_place_of_one_value_and_leaves_the_rest(
    key: str, text: str, wanted: Any, read: Read
) -> None:
    before, after = read(_with(optim={"ema_decay": 0.5})), read(_with(optim={"ema_decay": 0.5}), {key: text})
    section, _, name = key.partition(".")
    got = getattr(after, section)
    assert (getattr(got, name) if name and name != "kind" else got) == wanted
    others = set(TrainConfig.model_fields) - {section}
    assert before.model_dump(include=others) == after.model_dump(include=others)
    assert after.optim.ema_decay == 0.5


def test_an_override_inside_a_section_keeps_its_other_values(read: Read) -> None:
    config = read(_with(head={"kind": "dldl", "neck": 16, "l1_weight": 0.3}), {"head.l1_weight": "0.7"})
    assert config.head == DldlHead(neck=16, l1_weight=0.7)


def test_another_kind_leaves_nothing_of_the_one_before(read: Read) -> None:
    config = read(_with(head={"kind": "dldl", "neck": 16, "l1_weight": 0.3}), {"head.kind": "ranges", "head.neck": "8"})
    assert config.head == RangesHead(neck=8)


def test_the_same_kind_again_changes_nothing(read: Read) -> None:
    content = _with(head={"kind": "dldl", "neck": 16})
    assert read(content, {"head.kind": "dldl"}) == read(content)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("optim.learning_rate", "1", "optim.learning_rate: no such key; did you mean '"),
        ("optim.lr", "fast", "optim.lr: input should be a valid number"),
        ("optim.lr", "[1", "--optim.lr: '[1' is no value as YAML writes it"),
        ("optim.lr", "!!python/name:os.system", "--optim.lr: '!!python/name:os.system' is no value as YAML writes it"),
        ("optim.lr.deep", "1", "optim.lr: input should be a valid number"),
        ("optimm", "1", "optimm: no such key; did you mean 'optim'?"),
        ("optimm.lr", "1", "optimm: no such key; did you mean 'optim'?"),
        ("schedule.kind", "spiral", "schedule.kind: one of "),
    ],
)
def test_a_wrong_override_is_named_in_one_line(key: str, text: str, message: str, read: Read) -> None:
    with pytest.raises(ConfigError) as caught:
        read(MINIMAL, {key: text})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_changed_gives_another_configuration_and_leaves_the_old_one() -> None:
    config = TrainConfig.model_validate(EVERYTHING)
    other = changed(config, optim__lr=0.5, gender=None, head__kind="coral", seed=9)
    assert (other.optim.lr, other.gender, other.head, other.seed) == (0.5, None, CoralHead(), 9)
    assert config == TrainConfig.model_validate(EVERYTHING)
    untouched = set(TrainConfig.model_fields) - {"optim", "gender", "head", "seed"}
    assert other.model_dump(include=untouched) == config.model_dump(include=untouched)
    assert changed(other, optim__lr=3e-4).optim == config.optim


def test_changed_without_changes_is_the_same() -> None:
    config = TrainConfig.model_validate(EVERYTHING)
    assert changed(config) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optim__learning": 1}, r"configuration: optim\.learning: no such key; did you mean 'lr'"),
        ({"optim__lr": -1}, r"configuration: optim\.lr: "),
        ({"gender": None, "checkpoint__metric": "val_gender"}, "gender is null"),
    ],
)
def test_changed_refuses_what_a_file_may_not_say(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        changed(TrainConfig.model_validate(MINIMAL), **values)


def test_all_faults_are_named_at_once(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"data\.batch_size: .*; optim\.lr: .*; seed: "):
        read(_with(data={"batch_size": 0}, optim={"lr": -1}) | {"seed": "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [unclosed", "not YAML"),
        ("data:\n\t- tab", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("[" * 5000, "not YAML"),
        ("- data\n- backbone\n", "wanted sections like 'data:' and 'backbone:', found list"),
        ("just words", "wanted sections like 'data:' and 'backbone:', found str"),
        ("", "wanted sections like 'data:' and 'backbone:', found nothing"),
    ],
)
def test_what_is_no_mapping_is_refused_in_one_line(text: str, message: str, read: Read) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert f"recipe.yaml: {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"data: \xff\xfe")
    with pytest.raises(ConfigError, match="not YAML"):
        read_config(tmp_path / "recipe.yaml")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        read_config(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(tmp_path)


def test_exponents_without_a_point_are_numbers_though_yaml_says_string(read: Read) -> None:
    text = "data: {manifest: crops}\nbackbone: {name: resnet18}\noptim: {lr: 1e-3, weight_decay: 5e-2}\n"
    assert yaml.safe_load(text)["optim"]["lr"] == "1e-3"
    assert read(text).optim.lr == 0.001
    assert read(text).optim.weight_decay == 0.05


def test_a_configuration_cannot_be_changed(read: Read) -> None:
    config = read(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3
    with pytest.raises(ValidationError, match="frozen"):
        config.head.weight = 3


def test_crop_takes_size_and_margin_from_the_input_section(read: Read) -> None:
    crop = read(_with(input={"size": 96, "margin": 0.05})).crop("arcface")
    assert (crop.size, crop.margin, crop.template) == (96, 0.05, "arcface")


def test_crop_takes_its_own_template_before_the_stored_crops(read: Read) -> None:
    assert read(_with(input={"template": "face"})).crop("arcface").template == "face"


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_config(TrainConfig.model_validate(MINIMAL), tmp_path / "file" / "config.yaml")


@pytest.mark.parametrize(
    ("key", "meant"), [("batch_size", "data.batch_size"), ("lr", "optim.lr"), ("patience", "checkpoint.patience")]
)
def test_a_key_without_its_section_is_found_in_it(key: str, meant: str, read: Read) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: no such key; did you mean '[a-z]+\.{key}'") as caught:
        read(MINIMAL | {key: 3})
    assert meant in str(caught.value) or key == "patience"  # the plateau has one too


@pytest.mark.parametrize(("section", "key"), [("optim", "epochs"), ("optim", "lr"), ("data", "workers")])
def test_truth_is_no_number(section: str, key: str, read: Read) -> None:
    with pytest.raises(ConfigError, match=f"{section}: {key}: true is no value for it"):
        read(_with(**{section: {key: True}}))


def test_one_logger_may_stand_without_brackets(read: Read) -> None:
    assert read(MINIMAL | {"log": "tensorboard"}).log == ("tensorboard",)


def test_a_key_that_stands_twice_is_refused(read: Read) -> None:
    with pytest.raises(ConfigError, match="the key 'optim' stands twice"):
        read("data: {manifest: x}\nbackbone: {name: resnet18}\noptim: {lr: 1}\noptim: {epochs: 3}\n")


def test_a_kind_that_is_said_again_keeps_its_values(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {manifest: m}\nbackbone: {name: resnet18}\nhead: {neck: 8}\nschedule: {warmup: 0.7}\n")
    config = read_config(path, {"head.kind": "dldl", "schedule.kind": "one-cycle"})
    assert config.head.neck == 8
    assert config.schedule.model_dump()["warmup"] == 0.7
    assert read_config(path, {"head.kind": "coral"}).head.neck is None


@pytest.mark.parametrize("value", ["dldl", "null", "[1]"])
def test_a_section_without_keys_is_said_to_want_them(value: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {manifest: m}\nbackbone: {name: resnet18}\n")
    with pytest.raises(ConfigError, match="head: wanted keys with values below it"):
        read_config(path, {"head": value})
