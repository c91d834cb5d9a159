"""A running service under faults: broken uploads, slow and vanishing clients, bombs, dying workers.

What is asked of it between and after: good photos are answered, and nothing is told to be a fault of the service.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from agelens.client import Client

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/eileen-collins.jpg"
SERVE = [sys.executable, "-c", "from agelens.cli import main; main()", "serve", "--log", "none"]
LIMITS = ["--max-megabytes", "2", "--max-megapixels", "4", "--head-seconds", "1", "--request-seconds", "3"]


@contextlib.contextmanager
def _serving(*options: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A service on the loopback, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([*SERVE, "--port", str(port), *LIMITS, *options], stderr=subprocess.PIPE) as process:
        try:
            with Client(f"http://127.0.0.1:{port}", tries=40, timeout=10) as client:
                client.models()
            yield port, process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a service that all tests share: what one leaves behind, the next one meets."""
    with _serving() as (number, process):
        yield number
        assert process.poll() is None, "it has lived through all"
        process.terminate()
        told = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 0
    assert "Traceback" not in told, told


@pytest.fixture(autouse=True)
def _goes_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Before and after each test on the shared service a good photo is answered, and no fault is counted."""
    shared = "port" in request.fixturenames
    number = request.getfixturevalue("port") if shared else 0
    if shared:
        assert _age(number) == pytest.approx(33, abs=3)
    yield
    if shared:
        assert _age(number) == pytest.approx(33, abs=3)
        text = urllib.request.urlopen(f"http://127.0.0.1:{number}/metrics", timeout=10).read().decode()
        assert not re.search(r'status="50[0-24-9]"', text)


def _age(port: int) -> float:
    with Client(f"http://127.0.0.1:{port}", timeout=10) as client:
        ((face,),) = ([photo["faces"]] for photo in client.predict([EXAMPLE]))
    return float(face[0]["age"])


def _head(length: int | None, kind: str = "image/jpeg", more: str = "") -> bytes:
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{size}{more}\r\n".encode()


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of what comes until the connection is closed, or is quiet; 0 where nothing comes."""
    came = b""
    with contextlib.suppress(OSError):
        while part := connection.recv(65536):
            came = (came + part).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            head, _, body = came.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            if length and len(body) >= int(length[1]):
                return int(head.split()[1]), body
    return (int(came.split()[1]), came.partition(b"\r\n\r\n")[2]) if came else (0, b"")


def test_an_upload_that_is_cut_off_harms_nobody(port: int) -> None:
    photo = EXAMPLE.read_bytes()
    for part in (0, 1, 100, len(photo) // 2, len(photo) - 1):
        for reset in (False, True):
            connection = _connect(port)
            connection.sendall(_head(len(photo)) + photo[:part])
            if reset:  # the connection is torn down rather than closed
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


def test_who_leaves_before_the_answer_harms_nobody(port: int) -> None:
    photo = EXAMPLE.read_bytes()
    for _ in range(10):
        connection = _connect(port)
        connection.sendall(_head(len(photo)) + photo)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def test_a_body_that_comes_too_slowly_is_refused_and_others_are_answered_meanwhile(port: int) -> None:
    slow = [_connect(port) for _ in range(40)]
    for connection in slow:
        connection.sendall(_head(1000) + b"\xff")
    began = time.monotonic()
    assert _age(port) == pytest.approx(33, abs=3)
    assert time.monotonic() - began < 2
    statuses = [_answer(connection) for connection in slow]
    assert {status for status, _ in statuses} == {408}
    assert json.loads(statuses[0][1])["code"] == "timeout"
    assert time.monotonic() - began < 8
    for connection in slow:
        connection.close()


@pytest.mark.parametrize("said", [b"", b"POST /v1/predict HT", b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"])
def test_a_connection_that_says_too_little_is_closed(port: int, said: bytes) -> None:
    began = time.monotonic()
    with _connect(port) as connection:
        connection.sendall(said)
        assert connection.recv(100) == b""
    assert 0.5 < time.monotonic() - began < 3


def test_a_second_request_on_a_connection_is_not_waited_for_for_ever_either(port: int) -> None:
    with _connect(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert _answer(connection)[0] == 200
        time.sleep(0.2)
        connection.sendall(b"GET /healthz HT")
        began = time.monotonic()
        assert connection.recv(100) == b""
        assert time.monotonic() - began < 3


def test_a_body_that_goes_on_after_its_answer_is_not_waited_for(port: int) -> None:
    with _connect(port) as connection:
        connection.sendall(_head(10**12))
        assert _answer(connection)[0] == 413
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 15:  # a byte a while keeps uvicorn's own clock from running out
                connection.sendall(b"x")
                time.sleep(0.2)
        assert time.monotonic() - began < 10


def test_who_does_not_read_the_answer_is_not_waited_for(port: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        connection.connect(("127.0.0.1", port))
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 20:
                with contextlib.suppress(TimeoutError):
                    connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        assert time.monotonic() - began < 15


def test_an_address_that_a_client_makes_up_does_not_count() -> None:
    with _serving("--rate", "1", "--burst", "4") as (port, _):
        statuses = []
        for number in range(8):
            with _connect(port) as connection:
                made_up = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.{number}\r\n\r\n"
                connection.sendall(made_up.encode())
                statuses.append(_answer(connection)[0])
        assert statuses.count(429) >= 3


def test_what_is_in_work_when_it_is_told_to_end_is_answered() -> None:
    photo = EXAMPLE.read_bytes()
    with _serving() as (port, process), _connect(port) as connection:
        connection.sendall(_head(len(photo)) + photo[:-10])
        time.sleep(0.3)
        process.terminate()
        time.sleep(0.3)
        connection.sendall(photo[-10:])
        assert _answer(connection)[0] == 200
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), {400, 0}),  # TLS
        (b"GET / HTTP/9.9\r\n\r\n", {400, 404}),
        (_head(-1), {400}),
        (_head(None, more="Content-Length: 3\r\nContent-Length: 4\r\n") + b"abcd", {400}),
        (_head(None, more="Transfer-Encoding: chunked\r\n") + b"zz\r\n", {400, 0}),
        (_head(None, more="Transfer-Encoding: chunked\r\n") + b"ffffffffffffffff\r\n", {400, 0, 408, 413}),
        (_head(0, more=f"X: {'a' * 100_000}\r\n"), {400, 431, 0}),
        (_head(3 * 2**20) + bytes(3 * 2**20), {413, 0}),
        (_head(10**18), {413}),
        (_head(4, "multipart/form-data; boundary=" + "b" * 4000) + b"----", {400}),
        (_head(4, "image/jpeg", "Content-Encoding: gzip\r\n") + b"\x1f\x8b\x08\x00", {415, 422}),
        (_head(4, "image/jpeg", "Expect: 100-continue\r\n") + b"abcd", {422}),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 200, {200}),
        (b"POST /v1/predict?cropped=" + b"%00" * 2000 + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", {400}),
        (b"GET //../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    ],
)
def test_what_is_no_proper_request_is_refused(port: int, sent: bytes, statuses: set[int]) -> None:
    with _connect(port) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(sent)
        assert _answer(connection)[0] in statuses


def _png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG of grey pixels with these bytes of picture, whatever its size says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


BOMBS = {
    "of many pixels": lambda: _png(50_000, 50_000, bytes(1000)),
    "whose picture is larger than it says": lambda: _png(100, 100, bytes(300 * 2**20)),
    "of one long row": lambda: _png(3_999_999, 1, bytes(4_000_000)),
    "with a huge text": lambda: _png(9, 9, bytes(90))[:-12] + _text_bomb(),
}


def _text_bomb() -> bytes:
    data = b"a\0\0" + zlib.compress(bytes(200 * 2**20), 9)
    return struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_go_off(port: int, name: str) -> None:
    bomb = BOMBS[name]()
    assert len(bomb) < 2 * 2**20
    began = time.monotonic()
    with _connect(port) as connection:
        connection.sendall(_head(len(bomb), "image/png") + bomb)
        assert _answer(connection)[0] in (200, 422)
    assert time.monotonic() - began < 3


def test_json_that_is_nested_without_end_is_refused(port: int) -> None:
    body = b'{"images": ' + b"[" * 500_000
    with _connect(port) as connection:
        connection.sendall(_head(len(body), "application/json") + body)
        assert _answer(connection)[0] == 400


@pytest.fixture(scope="module")
def corrupting(load_script: Callable[[str], ModuleType]) -> ModuleType:
    """benchmarks/corrupting.py."""
    return load_script("benchmarks/corrupting.py")


def test_corrupted_photos_are_answered_or_refused(port: int, corrupting: ModuleType) -> None:
    random = np.random.default_rng(0)
    files = corrupting.recoded(EXAMPLE.read_bytes())
    statuses = []
    with _connect(port) as connection:
        for _ in range(400):
            body = corrupting.corrupted(files, random)
            connection.sendall(_head(len(body), "application/octet-stream") + body)
            statuses.append(_answer(connection)[0])
    assert set(statuses) == {200, 422}
    assert min(statuses.count(200), statuses.count(422)) > 40


def test_bodies_beyond_what_can_be_held_are_refused(port: int) -> None:
    with _serving("--max-held", "3") as (crowded, _):
        waiting = [_connect(crowded) for _ in range(3)]
        for connection in waiting[:2]:
            connection.sendall(_head(1_900_000) + bytes(1_400_000))
        time.sleep(0.5)
        waiting[2].sendall(_head(1_000_000) + bytes(1_000_000))
        status, body = _answer(waiting[2])
        assert (status, json.loads(body)["code"]) == (503, "overloaded")
        for connection in waiting:
            connection.close()
        time.sleep(0.5)
        assert _age(crowded) == pytest.approx(33, abs=3)  # their room is free again


def _children(process: int) -> set[int]:
    """Processes that serve: those of a process whose command is Python's."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return {
        int(one) for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()
    }  # the other one keeps semaphores


def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_worker_that_is_killed_is_replaced_and_who_tries_again_is_answered() -> None:
    with _serving("--workers", "2") as (port, process):
        _until(lambda: len(_children(process.pid)) == 2, 20)
        before = _children(process.pid)
        ages: list[float] = []

        def ask() -> None:
            with Client(f"http://127.0.0.1:{port}", tries=10, timeout=10) as client:
                ages.extend(client.predict([EXAMPLE])[0]["faces"][0]["age"] for _ in range(15))

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        os.kill(min(before), signal.SIGKILL)
        for asker in askers:
            asker.join()
        assert len(ages) == 45
        assert len(set(ages)) == 1
        _until(lambda: len(_children(process.pid) - {min(before)}) == 2, 30)
