"""The command line: thin doors that parse, call and print. Each command is loaded when it is called."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Final, NamedTuple

from cyclopts import App, CycloptsError

from agelens._version import VERSION
from agelens.cli.console import complain
from agelens.errors import AgelensError, ConfigError, MissingExtraError

__all__ = ["COMMANDS", "Command", "build_app", "main"]

FAILED: Final = 2
INTERRUPTED: Final = 130


class Command(NamedTuple):
    """What is known of a command before it is loaded.

    Attributes:
        summary: its line in the overview.
        extra: the extra that brings the packages it needs; None: the base install has them.
    """

    summary: str
    extra: str | None


# Commands are imported when they are called, and some may not be installed: their lines for the overview stand here.
# Each is a function, or an App with commands of its own, of its name in the module of its name.
COMMANDS: Final = {
    "predict": Command("Estimate the age of every face in photos.", None),
    "video": Command(
        "Follow the people in a video and estimate their ages, which settle from frame to frame.", "video"
    ),
    "webcam": Command(
        "Show the camera in a window, with the ages of who is in front of it. Q or Escape ends it.", "video"
    ),
    "app": Command("Serve a web page for photos, videos and the webcam.", "app"),
    "serve": Command("Serve ages over HTTP: photos or vectors in, JSON out.", "serve"),
    "models": Command("List the models that come with agelens: sizes, figures and terms.", None),
    "sources": Command("List the data sets that can be prepared, or say more of one.", "data"),
    "prepare": Command("Cut the faces out of a public data set and write them with a manifest.", "data"),
    "manifest": Command("Show, check, merge and convert manifests.", "data"),
    "stats": Command("Count a manifest's faces by age, gender, data set and split, and draw them.", "data"),
    "audit": Command("Find duplicates, leaks and wrong labels in a manifest.", "data"),
    "split": Command("Split a manifest anew, by shares, by a list, or by folds.", "data"),
    "embed": Command("Turn the crops of a manifest into vectors, for models that learn from these.", "data"),
    "train": Command("Train a network as a configuration says, export it and measure it.", "train"),
    "find-lr": Command("Sweep the learning rate and say which to train with.", "train"),
    "evaluate": Command("Measure bundles, and other programs' answers, on the crops of manifests.", "data"),
    "threshold": Command("Find the estimated age from which to let pass, and how often that is wrong.", "data"),
    "crossval": Command(
        "Train for every fold and seed, and tell mean and standard deviation over these runs.", "train"
    ),
    "tune": Command(
        "Search for the best values of a configuration: many trainings, the worse of which stop early.", "tune"
    ),
    "export": Command(
        "Make a bundle of a run's best weights, calibrated and measured on the validation split.", "train"
    ),
    "combine": Command(
        "Make one bundle of several: each network sees the face, and their answers are pooled.", "train"
    ),
}


def build_app(*, overview: bool = False) -> App:
    """The command line; with ``overview`` each command has one line of help instead of its own whole text."""
    app = App(
        name="agelens",
        help="Estimate age and gender from faces, and train the models that do it.",
        help_epilogue="Example:  agelens predict photo.jpg" if overview else None,  # commands would take it over
        version=VERSION,
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, command in COMMANDS.items():
        module = name.replace("-", "_")
        app.command(f"agelens.cli.{module}:{module}", name=name, help=command.summary if overview else None)
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
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        overview = not tokens or tokens[0] in ("--help", "-h", "--version")
        if not overview and tokens[0] not in COMMANDS:  # cyclopts would import every command to say so
            raise ConfigError(f"no command {tokens[0]!r}; there are: {', '.join(COMMANDS)}")
        result = build_app(overview=overview)(tokens[:1] if overview else tokens)
        return result if isinstance(result, int) else 0
    except (AgelensError, CycloptsError) as error:
        complain(str(error))
    except ImportError as error:
        complain(_missing(error, *tokens[:1]))
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


def _missing(error: ImportError, name: str = "") -> str:
    """What is not installed; cyclopts wraps the error that a command's import ended with in one of its own."""
    cause = error.__cause__ or error
    if not isinstance(cause, ModuleNotFoundError):
        return str(cause)
    package = cause.name or "a package"
    extra = COMMANDS[name].extra if name in COMMANDS else None
    if extra is None:
        return f"this needs '{package}', which is not installed: in agelens's checkout, pip install ."
    return str(MissingExtraError(extra, package))
