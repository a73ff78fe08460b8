"""Fifty clients at once: each is answered or told that the queue is full; memory is bounded, and the server lives."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from studio_server import TINY, Server, running

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLIENTS = 50


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path / "server", TINY) as found:
        yield found


def asked(server: Server, method: str, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=240)
    try:
        connection.request(method, path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answered(server: Server, picture: bytes, name: str) -> str:
    """What becomes of a sketch: "complete", or what the server says instead."""
    head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    status, said = asked(
        server,
        "POST",
        "/gradio_api/upload",
        head + picture + b"\r\n--edge--\r\n",
        "multipart/form-data; boundary=edge",
    )
    if status != 200:
        return f"{status} {said!r}"
    given = {"path": json.loads(said)[0], "meta": {"_type": "gradio.FileData"}}
    data = json.dumps({"data": [given, 1.0, TINY]}).encode()
    status, said = asked(server, "POST", "/gradio_api/call/paint", data, "application/json")
    if status != 200:
        return f"{status} {said!r}"
    event = json.loads(said)["event_id"]
    _, said = asked(server, "GET", f"/gradio_api/call/paint/{event}", b"", "application/json")
    return "complete" if b"event: complete" in said else repr(said)


def test_fifty_clients_at_once_are_answered_in_bounded_memory(alone: Server) -> None:
    page = (EXAMPLES / "photographed-page.jpg").read_bytes()
    assert answered(alone, page, "first.jpg") == "complete"
    before = alone.memory("VmHWM")
    with ThreadPoolExecutor(CLIENTS) as pool:
        became = list(pool.map(lambda number: answered(alone, page, f"{number}.jpg"), range(CLIENTS)))
    refused = [each for each in became if each != "complete"]
    assert all("queue is full" in each.lower() for each in refused), refused
    assert len(refused) < CLIENTS / 2
    assert alone.memory("VmHWM") - before < 300, "MiB; one reads a photo in 100"
    assert answered(alone, page, "after.jpg") == "complete"


def test_requests_that_are_held_in_memory_cannot_fill_it(alone: Server) -> None:
    before = alone.memory("VmHWM")
    huge = b'{"data": ["' + b"A" * (64 * 2**20) + b'"]}'

    def send(number: int) -> int:
        try:
            return asked(alone, "POST", "/gradio_api/queue/join", huge, "application/json")[0]
        except (BrokenPipeError, ConnectionResetError):  # not listened to
            return 413

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(send, range(CLIENTS))) == {413}
    assert alone.memory("VmHWM") - before < 100
    assert answered(alone, (EXAMPLES / "woman-bob.png").read_bytes(), "after.png") == "complete"


def test_a_client_that_goes_away_leaves_the_queue_to_the_others(alone: Server) -> None:
    picture = (EXAMPLES / "woman-bob.png").read_bytes()
    connections = []
    for _ in range(CLIENTS):  # that begin an upload and end it nowhere
        connection = http.client.HTTPConnection(urlsplit(alone.address).netloc, timeout=20)
        connection.putrequest("POST", "/gradio_api/upload")
        connection.putheader("Content-Type", "multipart/form-data; boundary=edge")
        connection.putheader("Content-Length", str(len(picture)))
        connection.endheaders(b"--edge\r\n" + picture[:100])
        connections.append(connection)
    assert answered(alone, picture, "meanwhile.png") == "complete"
    for connection in connections:
        connection.close()
    assert answered(alone, picture, "after.png") == "complete"


def test_nothing_that_is_sent_lands_outside_the_temporary_folder_and_that_is_gone(tmp_path: Path) -> None:
    marked = (EXAMPLES / "woman-bob.png").read_bytes() + b"a mark that no other file has"
    around = tmp_path / "server"
    with running(around, TINY) as server:
        for name in ("sketch.png", "../../../up.png", str(around / "home" / "absolute.png")):
            assert answered(server, marked, name) == "complete"
        holders = [path for path in around.rglob("*") if path.is_file() and marked in path.read_bytes()]
        assert holders
        assert all(path.is_relative_to(server.folder) for path in holders)
        results = {path.name for path in server.folder.rglob("*") if path.is_file()}
        assert len(results) >= 2
    assert not server.folder.exists()
    end = time.monotonic() + 5
    while list((around / "tmp").iterdir()) and time.monotonic() < end:
        time.sleep(0.1)
    assert list((around / "tmp").iterdir()) == []
    assert list((around / "cwd").iterdir()) == []
    assert [path for path in (around / "home").rglob("*") if path.is_file() and marked in path.read_bytes()] == []
    assert "Traceback" not in (around / "errors.txt").read_text(encoding="utf-8")
