"""The command line: thin doors that parse, call and print. Each command is loaded when it is called."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError

from agelens._version import VERSION
from agelens.cli.console import complain
from agelens.errors import AgelensError, ConfigError, MissingExtraError

__all__ = ["COMMANDS", "build_app", "main"]

FAILED: Final = 2
INTERRUPTED: Final = 130

# Commands are imported when they are called, and some may not be installed: their lines for the overview stand here.
COMMANDS: Final = {
    "predict": "Estimate the age of every face in photos.",
    "prepare": "Cut the faces out of a public data set and write them with a manifest.",
    "train": "Train a network as a configuration says.",
    "evaluate": "Measure a bundle on the crops of a manifest.",
    "export": "Make a bundle of a run's best weights, calibrated and measured on the validation split.",
}


def build_app(*, overview: bool = False) -> App:
    """The command line; with ``overview`` each command has one line of help instead of its own whole text."""
    app = App(
        name="agelens",
        help="Estimate age and gender from faces, and train the models that do it.",
        help_epilogue="Example:  agelens predict photo.jpg",
        version=VERSION,
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, summary in COMMANDS.items():
        app.command(f"agelens.cli.{name}:{name}", help=summary if overview else None, help_epilogue="")
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``agelens`` with the given arguments (None: the process's own) and exit with its status.

    0: all went well; 1: some inputs could not be read; 2: the command could not do its work; 130: interrupted.
    """
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    # what is wrong with a photo is said in words of our own; Pillow's warnings, as of broken EXIF, would come between
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal or pipe that is not UTF-8 gets "?" for what it lacks
    try:
        tokens = list(sys.argv[1:] if arguments is None else arguments)
        overview = not tokens or tokens[0] in ("--help", "-h", "--version")
        if not overview and tokens[0] not in COMMANDS:  # cyclopts would import every command to say so
            raise ConfigError(f"no command {tokens[0]!r}; there are: {', '.join(COMMANDS)}")
        result = build_app(overview=overview)(tokens[:1] if overview else tokens)
        return result if isinstance(result, int) else 0
    except (AgelensError, CycloptsError) as error:
        complain(str(error))
    except ImportError as error:
        complain(_missing(error))
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("AGELENS_DEBUG"):
            raise
        complain(f"unexpected {type(error).__name__}: {error} (a fault of agelens; AGELENS_DEBUG=1 shows where)")
    return FAILED


def _missing(error: ImportError) -> str:
    """What is not installed; cyclopts wraps the error that a command's import ended with in one of its own."""
    cause = error.__cause__ or error
    if isinstance(cause, ModuleNotFoundError):
        return str(MissingExtraError("train", cause.name or "a package"))
    return str(cause)
