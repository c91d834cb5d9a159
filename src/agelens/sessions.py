"""Opening an ONNX file that may come from anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import onnxruntime

from agelens.errors import BundleError, ConfigError

__all__ = ["DEVICE", "brief", "open_session", "providers"]

MAX_BYTES: Final = 2 * 1024**3 - 1  # an ONNX file cannot be larger
DEVICE: Final = "AGELENS_DEVICE"  # variable of the environment: auto, cpu or cuda
CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"


def open_session(
    file: Path, threads: int = 0, extra: bytes = b"", *, edit: Callable[[bytes], bytes] = bytes, any_size: bool = False
) -> onnxruntime.InferenceSession:
    """Open an ONNX network without letting it read other files.

    It runs on the CPU, or on a GPU where the installed onnxruntime can (``onnxruntime-gpu``) and ``AGELENS_DEVICE`` is
    not "cpu". With "cuda" nothing else will do.

    Args:
        file: the network.
        threads: of one inference; 0 for as many as there are cores.
        extra: read behind the file's bytes: protobuf merges what comes later into what came before.
        edit: what is made of the file's bytes before they are read.
        any_size: its inputs have ever other sizes: no plan of the memory is kept for each, and it stays on the CPU, as
            cuDNN would look for its fastest way anew at each.

    Raises:
        BundleError: the file is missing, too large, damaged, or no network.
        ConfigError: ``AGELENS_DEVICE`` is no device, or cuda where it cannot be had.
    """
    device = "cpu" if any_size else os.environ.get(DEVICE) or "auto"
    wanted = providers(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised; onnxruntime need not print it as well
    options.enable_mem_pattern = not any_size
    # a network may name other files to read its weights from: below this "folder" there are none
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    session = _open(file, lambda network: edit(network) + extra, options, wanted)
    if device == "cuda" and CUDA not in session.get_providers():  # onnxruntime then printed why, and took the CPU
        raise ConfigError(f"{DEVICE}=cuda, but onnxruntime cannot use a GPU here; auto would go on with the CPU")
    return session


def providers(device: str, available: Sequence[str]) -> list[str]:
    """onnxruntime's execution providers for a device, the first that works to be taken.

    Args:
        device: "auto", "cpu" or "cuda".
        available: what the installed onnxruntime was built with.

    Raises:
        ConfigError: there is no such device, or onnxruntime was built without it.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"{DEVICE} is {device[:80]!r}; wanted auto, cpu or cuda")
    if device == "cpu" or (device == "auto" and CUDA not in available):
        return [CPU]
    if CUDA not in available:
        raise ConfigError(f"{DEVICE}=cuda, but the installed onnxruntime has no CUDA: install onnxruntime-gpu instead")
    return [CUDA, CPU]


def _open(
    file: Path, edit: Callable[[bytes], bytes], options: onnxruntime.SessionOptions, wanted: list[str]
) -> onnxruntime.InferenceSession:
    try:
        if not file.is_file():
            raise BundleError(f"{file}: no such model file")
        if not 0 < file.stat().st_size <= MAX_BYTES:
            raise BundleError(f"{file}: {file.stat().st_size:,} bytes; no model file has that size")
        return onnxruntime.InferenceSession(edit(file.read_bytes()), options, providers=wanted)
    except BundleError:
        raise
    except OSError as error:
        raise BundleError(f"{file}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # onnxruntime's own exceptions share no public root
        raise BundleError(f"{file}: not an ONNX network, or a damaged one ({brief(error)})") from error


def brief(error: Exception) -> str:
    """What an error says, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]
