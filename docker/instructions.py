"""A Dockerfile's instructions, and its build in a folder that stands for the base image: for docker/check.

python docker/instructions.py show docker/Dockerfile         what the image is started with, as JSON
python docker/instructions.py build docker/Dockerfile BASE ROOT     as root: RUN by chroot, COPY by copying
buildah inspect --type image IMAGE | python docker/instructions.py agree docker/Dockerfile

BASE is the root of a Debian system with the base image's Python, and stands for every image that is not a stage; ROOT
becomes the image's root. Knows what our own Dockerfiles say, not all that Dockerfiles can.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["Instruction", "build", "differences", "settings", "stages"]

PLAIN: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Instruction(NamedTuple):
    """One of a Dockerfile: ``word`` in capitals, ``rest`` on one line."""

    word: str
    rest: str


def stages(text: str) -> list[list[Instruction]]:
    """A Dockerfile's stages, each from its FROM on."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[list[Instruction]] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "FROM":
            found.append([])
        found[-1].append(Instruction(word.upper(), rest.strip()))
    return found


def settings(text: str) -> dict[str, Any]:
    """What the last stage says of the running container: env, user, ports, entrypoint, healthcheck, signal, labels."""
    last = stages(text)[-1]
    of = {one.word: one.rest for one in last}
    environment = dict(PLAIN)
    for rest in (one.rest for one in last if one.word == "ENV"):
        environment |= {name: _expand(value, environment) for name, value in _pairs(rest)}
    options, _, command = of["HEALTHCHECK"].partition("CMD ")
    return {
        "from": of["FROM"].split()[0],
        "environment": environment,
        "user": of["USER"],
        "port": int(of["EXPOSE"]),
        "entrypoint": json.loads(of["ENTRYPOINT"]),
        "healthcheck": json.loads(command),
        "healthcheck_options": dict(re.findall(r"--([a-z-]+)=(\S+)", options)),
        "stopsignal": of["STOPSIGNAL"],
        "labels": dict(_pairs(of["LABEL"])),
    }


def _pairs(rest: str) -> list[tuple[str, str]]:
    return [(name, value.strip('"')) for name, value in re.findall(r'(\S+?)=("[^"]*"|\S+)', rest)]


def _expand(value: str, environment: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda name: environment.get(name[1], ""), value)


def build(dockerfile: Path, base: Path, root: Path, context: Path) -> None:
    """Carry out the stages, one folder each, the last of which is ``root``."""
    folders: dict[str, Path] = {}
    parts = stages(dockerfile.read_text(encoding="utf-8"))
    for number, stage in enumerate(parts):
        start, _, name = stage[0].rest.partition(" AS ")
        name = name or str(number)
        folders[name] = root if stage is parts[-1] else root.with_name(f"{root.name}-{name}")
        subprocess.run(["cp", "-a", "--reflink=auto", folders.get(start, base), folders[name]], check=True)
        _carry_out(stage, folders, folders[name], context)


def _carry_out(stage: list[Instruction], folders: dict[str, Path], root: Path, context: Path) -> None:
    folder, environment = "/", dict(PLAIN)
    for word, rest in stage:
        if word == "WORKDIR":
            folder = rest
            _within(root, folder).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            _copy(rest, folders, _within(root, folder), root, context)
        elif word == "RUN":
            print(f"RUN {rest}", flush=True)
            script = f'cd "{folder}" && {rest}'
            subprocess.run(["chroot", root, "/bin/sh", "-c", script], check=True, env=environment)
        elif word == "ENV":
            environment |= {name: _expand(value, environment) for name, value in _pairs(rest)}


def _copy(rest: str, folders: dict[str, Path], here: Path, root: Path, context: Path) -> None:
    words = rest.split()
    source = context
    if words[0].startswith("--from="):
        source = folders[words.pop(0).removeprefix("--from=")]
    *names, to = words
    target = _within(root, to) if to.startswith("/") else here / to
    for path in (_within(source, name) for name in names):
        if path.is_dir():
            leave = shutil.ignore_patterns("__pycache__") if source == context else None
            shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True, ignore=leave)
        else:
            shutil.copy2(path, target / path.name if to.endswith("/") else target)


def _within(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def differences(image: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where an image that a builder made, as ``inspect`` shows it, is not what was read from the Dockerfile."""
    made = image["Docker"]["config"]
    pairs = {
        "environment": (dict(one.split("=", 1) for one in made["Env"]), wanted["environment"]),
        "user": (made["User"], wanted["user"]),
        "ports": (list(made["ExposedPorts"]), [f"{wanted['port']}/tcp"]),
        "entrypoint": (made["Entrypoint"], wanted["entrypoint"]),
        "healthcheck": (made["Healthcheck"]["Test"], ["CMD", *wanted["healthcheck"]]),
        "stopsignal": (made["StopSignal"], wanted["stopsignal"]),
    }
    return [f"{name}: {came!r}; wanted {due!r}" for name, (came, due) in pairs.items() if came != due]


if __name__ == "__main__":
    what, dockerfile = sys.argv[1], Path(sys.argv[2])
    if what == "show":
        print(json.dumps(settings(dockerfile.read_text(encoding="utf-8"))))
    elif what == "agree":
        found = differences(json.load(sys.stdin), settings(dockerfile.read_text(encoding="utf-8")))
        print("\n".join(found) or "the image's settings are the Dockerfile's")
        sys.exit(bool(found))
    else:
        build(dockerfile, Path(sys.argv[3]), Path(sys.argv[4]), dockerfile.resolve().parents[1])
