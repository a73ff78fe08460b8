"""Downloads over real connections, from a server with real faults, by processes that are really killed."""

from __future__ import annotations

import errno
import hashlib
import http.client
import random
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm_start
from file_server import FileServer

from calisketch.weights.download import DownloadError, WrongContent, download, sha256_of

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = random.Random(1).randbytes(3_000_000)
CHILD = "import sys; from pathlib import Path; from calisketch.weights.download import download; " + (
    "download(sys.argv[1], Path(sys.argv[2]), sys.argv[3])"
)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(CONTENT) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.bin"


def get(server: FileServer, target: Path, sha256: str | None = SHA256, **options: float) -> None:
    download(server.url, target, sha256, **{"pause": 0.01, "timeout": 5.0, **options})


def start(server: FileServer, target: Path) -> warm_start.Process:
    return warm_start.start(["-c", CHILD, server.url, str(target), SHA256], stdout=subprocess.DEVNULL)


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def wait_for_bytes(target: Path, count: int) -> None:
    part = target.with_name(".file.bin.part")
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size >= count):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.01)


def test_a_whole_file_gets_its_name_and_nothing_else_is_left(server: FileServer, target: Path) -> None:
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert left(target) == {"file.bin"}
    get(server, target)
    assert server.ranges == [None], "a file that is there is not asked for again"


def test_cut_connections_are_continued_and_no_byte_is_sent_twice(server: FileServer, target: Path) -> None:
    server.faults.cut = [700_000, 0, 900_000]
    get(server, target)
    assert sha256_of(target) == SHA256
    assert server.ranges == [None, "bytes=700000-", "bytes=700000-", "bytes=1600000-"]
    assert server.sent == len(CONTENT)


def test_a_killed_download_is_continued_by_the_next_process(server: FileServer, target: Path) -> None:
    server.faults.stall = 2_500_000
    child = start(server, target)
    wait_for_bytes(target, 2_000_000)
    child.kill()
    child.communicate(timeout=30)
    assert not target.exists()
    began = time.monotonic()
    get(server, target)  # the dead process held the lock
    assert time.monotonic() - began < 5
    assert sha256_of(target) == SHA256
    assert int(str(server.ranges[-1])[6:-1]) >= 2_000_000
    assert left(target) == {"file.bin"}


def test_two_processes_at_once_download_once_and_both_find_it(server: FileServer, target: Path) -> None:
    server.faults.stall = 1_000_000
    first = start(server, target)
    assert server.stalled.wait(30)
    second = start(server, target)
    assert second.stderr is not None
    assert "waiting for another process" in second.stderr.readline()
    server.release.set()
    for child in (first, second):
        child.communicate(timeout=30)
        assert child.returncode == 0
    assert sha256_of(target) == SHA256
    assert server.ranges == [None]
    assert left(target) == {"file.bin"}


def test_a_waiting_process_takes_over_from_one_that_is_killed(server: FileServer, target: Path) -> None:
    server.faults.stall = 2_500_000
    first = start(server, target)
    wait_for_bytes(target, 2_000_000)
    second = start(server, target)
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    first.kill()
    second.communicate(timeout=30)
    first.communicate(timeout=30)
    assert second.returncode == 0
    assert sha256_of(target) == SHA256
    assert server.ranges[-1] != "bytes=0-"
    assert server.ranges[-1] is not None


@pytest.mark.parametrize("tag", ['"two"', 'W/"two"', None])
def test_a_file_that_changed_on_the_server_is_not_joined_to_the_old_part(tag: str | None, target: Path) -> None:
    with FileServer(OTHER, tag='"one"' if tag else None) as server:
        server.faults.cut = [1_000_000] + [0] * 8
        with pytest.raises(DownloadError, match="1000000 bytes are kept"):
            get(server, target)
        server.faults.cut, server.content, server.tag = [], CONTENT, tag
        get(server, target)
    assert sha256_of(target) == SHA256


def test_a_server_that_cannot_continue_sends_everything_again(target: Path) -> None:
    with FileServer(CONTENT, continues=False) as server:
        server.faults.cut = [1_000_000]
        get(server, target)
    assert sha256_of(target) == SHA256
    assert server.sent == len(CONTENT) + 1_000_000


def test_a_part_that_is_whole_already_only_gets_its_name(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.with_name(".file.bin.part").write_bytes(CONTENT)
    get(server, target)
    assert server.sent == 0
    assert sha256_of(target) == SHA256


@pytest.mark.parametrize("part", [OTHER, OTHER[:9], CONTENT + b"x"], ids=["other", "beginning", "too long"])
def test_a_part_of_unknown_origin_never_spoils_the_file(server: FileServer, target: Path, part: bytes) -> None:
    target.parent.mkdir()
    target.with_name(".file.bin.part").write_bytes(part)
    get(server, target)
    assert sha256_of(target) == SHA256


@pytest.mark.parametrize(
    ("content", "announced", "said"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", None, "got a web page, SHA-256 "),
        (CONTENT[:-1], None, r"\(2999999 bytes\)"),
        (CONTENT, 1000, r"\(1000 bytes\)"),
        (OTHER, -1, "got SHA-256 " + hashlib.sha256(OTHER).hexdigest()),
    ],
    ids=["web page", "shorter", "longer than announced", "other"],
)
def test_other_content_is_refused_with_both_hashes(
    server: FileServer, target: Path, content: bytes, announced: int | None, said: str
) -> None:
    server.content, server.faults.announced = content, announced
    with pytest.raises(WrongContent, match=rf"was refused: .*{said}.*expected {SHA256}"):
        get(server, target)
    assert left(target) <= {".file.bin.lock"}


def test_a_file_without_published_hash_is_taken_with_a_warning_but_a_web_page_is_not(
    server: FileServer, target: Path
) -> None:
    with pytest.warns(UserWarning, match=f"no SHA-256 is published .* got {SHA256}"):
        get(server, target, None)
    target.unlink()
    server.content = b"<html>Sign in</html>"
    with pytest.raises(WrongContent, match="web page"):
        get(server, target, None)


@pytest.mark.parametrize("announced", [None, -1], ids=["announced", "found out while reading"])
def test_a_file_that_is_larger_than_it_may_be_is_not_kept(
    server: FileServer, target: Path, announced: int | None
) -> None:
    server.faults.announced = announced
    with pytest.raises(WrongContent, match=r"got \d+ bytes or more, expected 2000000 at the most"):
        get(server, target, largest=2_000_000)
    assert left(target) <= {".file.bin.lock"}
    server.faults.announced = None
    get(server, target, largest=3_000_000)
    assert sha256_of(target) == SHA256


@pytest.mark.parametrize("announced", ["many", "5, 5"])
def test_a_length_that_is_no_number_is_passed_over(server: FileServer, target: Path, announced: str) -> None:
    server.faults.announced = announced
    get(server, target)
    assert sha256_of(target) == SHA256


def test_a_part_that_is_larger_than_the_file_may_be_is_let_go(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.with_name(".file.bin.part").write_bytes(CONTENT + b"x")
    get(server, target, largest=3_000_000)
    assert sha256_of(target) == SHA256


def test_a_redirection_is_followed_on_the_same_host_and_not_without_protection_elsewhere(
    server: FileServer, target: Path
) -> None:
    with FileServer(b"") as first:
        first.faults.leads_to = server.url
        get(first, target)
        assert sha256_of(target) == SHA256
        target.unlink()
        first.faults.leads_to = server.url.replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(DownloadError, match=r"leads on to http://127\.0\.0\.2:.* only https, or http to the same"):
            get(first, target)
    assert not target.exists()


def test_a_busy_server_is_asked_again_and_a_refusing_one_is_not(server: FileServer, target: Path) -> None:
    server.faults.status = [503, 429]
    get(server, target)
    assert len(server.ranges) == 3
    target.unlink()
    server.faults.status = [404]
    with pytest.raises(DownloadError, match="the server says 404"):
        get(server, target)
    assert len(server.ranges) == 4


def test_a_silent_server_is_given_up(server: FileServer, target: Path) -> None:
    server.faults.stall = 1000
    with pytest.raises(DownloadError, match=r"in 1 attempts: .*timed out.*; \d+ bytes are kept"):
        get(server, target, timeout=0.2, attempts=1)


def test_without_a_network_it_ends_at_once(target: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DownloadError, match="no network"):
        download("http://no-such-host.invalid/file.bin", target, SHA256)
    with FileServer(CONTENT) as server:
        closed = server.url
    with pytest.raises(DownloadError, match=r"in 4 attempts: .*refused"):
        download(closed, target, SHA256, pause=0.01)
    assert time.monotonic() - began < 10


def test_a_proxy_is_used_and_named_where_it_fails(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "http://no-such-host.invalid/file.bin"
    monkeypatch.setattr(urllib.request, "_opener", None)  # it looks at the environment once
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/file.bin"))
    download(asked, target, SHA256)
    target.unlink()
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    with pytest.raises(DownloadError, match=r"through the proxy 127\.0\.0\.1:1 \(http_proxy\).*refused") as caught:
        download(asked, target, SHA256, pause=0.01)
    assert "secret" not in str(caught.value)


def test_a_network_that_goes_away_is_not_taken_for_a_disk_that_cannot_be_written(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, faults = http.client.HTTPResponse.read1, [ssl.SSLError("bad record"), OSError(errno.ENETUNREACH, "gone")]

    def failing(answer: http.client.HTTPResponse, size: int = -1) -> bytes:
        if faults and target.with_name(".file.bin.part").stat().st_size:
            raise faults.pop()
        return read(answer, size)

    server.faults.cut = [1_000_000]
    monkeypatch.setattr(http.client.HTTPResponse, "read1", failing)
    get(server, target)
    assert (sha256_of(target), faults) == (SHA256, [])


def test_a_folder_that_cannot_be_written_to_is_said(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DownloadError, match=r"cannot be written: .*CALISKETCH_CACHE"):
        get(server, tmp_path / "file" / "file.bin")


@pytest.mark.parametrize("announced", [None, -1], ids=["announced", "found out while writing"])
@pytest.mark.parametrize("small_disk", ["1m"], indirect=True)
def test_a_full_disk_leaves_no_half_file_and_says_so(
    server: FileServer, small_disk: Path, announced: int | None
) -> None:
    server.faults.announced = announced
    with pytest.raises(DownloadError, match="make room there, or name another folder"):
        get(server, small_disk / "file.bin")
    assert left(small_disk / "file.bin") <= {".file.bin.lock"}
