"""The images and what stands beside them agree with the package; no engine is needed. docker/check builds them."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import prometheus_client.samples
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agelens.cli.serve import DRAIN_SECONDS, serve
from agelens.serve.gate import OPEN
from agelens.serve.metrics import Metrics

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
FILES = [DOCKER / "Dockerfile", DOCKER / "Dockerfile.cuda"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PORT = inspect.signature(serve).parameters["port"].default

_spec = importlib.util.spec_from_file_location("instructions", DOCKER / "instructions.py")
assert _spec is not None
assert _spec.loader is not None
instructions = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(instructions)


def _yaml(name: str) -> Any:
    return yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    return Path(request.param).read_text(encoding="utf-8")


@pytest.fixture
def image(text: str) -> dict[str, Any]:
    """What the image is started with."""
    return dict(instructions.settings(text))


def _commands(text: str) -> str:
    return "\n".join(one.rest for stage in instructions.stages(text) for one in stage if one.word == "RUN")


def _copied(text: str) -> list[str]:
    """The names that are copied out of the repository."""
    copies = [one.rest.split() for stage in instructions.stages(text) for one in stage if one.word == "COPY"]
    return [name for words in copies if not words[0].startswith("--from") for name in words[:-1]]


@pytest.fixture
def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_the_image_is_of_a_python_that_is_tested_and_of_a_debian_that_is_named() -> None:
    bases = {stage[0].rest.split()[0] for stage in instructions.stages(FILES[0].read_text(encoding="utf-8"))}
    assert len(bases) == 1  # the environment's links lead to the Python of the stage that made it
    version, _, debian = bases.pop().removeprefix("python:").partition("-slim-")
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert f"suite={debian} " in (DOCKER / "check").read_text(encoding="utf-8")


def test_the_command_is_the_package_s_and_others_may_reach_it(image: dict[str, Any]) -> None:
    script, *arguments = image["entrypoint"]
    assert script in PROJECT["scripts"]
    assert arguments == ["serve", "--host", "0.0.0.0"]  # noqa: S104
    assert image["port"] == PORT
    assert image["stopsignal"] == "SIGTERM"
    assert image["labels"]["org.opencontainers.image.licenses"] == PROJECT["license"]


def test_the_version_is_the_package_s(image: dict[str, Any]) -> None:
    version = (ROOT / "src/agelens/_version.py").read_text(encoding="utf-8")
    assert f'"{image["labels"]["org.opencontainers.image.version"]}"' in version


def test_the_user_is_a_number_other_than_root_s(image: dict[str, Any]) -> None:
    """Kubernetes can tell that a number is not root, and a name could be."""
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", image["user"])


def test_what_is_installed_is_pinned_and_an_extra_of_the_package(text: str, pinned: dict[str, str]) -> None:
    extras = re.findall(r'-c constraints\.txt "\.\[(.+?)\]"', _commands(text))
    assert extras == ["serve"]
    for name in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["serve"]]:
        assert canonicalize_name(Requirement(name).name) in pinned


def test_what_is_copied_is_there_and_all_that_the_engine_is_sent(text: str) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(_copied(text))
    assert all((ROOT / name).exists() for name in _copied(text))
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= set(_copied(text))


def test_the_gpu_s_onnxruntime_takes_the_other_s_place() -> None:
    text = FILES[1].read_text(encoding="utf-8")
    commands = _commands(text)
    wanted = next(Requirement(one) for one in PROJECT["dependencies"] if one.startswith("onnxruntime"))
    found = re.search(r"onnxruntime-gpu==(\S+)", commands)
    assert found is not None
    assert found[1] in wanted.specifier
    assert commands.index('".[serve]"') < commands.index("uninstall -y onnxruntime") < found.start()
    assert instructions.settings(text)["environment"]["AGELENS_DEVICE"] == "cuda"


class _Readiness(BaseHTTPRequestHandler):
    status = 200
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Readiness) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_asks_whether_the_service_is_ready(
    status: int, server: HTTPServer, image: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Readiness, "status", status)
    monkeypatch.setattr(_Readiness, "asked", [])
    program = image["healthcheck"][-1]
    assert program.count(str(PORT)) == 1
    command = [sys.executable, "-c", program.replace(str(PORT), str(server.server_port))]
    proxy = {"http_proxy": "http://127.0.0.1:1", "PATH": os.environ["PATH"]}
    assert subprocess.run(command, check=False, timeout=30, env=proxy).returncode == (status != 200)
    assert set(_Readiness.asked) <= OPEN  # needs no key
    assert len(_Readiness.asked) == 1


def test_the_health_check_fails_where_nothing_answers(image: dict[str, Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        program = image["healthcheck"][-1].replace(str(PORT), str(taken.getsockname()[1]))
        done = subprocess.run([sys.executable, "-c", program], check=False, timeout=30, stderr=subprocess.DEVNULL)
    assert done.returncode == 1


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_the_service_needs_no_home_and_sigterm_ends_it_well(
    workers: int, image: dict[str, Any], tmp_path: Path
) -> None:
    port = _free_port()
    command = [sys.executable, "-c", "from agelens.cli import main; main()", "serve", "--model", "lite"]
    bare = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    process = subprocess.Popen(
        [*command, "--port", str(port), "--workers", str(workers)],
        env=bare, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        health = [sys.executable, "-c", image["healthcheck"][-1].replace(str(PORT), str(port))]
        end = time.monotonic() + 60
        while subprocess.run(health, check=False, timeout=30, stderr=subprocess.DEVNULL).returncode:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert list(tmp_path.iterdir()) == []


def test_the_compose_file_names_what_is_there_and_gives_no_more_than_is_needed() -> None:
    services = _yaml("compose.yaml")["services"]
    build = services["agelens"]["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert ROOT / build["dockerfile"] == FILES[0]
    assert services["agelens"]["ports"] == [f"127.0.0.1:8000-8007:{PORT}"]
    assert int(services["agelens"]["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS
    limits = services["agelens"]["deploy"]["resources"]["limits"]
    assert services["agelens"]["environment"]["PYTHON_CPU_COUNT"] == limits["cpus"]
    mounted = [volume.split(":") for volume in services["prometheus"]["volumes"] if volume.startswith("./")]
    assert mounted
    assert all((DOCKER / source).is_file() and mode == "ro" for source, _, mode in mounted)
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])


def test_prometheus_asks_every_container_of_the_service() -> None:
    config, services = _yaml("prometheus.yml"), _yaml("compose.yaml")["services"]
    (job,) = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert set(found["names"]) <= set(services)
    assert found["port"] == PORT
    assert job.get("metrics_path", "/metrics") == "/metrics"
    targets = [volume.split(":")[1] for volume in services["prometheus"]["volumes"]]
    assert {f"/etc/prometheus/{name}" for name in config["rule_files"]} <= set(targets)


def _told() -> dict[str, set[str]]:
    """Names of all that the service tells, with their labels."""
    metrics = Metrics()
    metrics.requests.labels("/v1/predict", "POST", "200").inc()
    metrics.refused.labels("overloaded").inc()
    metrics.seconds.labels("/v1/predict").observe(0.1)
    samples: list[prometheus_client.samples.Sample] = [
        sample for family in metrics.registry.collect() for sample in family.samples
    ]
    return {sample.name: set(sample.labels) for sample in samples}


def test_the_alerts_speak_of_what_the_service_tells() -> None:
    told = _told()
    (group,) = _yaml("alerts.yml")["groups"]
    asked: set[str] = set()
    for rule in group["rules"]:
        for name, labels in re.findall(r"\b(agelens_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            asked.add(name)
            assert set(re.findall(r"(\w+)\s*=", labels)) <= told[name], rule["alert"]
    assert {"agelens_refused_total", "agelens_requests_total", "agelens_request_seconds_bucket"} <= asked
    (job,) = _yaml("prometheus.yml")["scrape_configs"]
    jobs = {name for rule in group["rules"] for name in re.findall(r'job="(\w+)"', rule["expr"])}
    assert jobs == {job["job_name"]}


def test_hadolint_has_nothing_to_say() -> None:
    beside = str(Path(sys.executable).parent)
    hadolint = shutil.which("hadolint", path=os.pathsep.join([beside, os.environ["PATH"]]))
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, *FILES], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_what_docker_runs_of_bash_is_sound() -> None:
    for name in ("check", "serves"):
        assert os.access(DOCKER / name, os.X_OK)
        subprocess.run(["bash", "-n", DOCKER / name], check=True, timeout=30)
