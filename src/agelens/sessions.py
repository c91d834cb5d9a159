"""Opening an ONNX file that may come from anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import onnxruntime

from agelens.errors import BundleError

__all__ = ["brief", "open_session"]

MAX_BYTES: Final = 2 * 1024**3 - 1  # an ONNX file cannot be larger


def open_session(
    file: Path, threads: int = 0, extra: bytes = b"", *, edit: Callable[[bytes], bytes] = bytes, any_size: bool = False
) -> onnxruntime.InferenceSession:
    """Open an ONNX network, on the CPU, without letting it read other files.

    Args:
        file: the network.
        threads: of one inference; 0 for as many as there are cores.
        extra: read behind the file's bytes: protobuf merges what comes later into what came before.
        edit: what is made of the file's bytes before they are read.
        any_size: its inputs have ever other sizes: no plan of the memory is kept for each.

    Raises:
        BundleError: the file is missing, too large, damaged, or no network.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised; onnxruntime need not print it as well
    options.enable_mem_pattern = not any_size
    try:
        if not file.is_file():
            raise BundleError(f"{file}: no such model file")
        if not 0 < file.stat().st_size <= MAX_BYTES:
            raise BundleError(f"{file}: {file.stat().st_size:,} bytes; no model file has that size")
        # a network may name other files to read its weights from: below this "folder" there are none
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        network = edit(file.read_bytes()) + extra
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except BundleError:
        raise
    except OSError as error:
        raise BundleError(f"{file}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # onnxruntime's own exceptions share no public root
        raise BundleError(f"{file}: not an ONNX network, or a damaged one ({brief(error)})") from error


def brief(error: Exception) -> str:
    """What an error says, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]
