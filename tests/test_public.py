"""What users import: the names, the version, and what comes in with them."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import agelens
from agelens import errors

SOURCE = Path(agelens.__file__).parent
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.stat().st_size > 0)
HEAVY = ["torch", "torchvision", "pandas", "matplotlib", "pydantic", "sklearn", "scipy", "lightning", "timm", "onnx"]


def _defined(tree: ast.Module) -> set[str]:
    """The names that a module binds at its top level."""
    names: set[str] = set()
    guarded = [one for node in tree.body if isinstance(node, ast.Try) for one in node.body]
    for node in [*tree.body, *guarded]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def _all_of(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_all_of_a_module_is_true(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = _all_of(tree)
    assert names, "every module says what it offers"
    assert len(set(names)) == len(names)
    assert set(names) <= _defined(tree)


def test_all_of_every_module_is_sorted() -> None:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--no-cache",
        "--select",
        "RUF022,F822",
        str(SOURCE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_name_of_the_package_is_there() -> None:
    assert all(hasattr(agelens, name) for name in agelens.__all__)


def test_the_package_offers_every_error() -> None:
    assert set(errors.__all__) <= set(agelens.__all__)
    assert all(getattr(agelens, name) is getattr(errors, name) for name in errors.__all__)


def test_the_version_is_the_installed_one() -> None:
    assert agelens.__version__ == version("agelens")


def test_the_tree_of_errors_is_drawn_whole() -> None:
    classes = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    assert errors.__doc__ is not None
    drawn = {line.strip("├└─ ").split()[0] for line in errors.__doc__.splitlines() if line.startswith("    ")}
    assert drawn == classes == set(errors.__all__)


def test_every_error_comes_from_the_root() -> None:
    assert all(issubclass(getattr(errors, name), errors.AgelensError) for name in errors.__all__)


def test_a_missing_extra_is_an_import_error_that_names_the_install_line() -> None:
    error = errors.MissingExtraError("train", "torch")
    assert isinstance(error, ImportError)
    assert str(error) == "this needs 'torch', which is not installed: in agelens's checkout, pip install '.[train]'"


def test_the_base_install_imports_nothing_heavy() -> None:
    code = "import sys, agelens, agelens.cli, agelens.cli.predict, agelens.embedders; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_onnxruntime_is_told_to_tell_nobody() -> None:
    code = "import os, agelens; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "1"
