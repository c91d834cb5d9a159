"""Which of onnxruntime's execution providers a network runs on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from agelens.errors import ConfigError
from agelens.sessions import DEVICE, open_session, providers

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PLAIN = ["AzureExecutionProvider", CPU]  # what the package onnxruntime offers
GPU = ["TensorrtExecutionProvider", CUDA, CPU]  # what onnxruntime-gpu offers, with a GPU or without


@pytest.mark.parametrize(
    ("device", "available", "chosen"),
    [
        ("auto", PLAIN, [CPU]),
        ("auto", GPU, [CUDA, CPU]),
        ("cpu", PLAIN, [CPU]),
        ("cpu", GPU, [CPU]),
        ("cuda", GPU, [CUDA, CPU]),
    ],
)
def test_the_gpu_comes_first_where_it_is_there_and_not_forbidden(
    device: str, available: list[str], chosen: list[str]
) -> None:
    assert providers(device, available) == chosen


def test_cuda_is_refused_where_onnxruntime_has_none() -> None:
    with pytest.raises(ConfigError, match="onnxruntime-gpu"):
        providers("cuda", PLAIN)


@pytest.mark.parametrize("device", ["gpu", "CUDA", "cuda:0", " "])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match="wanted auto, cpu or cuda"):
        providers(device, GPU)


@pytest.mark.parametrize("value", [None, "", "auto", "cpu"])
def test_networks_run_on_the_cpu_without_a_gpu(
    value: str | None, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv(DEVICE, raising=False)
    else:
        monkeypatch.setenv(DEVICE, value)
    assert open_session(make_bundle()).get_providers() == [CPU]


def test_the_environment_asks_for_a_device(make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever onnxruntime is installed, where there is no GPU the answer is a refusal, and not the CPU."""
    monkeypatch.setenv(DEVICE, "cuda")
    if (
        CUDA in onnxruntime.get_available_providers()
        and CUDA in onnxruntime.InferenceSession(make_bundle().read_bytes(), providers=[CUDA, CPU]).get_providers()
    ):
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match=f"{DEVICE}=cuda"):
        open_session(make_bundle())


def test_a_network_of_any_size_stays_on_the_cpu(
    make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICE, "cuda")
    assert open_session(make_bundle(), any_size=True).get_providers() == [CPU]
