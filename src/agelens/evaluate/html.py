"""Pages in one file that needs nothing else, from the templates of this folder."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from agelens._version import VERSION

__all__ = ["embedded", "render"]


def render(template: str, **known: Any) -> str:
    """A page; what is put into it is text, and escaped.

    Args:
        template: its file's name.
        known: what it puts in.
    """
    environment = Environment(
        loader=PackageLoader("agelens.evaluate", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(version=VERSION, **known)


def embedded(pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Pictures as a page holds them within itself."""
    return {title: b64encode(data).decode() for title, data in pictures.items()}
